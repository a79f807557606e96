"""The figures a fraud team steers by."""

from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from fraudline.contract import Alerts
from fraudline.durations import DAY
from fraudline.evaluation.judged import Floats, Judged, Labels
from fraudline.transactions.table import Integers

# Of the calibration error.
BINS = 20


@dataclass(frozen=True)
class Metrics:
    """Figures of one set of judged transactions; money in the contract's currency, rates in shares.

    All are of labelled transactions but `alerts_per_day`, which is of the `unlabelled` ones too.
    """

    transactions: int
    frauds: int
    average_precision: float
    roc_auc: float
    card_precision: float
    precision: float
    recall: float
    alerts_per_day: float
    caught_amount: float
    missed_amount: float
    cost_per_day: float
    expected_calibration_error: float
    predicted_to_actual: float
    unlabelled: int

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def measure(judged: Judged, threshold: float, alerts: Alerts) -> Metrics:
    """All figures at once."""
    alert, fraud = judged.held >= threshold, judged.label == 1
    caught = float(judged.amount[alert & fraud].sum())
    missed = float(judged.amount[~alert & fraud].sum())
    hits, days = int((alert & fraud).sum()), judged.days
    alerts_in_all = int(alert.sum()) + int((judged.unlabelled.score >= threshold).sum())
    return Metrics(
        transactions=len(judged.score),
        frauds=int(fraud.sum()),
        average_precision=average_precision(judged.label, judged.score),
        roc_auc=float(roc_auc_score(judged.label, judged.score)),
        card_precision=card_precision(judged, alerts.per_day),
        precision=hits / max(1, int(alert.sum())),
        recall=hits / max(1, int(fraud.sum())),
        alerts_per_day=alerts_in_all / days,
        caught_amount=caught,
        missed_amount=missed,
        cost_per_day=(missed + alerts.review_cost * float(alert.sum())) / days,
        expected_calibration_error=calibration_error(judged.label, judged.score),
        predicted_to_actual=float(judged.score.sum()) / max(1, int(fraud.sum())),
        unlabelled=len(judged.unlabelled.score),
    )


@dataclass(frozen=True)
class LabelAge:
    """Figures of the transactions whose label became known so many whole weeks ago (`weeks`)."""

    weeks: int
    metrics: Metrics

    def to_json(self) -> dict[str, float]:
        return {"weeks": self.weeks, **self.metrics.to_json()}


def measure_by_label_age(judged: Judged, age: Integers, threshold: float, alerts: Alerts) -> tuple[LabelAge, ...]:
    """Youngest labels first; `age` in microseconds. Weeks without both classes measure nothing and are left out.

    The youngest labels are the least certain: chargebacks and appeals may still turn them.
    """
    weeks = age // (7 * DAY)
    groups = ((int(week), judged.take(weeks == week)) for week in np.unique(weeks))
    return tuple(
        LabelAge(week, measure(group, threshold, alerts)) for week, group in groups if len(np.unique(group.label)) == 2
    )


def average_precision(label: Labels, score: Floats) -> float:
    return float(average_precision_score(label, score))


def card_precision(judged: Judged, k: int) -> float:
    """Mean over days of the share of compromised entities among the k with the highest scores that day."""
    shares = []
    for day in np.unique(judged.time // DAY):
        today = judged.take(judged.time // DAY == day)
        entities, where = np.unique(today.entity, return_inverse=True)
        top, compromised = np.zeros(len(entities)), np.zeros(len(entities))
        np.maximum.at(top, where, today.score)
        np.maximum.at(compromised, where, today.label)
        shares.append(float(compromised[np.argsort(-top, kind="stable")[:k]].sum()) / k)
    return float(np.mean(shares))


def calibration_error(label: Labels, score: Floats) -> float:
    """Expected calibration error over `BINS` bins of equally many transactions."""
    order = np.argsort(score, kind="stable")
    groups = np.array_split(order, BINS)
    gaps = [abs(float(score[g].mean()) - float(label[g].mean())) * len(g) for g in groups if len(g)]
    return float(sum(gaps)) / max(1, len(score))

"""How good scores are on labelled transactions: the figures a fraud team steers by, thresholds, and noise."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from fraudline.contract import Alerts
from fraudline.durations import DAY

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Scored:
    """Scored transactions whose label is not known: people are alerted to them all the same."""

    score: Floats
    time: Integers


NONE_SCORED = Scored(np.zeros(0), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Judged:
    """Scored, labelled transactions: label 1 is fraud, amounts in the currency, times in microseconds.

    `score` is what was said without having seen the transaction. `served` (None: the same) is what thresholds are held
    against: the same margin under the calibration that is published, which has seen these transactions.
    `unlabelled` are the others of the same days, as served: they count as alerts, and in no other figure.
    """

    score: Floats
    label: Labels
    amount: Floats
    time: Integers
    entity: npt.NDArray[np.int32]
    unlabelled: Scored = NONE_SCORED
    served: Floats | None = None

    @property
    def held(self) -> Floats:
        """What thresholds are held against."""
        return self.score if self.served is None else self.served

    def take(self, rows: npt.NDArray[Any]) -> "Judged":
        """Some of the labelled ones, alone."""
        return Judged(
            self.score[rows],
            self.label[rows],
            self.amount[rows],
            self.time[rows],
            self.entity[rows],
            served=self.held[rows],
        )

    @property
    def days(self) -> int:
        """Calendar days with transactions, at least one."""
        return max(1, len(np.unique(np.r_[self.time, self.unlabelled.time] // DAY)))


def joined(parts: Sequence[Judged]) -> Judged:
    def column(name: str) -> npt.NDArray[Any]:
        return np.concatenate([attrgetter(name)(part) for part in parts])

    return Judged(
        score=column("score"),
        label=column("label"),
        amount=column("amount"),
        time=column("time"),
        entity=column("entity"),
        unlabelled=Scored(column("unlabelled.score"), column("unlabelled.time")),
        served=column("held"),
    )


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


@dataclass(frozen=True)
class Thresholds:
    """A score at or above the threshold is an alert; `budget` and `cost` are two ways to choose it."""

    budget: float
    cost: float

    def chosen(self, alerts: Alerts) -> float:
        return self.budget if alerts.rule == "budget" else self.cost


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


def calibration_error(label: Labels, score: Floats, bins: int = 20) -> float:
    """Expected calibration error over bins of equally many transactions."""
    order = np.argsort(score, kind="stable")
    groups = np.array_split(order, bins)
    gaps = [abs(float(score[g].mean()) - float(label[g].mean())) * len(g) for g in groups if len(g)]
    return float(sum(gaps)) / max(1, len(score))


def choose_thresholds(judged: Judged, alerts: Alerts) -> Thresholds:
    """By budget: as many alerts as people can review. By cost: missed fraud plus reviews, as cheap as can be."""
    return Thresholds(_within_budget(judged, alerts.per_day * judged.days), _cheapest(judged, alerts))


def _within_budget(judged: Judged, budget: int) -> float:
    """The lowest score at or above which no more than `budget` transactions are; the highest score where none is.

    Of labelled and unlabelled ones: people review what is flagged, whatever becomes known of it.
    """
    score = np.sort(np.r_[judged.held, judged.unlabelled.score])[::-1]
    # Only where the next score is lower can the line be drawn.
    ends = np.flatnonzero(np.r_[score[1:] != score[:-1], True])
    return float(score[max(ends[0], ends[ends < budget].max(initial=0))])


def _cheapest(judged: Judged, alerts: Alerts) -> float:
    order = np.argsort(-judged.held, kind="stable")
    score = judged.held[order]
    saved = np.where(judged.label[order] == 1, judged.amount[order], 0.0)
    gain = np.cumsum(saved - alerts.review_cost)
    # Only where the next score is lower can the line be drawn.
    gain[:-1][score[:-1] == score[1:]] = -np.inf
    best = int(np.argmax(gain))
    return float(score[best]) if gain[best] > 0 else float(np.nextafter(1.0, 2.0))


def measure_ahead(spans: Sequence[Judged], alerts: Alerts) -> Metrics | None:
    """The newest span at the threshold that the spans before it choose: how one fares in time it has not seen.

    `spans` are oldest first; None where there is only one.
    """
    if len(spans) < 2:
        return None
    return measure(spans[-1], choose_thresholds(joined(spans[:-1]), alerts).chosen(alerts), alerts)


@dataclass(frozen=True)
class Comparison:
    """A difference in a utility between two scorers of the same rows, with the noise of a paired bootstrap."""

    difference: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Better beyond noise: the lower end of the 95% interval is above zero."""
        return self.low > 0.0

    @property
    def worse(self) -> bool:
        return self.high < 0.0


def compare_average_precision(
    label: Labels, ours: Floats, theirs: Floats, blocks: npt.NDArray[Any], seed: int = 0, rounds: int = 400
) -> Comparison:
    """Average precision of `ours` less that of `theirs`, blocks (entities) drawn with replacement.

    Frauds of one entity come in episodes, so entities are drawn, not rows. Drawing is by Poisson weights: the order of
    scores is sorted once for all rounds.
    """
    rng = np.random.default_rng(seed)
    first, second = _Ranked(label, ours), _Ranked(label, theirs)
    _, where = np.unique(blocks, return_inverse=True)
    count = int(where.max()) + 1
    differences = np.empty(rounds)
    for round_ in range(rounds):
        weight = rng.poisson(1.0, count)[where].astype(np.float64)
        differences[round_] = first.average_precision(weight) - second.average_precision(weight)
    whole = np.ones(len(label))
    low, high = np.quantile(differences, [0.025, 0.975])
    return Comparison(first.average_precision(whole) - second.average_precision(whole), float(low), float(high))


class _Ranked:
    """Labels in descending order of score, for average precision under any weights."""

    def __init__(self, label: Labels, score: Floats) -> None:
        self._order = np.argsort(-score, kind="stable")
        ranked = score[self._order]
        self._ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
        self._fraud = label[self._order] == 1

    def average_precision(self, weight: Floats) -> float:
        weight = weight[self._order]
        hits = np.cumsum(np.where(self._fraud, weight, 0.0))[self._ends]
        seen = np.cumsum(weight)[self._ends]
        if hits[-1] == 0.0:
            return 0.0
        steps = np.diff(np.r_[0.0, hits])
        return float((steps * hits / np.maximum(seen, 1e-300)).sum() / hits[-1])

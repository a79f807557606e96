"""From which score on a transaction is an alert, and how such a choice fares in the time after it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fraudline.contract import Alerts
from fraudline.evaluation.judged import Judged, joined
from fraudline.evaluation.metrics import Metrics, measure


@dataclass(frozen=True)
class Thresholds:
    """A score at or above the threshold is an alert; `budget` and `cost` are two ways to choose it."""

    budget: float
    cost: float

    def chosen(self, alerts: Alerts) -> float:
        return self.budget if alerts.rule == "budget" else self.cost


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

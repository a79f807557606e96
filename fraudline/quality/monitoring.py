"""What the monitor says of a champion at work: drift, alerts, and how good it is where labels are in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.clock import from_micros
from fraudline.durations import DAY
from fraudline.errors import NotReady
from fraudline.evaluation.judged import Judged
from fraudline.evaluation.metrics import Metrics, measure
from fraudline.features.definition import FeatureSet
from fraudline.features.offline import offline_features
from fraudline.model.bundle import Bundle
from fraudline.model.matrix import score_matrix
from fraudline.quality.drift import AlertDrift, DriftReport, alert_drift, compare
from fraudline.quality.skew import Skew
from fraudline.transactions.table import TransactionTable

Mask = npt.NDArray[np.bool_]
# Labels that are in are judged over this long, and not on fewer frauds than that.
WEEK = 7 * DAY
MATURE_WINDOW = WEEK
ENOUGH_FRAUDS = 20
_WEEKDAY = re.compile(r"\bweekday\b")


@dataclass(frozen=True)
class Performance:
    """Figures on transactions whose labels are in, and the same figures of the champion's evaluation."""

    live: Metrics
    evaluation: Mapping[str, float]


@dataclass(frozen=True)
class LiveSkew:
    """The stream's decisions against other executions of the same definition; `profiles` counts the parts that differ.

    `paths` compares with the real-time function, `offline` with features recomputed from the archive.
    """

    paths: Skew
    offline: Skew
    profiles_compared: int
    profiles: Mapping[str, int]

    @property
    def is_skewed(self) -> bool:
        return bool(self.paths.differences or self.offline.differences or self.profiles)

    @property
    def named(self) -> dict[str, int]:
        """Features (and parts of profiles) that differ, and in how many transactions (profiles)."""
        return {**self.paths.named, **self.offline.named, **{f"profile {k}": n for k, n in self.profiles.items()}}


@dataclass(frozen=True)
class Monitored:
    """One window of one champion; `performance` is None until enough labels are in, `skew` where nothing is live."""

    contract: str
    version: str
    start: int
    end: int
    drift: DriftReport
    alerts: AlertDrift
    performance: Performance | None
    skew: LiveSkew | None = None


def monitor(table: TransactionTable, bundle: Bundle, start: int, end: int, skew: LiveSkew | None = None) -> Monitored:
    """Judge the transactions of [start, end) (microseconds); earlier rows of the table are history.

    The table is of the bundle's contract. `NotReady` if there is none in the window.
    """
    inside = (table.timestamp >= start) & (table.timestamp < end)
    if not inside.any():
        when = f"{from_micros(start):%Y-%m-%d %H:%M} to {from_micros(end):%Y-%m-%d %H:%M} UTC"
        raise NotReady(f"no transaction from {when}: choose another --as-of, or wait for transactions")
    mature = _mature(table, end)
    scored = inside | mature
    matrix = offline_features(table, scored)
    scores = score_matrix(bundle.scorer, matrix)
    window = inside[scored]
    alerts = int((scores[window] >= bundle.threshold).sum())
    told = _told_by(bundle.features, end - start)
    evaluation = bundle.manifest.metrics["candidates"][bundle.manifest.candidate]
    return Monitored(
        contract=bundle.contract.name,
        version=bundle.version,
        start=start,
        end=end,
        drift=compare(
            bundle.manifest.reference,
            matrix[window].take(told, axis=1),
            [bundle.features.names[index] for index in told],
            scores[window],
        ),
        alerts=alert_drift(evaluation["alerts_per_day"], alerts, (end - start) / DAY),
        performance=_performance(table, scored, mature, scores, bundle, evaluation),
        skew=skew,
    )


def _told_by(features: FeatureSet, length: int) -> list[int]:
    """Which features a window of `length` (microseconds) can tell of: a Monday is no drift away from all weekdays."""
    whole = length % WEEK == 0
    return [
        index for index, feature in enumerate(features.features) if whole or not _WEEKDAY.search(feature.expression)
    ]


def _mature(table: TransactionTable, now: int) -> Mask:
    """Transactions of the newest whole window of labels that are due, and in, by `now`."""
    due = now - table.contract.label_delay
    known = (table.label >= 0) & (table.known_at <= now)
    mask: Mask = known & (table.timestamp < due) & (table.timestamp >= due - MATURE_WINDOW)
    return mask


def _performance(
    table: TransactionTable,
    scored: Mask,
    mature: Mask,
    scores: npt.NDArray[np.float64],
    bundle: Bundle,
    evaluation: Mapping[str, Any],
) -> Performance | None:
    frauds = int((table.label[mature] == 1).sum())
    if frauds < ENOUGH_FRAUDS or frauds == mature.sum():
        return None
    rows = table.take(mature)
    judged = Judged(
        score=scores[mature[scored]],
        label=rows.label,
        amount=rows.amount / table.contract.amount.minor_units,
        time=rows.timestamp,
        entity=rows.entities[0].codes,
    )
    return Performance(measure(judged, bundle.threshold, table.contract.alerts), evaluation)

"""Drift of features, scores and alerts against what the champion was trained on. It advises; it never fails a retrain.

With a million rows every difference is significant and most do not matter. So the question is not whether a
distribution has changed at all, but whether it has changed by more than matters: a minimum-effect test (Murphy and
Myors, 1999). N times the population stability index is, for N = n m / (n + m), close to a chi-square statistic; under a
true index of d it is non-central with N d. The p-value is the chance of what is seen if the true index were `MATERIAL`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import ncx2, poisson  # type: ignore[import-untyped]

from fraudline.quality.histograms import Histogram, histogram

Floats = npt.NDArray[np.float64]
Verdict = Literal["steady", "drifted", "far off"]

# The conventional steps of the population stability index: below 0.1 nothing to do, above 0.25 act.
MATERIAL = 0.1
FAR = 0.25
SIGNIFICANCE = 0.01
# How far alerts a day may be from what the evaluation promised, beyond chance.
ALERT_FACTOR = 2.0


@dataclass(frozen=True)
class Drift:
    """One distribution against its reference; `unseen` is the share outside all that training saw."""

    name: str
    psi: float
    p_value: float
    unseen: float
    verdict: Verdict
    edges: tuple[float, ...]
    training: tuple[float, ...]
    window: tuple[float, ...]


@dataclass(frozen=True)
class AlertDrift:
    """Alerts a day in the window, and as the champion's evaluation measured them."""

    expected_per_day: float
    seen_per_day: float
    drifted: bool


@dataclass(frozen=True)
class DriftReport:
    """`features` with the largest index first."""

    rows: int
    features: tuple[Drift, ...]
    scores: Drift

    @property
    def drifted(self) -> tuple[Drift, ...]:
        """Whatever has moved by more than matters, the scores first."""
        return tuple(drift for drift in (self.scores, *self.features) if drift.verdict != "steady")


def compare(reference: Mapping[str, Any], matrix: Floats, names: Sequence[str], scores: Floats) -> DriftReport:
    """A window's features (rows, features), named in order, and scores against a bundle's reference."""
    known: Mapping[str, Histogram] = reference["features"]
    drifts = [drift(name, known[name], matrix[:, index]) for index, name in enumerate(names) if name in known]
    ordered = tuple(sorted(drifts, key=lambda d: (-d.psi, d.name)))
    return DriftReport(len(matrix), ordered, drift("score", reference["scores"], scores))


def drift(name: str, reference: Histogram, values: npt.ArrayLike) -> Drift:
    """One column against its reference; the bins are the reference's."""
    expected = np.asarray(reference["counts"], dtype=np.float64)
    seen = np.asarray(histogram(values, reference["edges"])["counts"], dtype=np.float64)
    index = population_stability_index(expected, seen)
    return Drift(
        name=name,
        psi=index,
        p_value=p_value(expected, seen, index, MATERIAL),
        unseen=float(seen[0] + seen[-1]) / max(seen.sum(), 1.0),
        verdict=_verdict(expected, seen, index),
        edges=tuple(reference["edges"]),
        training=tuple(_shares(expected)),
        window=tuple(_shares(seen)),
    )


def population_stability_index(expected: Floats, seen: Floats) -> float:
    """Sum over bins of (q - p) ln(q / p) for shares p and q; half a row is added to every bin so that none is empty.

    >>> population_stability_index(np.array([50.0, 50.0]), np.array([500.0, 500.0]))
    0.0
    """
    p = (expected + 0.5) / (expected + 0.5).sum()
    q = (seen + 0.5) / (seen + 0.5).sum()
    return float(np.sum((q - p) * np.log(q / p)))


def p_value(expected: Floats, seen: Floats, index: float, material: float) -> float:
    """The chance of an index this large or larger if the true one were `material`."""
    n, m = float(expected.sum()), float(seen.sum())
    if not n or not m:
        return 1.0
    effective = n * m / (n + m)
    freedom = max(int(np.count_nonzero(expected + seen)) - 1, 1)
    return float(ncx2.sf(effective * index, freedom, effective * material))


def alert_drift(expected_per_day: float, alerts: int, days: float) -> AlertDrift:
    """Whether alerts a day are off by more than `ALERT_FACTOR`, surely: beyond the chance of a Poisson count."""
    expected = expected_per_day * days
    too_many = poisson.sf(alerts - 1, expected * ALERT_FACTOR) < SIGNIFICANCE
    too_few = poisson.cdf(alerts, expected / ALERT_FACTOR) < SIGNIFICANCE
    return AlertDrift(expected_per_day, alerts / days, bool(too_many or too_few))


def _verdict(expected: Floats, seen: Floats, index: float) -> Verdict:
    if p_value(expected, seen, index, FAR) < SIGNIFICANCE:
        return "far off"
    return "drifted" if p_value(expected, seen, index, MATERIAL) < SIGNIFICANCE else "steady"


def _shares(counts: Floats) -> list[float]:
    return (counts / max(counts.sum(), 1.0)).tolist()  # type: ignore[no-any-return]

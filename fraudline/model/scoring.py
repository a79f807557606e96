"""The one scorer. Plain Python over data: the linear form needs no numpy, and one row gives the bits of a million.

A linear model is, for each feature, a piecewise-linear curve: a table of knots, and an intercept and a slope for each
piece. The margin is their sum, in feature order; Platt's map makes a probability of it. `scoring_matrix.py` evaluates
the same table on numpy columns with the same operations in the same order; boosted trees live in `scoring_trees.py`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import exp
from typing import Protocol

import msgspec

LOWEST_SCORE = 1e-15
HIGHEST_SCORE = 1 - 1e-15


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Platt's map from a margin to the log-odds of fraud; strictly increasing, so ranks are kept."""

    slope: float = 1.0
    offset: float = 0.0

    def score(self, margin: float) -> float:
        """Probability of fraud, within [1e-15, 1 - 1e-15]; `scoring_matrix.py` has the same for many margins."""
        log_odds = self.slope * margin + self.offset
        odds = exp(-abs(log_odds))
        probability = (1.0 if log_odds >= 0.0 else odds) / (1.0 + odds)
        return min(max(probability, LOWEST_SCORE), HIGHEST_SCORE)


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feature's share of the margin: on piece p, between knots p-1 and p, `intercepts[p] + slopes[p] * value`.

    Outside the first and last knot the curve is flat: nothing is extrapolated beyond what training has seen.
    """

    feature: str
    knots: tuple[float, ...]
    intercepts: tuple[float, ...]
    slopes: tuple[float, ...]


class Scorer(Protocol):
    """What every path scores with."""

    def score(self, features: Sequence[float]) -> float: ...

    def score_many(self, rows: Sequence[Sequence[float]]) -> list[float]: ...

    def contributions(self, features: Sequence[float]) -> list[float]:
        """How much each feature moves the margin away from what is usual, in feature order."""
        ...


class LinearModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="linear"):
    """`scorer.json` of a linear model: one curve a feature, in the order of the feature set."""

    intercept: float
    curves: tuple[Curve, ...]
    calibration: Calibration
    # Each curve's mean over the training rows: the usual contribution.
    usual: tuple[float, ...]


class LinearScorer:
    """Scores features with a `LinearModel`."""

    def __init__(self, model: LinearModel) -> None:
        self.model = model
        self._curves = [(curve.knots, curve.intercepts, curve.slopes) for curve in model.curves]

    def margin(self, features: Sequence[float]) -> float:
        total = self.model.intercept
        for value, (knots, intercepts, slopes) in zip(features, self._curves):
            piece = bisect_right(knots, value)
            total += intercepts[piece] + slopes[piece] * value
        return total

    def score(self, features: Sequence[float]) -> float:
        return self.model.calibration.score(self.margin(features))

    def score_many(self, rows: Sequence[Sequence[float]]) -> list[float]:
        return [self.score(features) for features in rows]

    def contributions(self, features: Sequence[float]) -> list[float]:
        shares = []
        for value, (knots, intercepts, slopes), usual in zip(features, self._curves, self.model.usual):
            piece = bisect_right(knots, value)
            shares.append(intercepts[piece] + slopes[piece] * value - usual)
        return shares


def read_linear(data: bytes) -> LinearScorer:
    """A scorer from the bytes of `scorer.json`, already verified."""
    return LinearScorer(msgspec.json.decode(data, type=LinearModel))

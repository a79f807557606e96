"""The one scorer on numpy columns: the same table, operations and order as `scoring.py`, hence the same bits."""

from collections.abc import Iterable
from math import exp

import numpy as np
import numpy.typing as npt

from fraudline.model.scoring import HIGHEST_SCORE, LOWEST_SCORE, Calibration, Curve, LinearScorer, Scorer

Floats = npt.NDArray[np.float64]
# Rows whose columns stay in the processor's cache while they are worked.
BLOCK = 16_384
# Up to so many knots a comparison with each is faster than a bisection, whose branches nothing can foretell.
FEW_KNOTS = 16


def score_matrix(scorer: Scorer, features: Floats) -> Floats:
    """Scores of a matrix (rows, features)."""
    if isinstance(scorer, LinearScorer):
        return probabilities(scorer.model.calibration, margins(scorer, features))
    return np.array(scorer.score_many(features))  # type: ignore[arg-type]


def score_columns(scorer: Scorer, columns: list[Floats]) -> Floats:
    """Scores of rows whose features are given one by one: each of `columns` (rows,), in feature order."""
    if isinstance(scorer, LinearScorer):
        return probabilities(scorer.model.calibration, _margins(scorer, columns))
    return score_matrix(scorer, np.stack(columns, axis=1))


def margins(scorer: LinearScorer, features: Floats) -> Floats:
    """Uncalibrated margins (rows,) of a matrix."""
    blocks = (features[begin : begin + BLOCK] for begin in range(0, len(features), BLOCK))
    return np.concatenate([np.zeros(0), *(_margins(scorer, np.ascontiguousarray(block.T)) for block in blocks)])


def _margins(scorer: LinearScorer, columns: Iterable[Floats]) -> Floats:
    shares = (_share(curve, values) for curve, values in zip(scorer.model.curves, columns, strict=True))
    total = next(shares) + scorer.model.intercept
    for share in shares:
        total += share
    return total


def _share(curve: Curve, values: Floats) -> Floats:
    piece = _pieces(curve.knots, values)
    share = np.array(curve.slopes).take(piece)
    share *= values
    share += np.array(curve.intercepts).take(piece)
    return share


def _pieces(knots: tuple[float, ...], values: Floats) -> npt.NDArray[np.integer]:
    """How many knots are at or below each value, as `bisect_right` tells."""
    if not 0 < len(knots) <= FEW_KNOTS:
        return np.searchsorted(knots, values, side="right")
    below = np.zeros(len(values), np.uint8)
    for knot in knots:
        below += values >= knot
    return below


def probabilities(calibration: Calibration, margins: Floats) -> Floats:
    """`Calibration.score` of each margin. `exp` goes through the scalar one: numpy's differs in the last bit."""
    log_odds = calibration.slope * margins + calibration.offset
    odds = np.fromiter(map(exp, (-np.abs(log_odds)).tolist()), np.float64, len(margins))
    probability = np.where(log_odds >= 0.0, 1.0, odds) / (1.0 + odds)
    return np.minimum(np.maximum(probability, LOWEST_SCORE), HIGHEST_SCORE)

"""The one scorer on numpy columns: the same table, operations and order as `scoring.py`, hence the same bits."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.scoring import LinearScorer, Scorer

BLOCK = 4_096


def score_matrix(scorer: Scorer, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores of a matrix (rows, features)."""
    if isinstance(scorer, LinearScorer):
        # The logistic function goes through the scalar one: numpy's exp differs in the last bit.
        score = scorer.model.calibration.score
        return np.fromiter(map(score, margins(scorer, features).tolist()), np.float64, len(features))
    return np.array(scorer.score_many(features))  # type: ignore[arg-type]


def margins(scorer: LinearScorer, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Uncalibrated margins (rows,), block by block: a block's columns stay in the processor's cache."""
    blocks = range(0, len(features), BLOCK)
    return np.concatenate([np.zeros(0), *(_block_margins(scorer, features[begin : begin + BLOCK]) for begin in blocks)])


def _block_margins(scorer: LinearScorer, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total: npt.NDArray[Any] = np.full(len(features), scorer.model.intercept)
    for column, curve in enumerate(scorer.model.curves):
        value = features[:, column]
        piece = np.searchsorted(curve.knots, value, side="right")
        total += np.array(curve.intercepts)[piece] + np.array(curve.slopes)[piece] * value
    return total

"""The one scorer on numpy columns: the same table, operations and order as `scoring.py`, hence the same bits."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.scoring import LinearScorer, Scorer


def score_matrix(scorer: Scorer, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores of a matrix (rows, features)."""
    if isinstance(scorer, LinearScorer):
        # The logistic function goes through the scalar one: numpy's exp differs in the last bit.
        score = scorer.model.calibration.score
        return np.fromiter(map(score, margins(scorer, features).tolist()), np.float64, len(features))
    return np.array(scorer.score_many(features))  # type: ignore[arg-type]


def margins(scorer: LinearScorer, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total: npt.NDArray[Any] = np.full(len(features), scorer.model.intercept)
    for column, curve in enumerate(scorer.model.curves):
        value = features[:, column]
        piece = np.searchsorted(curve.knots, value, side="right")
        total += np.array(curve.intercepts)[piece] + np.array(curve.slopes)[piece] * value
    return total

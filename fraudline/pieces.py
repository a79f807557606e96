"""Piecewise-linear pieces of features, so that a linear model can bend: the scikit-learn step and its curves.

Knots stand at quantiles, several of them in the far tail, for that is where fraud is. Values outside the training
range count as the nearest end: what was never seen is not extrapolated.

Published pipelines (`model.joblib`) name this module: it stays where it is.
"""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from fraudline.model.scoring import Curve

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
Matrix = npt.NDArray[np.float64]


class PiecewiseLinear(TransformerMixin, BaseEstimator):
    """Each feature as itself and its hinges max(0, x - knot), all standardised: (rows, features) -> (rows, columns)."""

    def fit(self, X: Matrix, y: Any = None) -> Self:
        self.low_, self.high_ = X.min(axis=0), X.max(axis=0)
        self.knots_ = [self._knots(X[:, j], self.low_[j], self.high_[j]) for j in range(X.shape[1])]
        self.n_features_in_ = X.shape[1]
        moments = [(pieces.mean(axis=0), pieces.std(axis=0)) for pieces in self._pieces(X)]
        self.mean_ = np.concatenate([mean for mean, _ in moments])
        deviation = np.concatenate([deviation for _, deviation in moments])
        self.scale_ = np.where(deviation > 1e-12, deviation, np.inf)
        return self

    def transform(self, X: Matrix) -> Matrix:
        # The matrix is what a retrain's memory goes to: one of them, in the order of rows that the regression takes.
        out, column = np.empty((len(X), len(self.mean_))), 0
        for pieces in self._pieces(X):
            part = slice(column, column + pieces.shape[1])
            np.divide(np.subtract(pieces, self.mean_[part], out=pieces), self.scale_[part], out=out[:, part])
            column = part.stop
        return out

    def curves(self, names: tuple[str, ...], weights: Matrix, shift: Matrix, unit: Matrix) -> tuple[Curve, ...]:
        """What `weights` make of each feature, told in its own unit: the input was (feature - shift) / unit."""
        slopes = weights / self.scale_
        curves, column = [], 0
        for j, name in enumerate(names):
            width = 1 + len(self.knots_[j])
            part = slice(column, column + width)
            curves.append(self._curve(j, name, slopes[part], self.mean_[part], float(shift[j]), float(unit[j])))
            column += width
        return tuple(curves)

    def _curve(self, j: int, name: str, slopes: Matrix, means: Matrix, shift: float, unit: float) -> Curve:
        low, high = self.low_[j], self.high_[j]
        knots = np.r_[low, self.knots_[j], high]
        # Between two knots the column itself and the hinges left of there are active.
        inner_slopes = np.cumsum(slopes)
        inner_starts = -np.cumsum(slopes * np.r_[0.0, self.knots_[j]]) - np.dot(slopes, means)
        ends = (inner_starts[0] + inner_slopes[0] * low, inner_starts[-1] + inner_slopes[-1] * high)
        starts = np.r_[ends[0], inner_starts - inner_slopes * shift / unit, ends[1]]
        return Curve(
            name,
            tuple((knots * unit + shift).tolist()),
            tuple(starts.tolist()),
            (0.0, *(inner_slopes / unit).tolist(), 0.0),
        )

    def _pieces(self, X: Matrix) -> Iterator[Matrix]:
        """For each feature (rows, 1 + knots): its clipped values, then its hinges."""
        for j, knots in enumerate(self.knots_):
            values = np.clip(X[:, j], self.low_[j], self.high_[j])
            pieces = np.empty((len(X), 1 + len(knots)), order="F")
            pieces[:, 0] = values
            for column, knot in enumerate(knots, start=1):
                np.maximum(values - knot, 0.0, out=pieces[:, column])
            yield pieces

    @staticmethod
    def _knots(values: Matrix, low: float, high: float) -> Matrix:
        knots = np.unique(np.quantile(values, QUANTILES, method="inverted_cdf"))
        return knots[(knots > low) & (knots < high)]

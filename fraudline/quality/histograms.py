"""Histograms that travel in a bundle: what training saw, for drift to be measured against.

A histogram with k edges has k + 1 bins: below the first edge, between neighbours (the lower one included), at or above
the last. Made from data, its first and last bin are empty: what falls there later is outside all that training saw.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Deciles for the bulk, then the far tail: an amount above all usual ones must not hide in the top tenth.
QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999)

Histogram = dict[str, list[Any]]


def histogram(values: npt.ArrayLike, edges: Sequence[float] | None = None) -> Histogram:
    """Counts of finite `values` in bins, as `{"edges": [k floats], "counts": [k + 1 ints]}` of plain JSON numbers.

    Without `edges` they are the values' minimum, `QUANTILES` and the next float after the maximum, equal ones merged;
    edges are values that occur, so that equal data give equal bytes. `ValueError` for no values or one not finite.

    >>> histogram([0, 0, 1, 1])
    {'edges': [0.0, 1.0, 1.0000000000000002], 'counts': [0, 2, 2, 0]}
    >>> histogram([0.5, 2, 3], edges=[0.0, 1.0])
    {'edges': [0.0, 1.0], 'counts': [0, 1, 2]}
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not len(ordered) and edges is None:
        raise ValueError("a histogram of no values has no edges")
    if len(ordered) and not np.isfinite(ordered[[0, -1]]).all():
        raise ValueError("a histogram takes finite values only")
    cuts = _edges(ordered) if edges is None else np.asarray(edges, dtype=np.float64)
    bounds = np.searchsorted(ordered, cuts, side="left")
    counts = np.diff(np.concatenate([[0], bounds, [len(ordered)]]))
    return {"edges": cuts.tolist(), "counts": counts.tolist()}


def reference(matrix: npt.NDArray[np.float64], names: Sequence[str], scores: npt.ArrayLike) -> dict[str, Any]:
    """What a bundle keeps of its training rows: a histogram of each feature by name, and of the scores.

    `matrix` is (rows, features) with one name a column; `scores` are those rows' scores by the bundle's scorer.
    """
    columns = {name: histogram(matrix[:, index]) for index, name in enumerate(names)}
    return {"features": columns, "scores": histogram(scores)}


def _edges(ordered: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    quantiles = np.quantile(ordered, QUANTILES, method="inverted_cdf")
    beyond = np.nextafter(ordered[-1], np.inf)
    # 0.0 and -0.0 are one edge, written one way.
    return np.unique(np.concatenate([ordered[:1], quantiles, [beyond]])) + 0.0

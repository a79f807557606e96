"""The arithmetic of feature expressions on arrays. `scalar.py` holds the same, line for line, on plain numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.features.constants import (
    AGE_CAP,
    PRIOR_DEVIATION,
    PRIOR_DEVIATION_WEIGHT,
    PRIOR_RATE,
    PRIOR_WEIGHT,
    RATIO_CAP,
)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def real(values: npt.NDArray[Any]) -> Floats:
    return values.astype(np.float64)


def indicator(condition: npt.NDArray[np.bool_]) -> Floats:
    return condition.astype(np.float64)


def over(numerator: Integers, denominator: Integers, default: float) -> Floats:
    out = np.full(len(numerator), default)
    np.divide(real(numerator), real(denominator), out=out, where=denominator > 0)
    return out


def ratio(amount: Integers, total: Integers, count: Integers) -> Floats:
    out = np.ones(len(amount))
    np.divide(real(amount) * real(count), real(total), out=out, where=total > 0)
    return np.minimum(out, RATIO_CAP)


def beyond(amount: Integers, total: Integers, count: Integers) -> Floats:
    known = count > 0
    out = np.zeros(len(amount))
    np.divide(real(total), real(count), out=out, where=known)
    np.subtract(real(amount), out, out=out, where=known)
    return out


def zscore(amount: Integers, count: Integers, total: Integers, squares: Integers) -> Floats:
    known = count > 0
    n = np.where(known, count, 1).astype(np.float64)
    mean = real(total) / n
    spread = np.maximum(real(squares) / n - mean * mean, 0.0)
    prior = PRIOR_DEVIATION * mean + 1.0
    variance = (n * spread + PRIOR_DEVIATION_WEIGHT * prior * prior) / (n + PRIOR_DEVIATION_WEIGHT)
    value = (real(amount) - mean) / np.sqrt(variance)
    return np.where(known, np.minimum(value, RATIO_CAP), 0.0)


def rate(events: Integers, known: Integers) -> Floats:
    return (real(events) + PRIOR_WEIGHT * PRIOR_RATE) / (real(known) + PRIOR_WEIGHT)


def age(elapsed: Integers) -> Floats:
    return np.where((elapsed >= 0) & (elapsed < AGE_CAP), elapsed, AGE_CAP).astype(np.float64)


OPERATIONS = {f.__name__: f for f in (real, indicator, over, ratio, beyond, zscore, rate, age)}

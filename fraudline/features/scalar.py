"""The arithmetic of feature expressions on plain numbers. `vector.py` holds the same, line for line, on arrays."""

from math import sqrt

from fraudline.features.constants import (
    AGE_CAP,
    PRIOR_DEVIATION,
    PRIOR_DEVIATION_WEIGHT,
    PRIOR_RATE,
    PRIOR_WEIGHT,
    RATIO_CAP,
)

real = float


def indicator(condition: bool) -> float:
    return 1.0 if condition else 0.0


def over(numerator: int, denominator: int, default: float) -> float:
    """numerator / denominator, or the default where there is nothing to divide by."""
    return float(numerator) / float(denominator) if denominator > 0 else default


def ratio(amount: int, total: int, count: int) -> float:
    """An amount against the mean of `count` amounts that sum to `total`; 1 without any, capped against tiny means."""
    if total <= 0:
        return 1.0
    value = float(amount) * float(count) / float(total)
    return value if value < RATIO_CAP else RATIO_CAP


def beyond(amount: int, total: int, count: int) -> float:
    """How far an amount is above (below: negative) the mean of `count` amounts; 0 without any."""
    return float(amount) - float(total) / float(count) if count > 0 else 0.0


def zscore(amount: int, count: int, total: int, squares: int) -> float:
    """An amount in standard deviations from the mean; few observations count less than the prior deviation."""
    if count <= 0:
        return 0.0
    n = float(count)
    mean = float(total) / n
    spread = float(squares) / n - mean * mean
    spread = spread if spread > 0.0 else 0.0
    prior = PRIOR_DEVIATION * mean + 1.0
    variance = (n * spread + PRIOR_DEVIATION_WEIGHT * prior * prior) / (n + PRIOR_DEVIATION_WEIGHT)
    value = (float(amount) - mean) / sqrt(variance)
    return value if value < RATIO_CAP else RATIO_CAP


def rate(events: int, known: int) -> float:
    """A share, shrunk towards the prior rate."""
    return (float(events) + PRIOR_WEIGHT * PRIOR_RATE) / (float(known) + PRIOR_WEIGHT)


def age(elapsed: int) -> float:
    """Microseconds since something; never (a negative number) and very long ago are the cap."""
    return float(elapsed) if 0 <= elapsed < AGE_CAP else float(AGE_CAP)


OPERATIONS = {f.__name__: f for f in (indicator, over, ratio, beyond, zscore, rate, age)} | {"real": real}

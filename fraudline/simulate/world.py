"""What users and attackers draw from: places, devices, cards, and a few helpers.

Inside the simulator a place, device or card is its index in these tuples; `transactions` writes the texts.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

HOUR = 3_600
DAY = 86_400

DEVICES = ("mobile", "desktop", "tablet")
CARDS = ("credit", "debit", "prepaid")

# Where users live, most popular first. Two names are not ASCII, as in any real feed.
PLACES = (
    *("New York", "Los Angeles", "London", "Chicago", "Toronto", "Houston", "Berlin", "Paris"),
    *("Phoenix", "Madrid", "Philadelphia", "Sydney", "Amsterdam", "Dallas", "São Paulo", "Warsaw"),
    *("Milan", "Austin", "Dublin", "Lagos", "Seattle", "Vienna", "Denver", "Prague"),
    *("Boston", "Lisbon", "Zürich", "Bucharest", "Mumbai", "Singapore", "Atlanta", "Copenhagen"),
    *("Istanbul", "Miami", "Manila", "Oslo", "Kyiv", "Tokyo", "Mexico City", "Helsinki"),
)
_rank = np.arange(len(PLACES))
HOME_SHARES: Floats = 1 / (_rank + 4.0)
HOME_SHARES /= HOME_SHARES.sum()
# Attackers sit, or exit their VPN, everywhere, more often where few of the shop's users live.
ATTACK_SHARES: Floats = 0.2 * HOME_SHARES + 0.8 * _rank**2 / (_rank**2).sum()


def pick(rng: np.random.Generator, shares: Any, size: int) -> Ints:
    """`size` indices into `shares`, each drawn with its share."""
    return rng.choice(len(shares), size=size, p=shares).astype(np.int64)


def other(rng: np.random.Generator, usual: Ints, choices: int) -> Ints:
    """For each index in `usual` another one below `choices`, all equally likely."""
    return (usual + rng.integers(1, choices, size=len(usual))) % choices


def position_in_run(sizes: Ints) -> Ints:
    """0, 1, 2, ... within each run: `[2, 3]` gives `[0, 1, 0, 1, 2]`."""
    ends = np.cumsum(sizes)
    return np.arange(sizes.sum()) - np.repeat(ends - sizes, sizes)


def sum_in_run(gaps: Floats, sizes: Ints) -> Floats:
    """Running totals within each run of `sizes` items; the first item of a run stands at 0."""
    totals: Floats = np.cumsum(gaps)
    firsts = np.cumsum(sizes) - sizes
    before: Floats = np.repeat(totals[firsts], sizes)
    return totals - before

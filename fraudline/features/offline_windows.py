"""Windows over whole columns: rows grouped by entity in time order, running sums, and each window's first row.

What happened in a window is then one subtraction: the running sum before the row, less that before the window.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.contract import Entity
from fraudline.durations import DAY, HOUR
from fraudline.features.definition import windows
from fraudline.transactions.table import Integers

Mask = npt.NDArray[np.bool_]
# Columns of what features are computed from, by the names that `definition.py` gives them.
Primitives = dict[str, Integers]
# Rows computed at once: small enough that a block's columns stay in the processor's cache.
BLOCK = 16_384
HOURS_A_DAY = DAY // HOUR


def sums_before(values: npt.NDArray[Any]) -> Integers:
    """Running sums before each row, with the grand total at the end: n + 1 numbers.

    They may wrap around 2**64; differences of them within one entity do not, and are all that is used.
    """
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, dtype=np.int64, out=sums[1:])
    return sums


def stable_order(codes: npt.NDArray[np.int32]) -> Integers:
    """Positions grouped by code, each group in its original order; numpy sorts 16-bit integers in linear time."""
    small = codes.astype(np.uint16) if len(codes) and codes.max() < 2**16 else codes
    return np.argsort(small, kind="stable").astype(np.int64)


@dataclass(frozen=True)
class Keys:
    """Rows ordered by (entity, hour) as one ascending integer, to find the first row of any window by bisection."""

    sorted: Integers
    base: int
    span: int

    @staticmethod
    def of(codes: npt.NDArray[np.int32], hours: Integers) -> "Keys":
        base = int(hours.min()) if len(hours) else 0
        span = int(hours.max()) - base + 2 if len(hours) else 2
        return Keys(codes.astype(np.int64) * span + (hours - base), base, span)

    def first_at_or_after(self, codes: npt.NDArray[np.int32], hours: Integers) -> Integers:
        wanted = codes.astype(np.int64) * self.span + np.clip(hours - self.base, 0, self.span - 1)
        if not len(wanted):
            return wanted
        # The rows asked for lie close together: search among their neighbours only.
        low, high = np.searchsorted(self.sorted, [wanted.min(), wanted.max()])
        return np.asarray(low + np.searchsorted(self.sorted[low : high + 1], wanted), dtype=np.int64)

    def first_of(self, codes: npt.NDArray[np.int32]) -> Integers:
        """The first row of each entity."""
        return self.first_at_or_after(codes, np.full(len(codes), self.base))


def window_starts(end_hours: Integers, entity: Entity) -> Iterator[tuple[str, Integers]]:
    """For each window its name and the hours (since the epoch) at which it starts."""
    days = end_hours - end_hours % HOURS_A_DAY
    for window in windows(entity):
        yield window.name, (end_hours if window.tile == HOUR else days) - window.length // HOUR

"""What is remembered of an entity: tiles of exact integer sums, a few dozen numbers however long its history.

A tile is an hour or a day in which something happened; it keeps the running totals from *before* it. The sums of any
window that starts on a tile's edge are then one bisection and one subtraction: now minus before.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

_encoder = msgspec.msgpack.Encoder()
_totals = msgspec.msgpack.Decoder(list[int])


class Tiles(msgspec.Struct, array_like=True):
    """Tiles of one size in time order: when each starts (microseconds) and the running totals before it."""

    starts: list[int] = []
    # Encoded, as they are stored: of dozens an event looks at the few where its windows start, and a batch that holds
    # tens of thousands of lists makes the garbage collector work.
    before: list[msgspec.Raw] = []
    # The largest amount within each tile (minor units).
    top: list[int] = []

    def open(self, start: int, totals: list[int], keep_from: int) -> None:
        """Make `start` the current tile, if it is not, and forget tiles that no window can reach."""
        starts = self.starts
        if starts and starts[-1] >= start:
            return
        stale = bisect_left(starts, keep_from)
        if stale:
            del starts[:stale], self.before[:stale], self.top[:stale]
        starts.append(start)
        self.before.append(msgspec.Raw(_encoder.encode(totals)))
        self.top.append(0)

    def totals_before(self, index: int) -> list[int]:
        """The running totals before the tile at this index."""
        return _totals.decode(self.before[index])

    def at(self, time: int, totals: list[int]) -> list[int]:
        """The running totals at `time`, a tile's edge; `totals` are those of now."""
        index = bisect_left(self.starts, time)
        return self.totals_before(index) if index < len(self.starts) else totals


class History(msgspec.Struct, array_like=True):
    """The partition entity's past, as of its last counted transaction. Mutable: `online.count` moves it on.

    `totals` holds count, sum, capped squares and outliers of all its transactions; `screened` count and sum without the
    first guess of outliers (against the plain mean), `usual` without the second (against the screened mean).
    """

    first: int = -1
    last: int = -1
    totals: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0, 0])
    screened: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    usual: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    hours: Tiles = msgspec.field(default_factory=Tiles)
    days: Tiles = msgspec.field(default_factory=Tiles)
    # One dictionary for each category, then each flag: how often each value was seen.
    seen: list[dict[str, int]] = []


class LaggedHistory(msgspec.Struct, array_like=True):
    """A lagged entity's past: volumes up to one hour, labels up to another.

    `volume` totals are count and sum. `labels` totals are known, frauds, unexplained frauds, the running count of
    unexplained frauds since the last cleared transaction, and when that run began, the last fraud and the last cleared
    transaction happened (microseconds; -1 for never). Readers may stand at the hour `complete_from` and later.
    """

    volume: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    volume_hours: Tiles = msgspec.field(default_factory=Tiles)
    volume_days: Tiles = msgspec.field(default_factory=Tiles)
    labels: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0, 0, -1, -1, -1])
    label_hours: Tiles = msgspec.field(default_factory=Tiles)
    label_days: Tiles = msgspec.field(default_factory=Tiles)
    complete_from: int = 0


class LabelEvent(msgspec.Struct, frozen=True):
    """A label that became known: it counts at `time` = max(transaction's time, known_at - label delay)."""

    time: int
    fraud: int
    unexplained: int


class Run(NamedTuple):
    """The unexplained frauds since the last cleared transaction, and when the last of each kind counted (-1: never)."""

    length: int
    began: int
    last_fraud: int
    last_cleared: int


def run_of(standing: Sequence[LabelEvent]) -> Run:
    """The run that these labels make, in the order they count.

    >>> fraud, cleared, again = LabelEvent(1, 1, 1), LabelEvent(2, 0, 0), LabelEvent(3, 1, 1)
    >>> run_of([fraud, cleared, again])
    Run(length=1, began=3, last_fraud=3, last_cleared=2)
    >>> run_of([fraud, again])
    Run(length=2, began=1, last_fraud=3, last_cleared=-1)
    """
    length, began, last_fraud, last_cleared = 0, -1, -1, -1
    for label in reversed(standing):
        if not label.fraud:
            last_cleared = label.time if last_cleared < 0 else last_cleared
        elif last_fraud < 0:
            last_fraud = label.time
        if label.unexplained and last_cleared < 0:
            length, began = length + 1, label.time
        if last_fraud >= 0 and last_cleared >= 0:
            break
    return Run(length, began, last_fraud, last_cleared)

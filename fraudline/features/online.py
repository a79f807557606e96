"""Features one transaction at a time, from profiles: plain Python, for the micro-batch and the Lambda.

`OnlineFeatures.features` reads, `count` writes. Their offline twin is `offline.py`; a property test holds them equal.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from fraudline.clock import local_hour_and_weekday
from fraudline.contract import Contract
from fraudline.durations import DAY, HOUR, floor_day, floor_hour
from fraudline.features.constants import (
    EXPLAINED_RATIO,
    MAX_SEEN_VALUES,
    OUTLIER_MIN_COUNT,
    OUTLIER_RATIO,
    SQUARE_CAP,
)
from fraudline.features.definition import feature_set, longest_window, windows
from fraudline.features.limits import fits, largest_amount
from fraudline.features.online_lagged import LaggedReader
from fraudline.features.profile import History, LaggedHistory
from fraudline.features.scalar import OPERATIONS
from fraudline.transactions.transaction import Transaction


class Computed(NamedTuple):
    """A transaction's features and when it counts; `explained` is whether its amount would explain a fraud."""

    features: list[float]
    effective_time: int
    explained: bool


class OnlineFeatures:
    """The incremental execution of a contract's feature set."""

    def __init__(self, contract: Contract) -> None:
        self.set = feature_set(contract)
        self._function = self.set.bind(OPERATIONS)
        self._zone = contract.timezone
        self._positions = tuple({value: index for index, value in enumerate(c.values)} for c in contract.categories)
        self._windows = tuple((w.length, w.tile == HOUR) for w in windows(contract.partition_entity))
        self._days_kept = longest_window(contract.partition_entity)
        self._lagged = tuple(LaggedReader(e, contract) for e in contract.lagged_entities)
        self._parts = len(contract.categories) + len(contract.flags)
        self._largest = largest_amount(contract)

    def new_history(self) -> History:
        return History(seen=[{} for _ in range(self._parts)])

    def features(
        self,
        transaction: Transaction,
        history: History | None,
        lagged: Sequence[LaggedHistory | None] = (),
        built_through: int | None = None,
    ) -> Computed:
        """Features of a transaction that `history` has not counted yet.

        `lagged` holds the histories of the contract's lagged entities, in its order (None or absent: nothing known);
        `built_through` is the hour up to which they may be read, by default the transaction's own, less the lag.
        """
        history = history or self.new_history()
        time = max(transaction.timestamp, history.last)
        hour, weekday = local_hour_and_weekday(transaction.timestamp, self._zone)
        amount = transaction.amount
        primitives: list[int] = [amount, hour, weekday]
        for positions, value in zip(self._positions, transaction.categories, strict=True):
            primitives.append(positions.get(value, -1))
        primitives += transaction.flags
        self._history(primitives, history, time)
        values = (*transaction.categories, *map(str, transaction.flags))
        primitives += [seen.get(value, 0) for seen, value in zip(history.seen, values, strict=True)]
        for index, reader in enumerate(self._lagged):
            primitives += reader.primitives(lagged[index] if index < len(lagged) else None, time, built_through)
        return Computed(self._function(*primitives), time, _explained(history, amount))

    def has_room(self, history: History) -> bool:
        """Whether what `history` has counted can be summed up offline, too."""
        n, s, q, _ = history.totals
        return fits(n, s, q, self._largest)

    def _history(self, primitives: list[int], history: History, time: int) -> None:
        n, s, q, o = history.totals
        primitives += (n, s, q, o, *history.usual)
        primitives.append(time - history.last if n else -1)
        primitives.append(time - history.first if n else -1)
        hour, day = floor_hour(time), floor_day(time)
        for length, hourly in self._windows:
            tiles, start = (history.hours, hour - length) if hourly else (history.days, day - length)
            first = bisect_left(tiles.starts, start)
            if first == len(tiles.starts):
                primitives += (0, 0, 0, 0, 0)
                continue
            n0, s0, q0, o0 = tiles.totals_before(first)
            primitives += (n - n0, s - s0, q - q0, o - o0, max(tiles.top[first:]))

    def count(self, history: History, transaction: Transaction, effective_time: int) -> None:
        """Move the history on by this transaction; `effective_time` is the one its features were computed at."""
        n, s, q, o = totals = history.totals
        amount = transaction.amount
        square = amount if amount < SQUARE_CAP else SQUARE_CAP
        hour, day = floor_hour(effective_time), floor_day(effective_time)
        history.hours.open(hour, totals, hour - DAY)
        history.days.open(day, totals, day - self._days_kept)
        for tiles in (history.hours, history.days):
            if amount > tiles.top[-1]:
                tiles.top[-1] = amount
        screened_n, screened_s = history.screened
        usual_n, usual_s = history.usual
        outlier = n >= OUTLIER_MIN_COUNT and amount * screened_n > OUTLIER_RATIO * screened_s
        if not (n >= OUTLIER_MIN_COUNT and amount * n > OUTLIER_RATIO * s):
            history.screened = [screened_n + 1, screened_s + amount]
        if not outlier:
            history.usual = [usual_n + 1, usual_s + amount]
        history.totals = [n + 1, s + amount, q + square * square, o + outlier]
        if n == 0:
            history.first = effective_time
        history.last = effective_time
        values = (*transaction.categories, *map(str, transaction.flags))
        for seen, value in zip(history.seen, values, strict=True):
            if value in seen or len(seen) < MAX_SEEN_VALUES:
                seen[value] = seen.get(value, 0) + 1


def _explained(history: History, amount: int) -> bool:
    usual_n, usual_s = history.usual
    return usual_n > 0 and amount * usual_n > EXPLAINED_RATIO * usual_s

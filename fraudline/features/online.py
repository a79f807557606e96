"""Features one transaction at a time, from profiles: plain Python, for the micro-batch and the Lambda.

`OnlineFeatures.features` reads, `count` writes. Their offline twin is `offline.py`; a property test holds them equal.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from fraudline.clock import format_micros, local_hour_and_weekday
from fraudline.contract import Contract, Entity
from fraudline.durations import DAY, HOUR, floor_day, floor_hour, parse_duration
from fraudline.errors import Unavailable
from fraudline.features.constants import (
    EXPLAINED_RATIO,
    MAX_SEEN_VALUES,
    OUTLIER_MIN_COUNT,
    OUTLIER_RATIO,
    SQUARE_CAP,
)
from fraudline.features.definition import feature_set, windows
from fraudline.features.limits import fits, largest_amount
from fraudline.features.profile import History, LabelEvent, LaggedHistory, Tiles, run_of
from fraudline.features.scalar import OPERATIONS
from fraudline.transaction import Transaction


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
        self._days_kept = _days_kept(contract.partition_entity)
        self._lagged = tuple(_LaggedReader(e, contract) for e in contract.lagged_entities)
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


def _days_kept(entity: Entity) -> int:
    """How far before its floored day an entity's day tiles may be read."""
    return max(window.length for window in windows(entity))


class _LaggedReader:
    """Primitives of one lagged entity at an hour that its tiles are built through."""

    def __init__(self, entity: Entity, contract: Contract) -> None:
        self._windows = tuple((w.length, w.tile == HOUR) for w in windows(entity))
        self._risk = entity.risk
        self._lag = parse_duration(entity.lag or "1h")
        self._delay = contract.label_delay
        # A batch reads at one hour, or two.
        self._starts = lru_cache(maxsize=8)(self._starts_before)
        self._unknown = self._values(LaggedHistory(), 0, 0)

    def primitives(self, history: LaggedHistory | None, time: int, built_through: int | None) -> list[int]:
        latest = floor_hour(time - self._lag)
        end = latest if built_through is None else min(built_through, latest)
        if history is None or (built_through is not None and not is_within_reach(end, built_through)):
            return self._unknown
        if end < history.complete_from:
            raise Unavailable(
                f"lagged entities were built without the hours before {format_micros(history.complete_from)}, which a"
                " batch still reads: run `fraudline materialize`, which keeps the hours of batches that are under way"
            )
        return self._values(history, end, time)

    def _values(self, history: LaggedHistory, end: int, time: int) -> list[int]:
        values: list[int] = []
        now = history.volume_hours.at(end, history.volume)
        for start, hourly in self._starts(end):
            tiles = history.volume_hours if hourly else history.volume_days
            n0, s0 = tiles.at(start, history.volume)
            values += (now[0] - n0, now[1] - s0)
        if self._risk:
            values += self._labels(history, end + self._lag - self._delay, time)
        return values

    def _labels(self, history: LaggedHistory, end: int, time: int) -> list[int]:
        values: list[int] = []
        known, fraud, plain, run, began, last_fraud, last_cleared = history.label_hours.at(end, history.labels)
        for start, hourly in self._starts(end):
            tiles = history.label_hours if hourly else history.label_days
            before = tiles.at(start, history.labels)
            # Labels that were withdrawn in the window, but began before it, are none of its own.
            values += (max(known - before[0], 0), max(fraud - before[1], 0), max(plain - before[2], 0))
        values.append(run)
        values.append(time - began if run else -1)
        values.append(time - last_fraud if last_fraud >= 0 else -1)
        values.append(time - last_cleared if last_cleared >= 0 else -1)
        return values

    def _starts_before(self, end: int) -> list[tuple[int, bool]]:
        """Where the windows that end there start, and whether in hour tiles."""
        day = floor_day(end)
        return [(end - length if hourly else day - length, hourly) for length, hourly in self._windows]


def is_within_reach(end: int, built_through: int) -> bool:
    """Whether a reader at the hour `end` finds lagged entities built up to another: they are kept for so long.

    Beyond that, and before the first build, nothing is known of them, by rule: offline code follows.
    """
    return built_through > 0 and end >= built_through - REACH


class LaggedCounter:
    """Builds a lagged entity's history from its transactions and labels, each given in time order.

    Tiles are kept for readers at the hour `volumes_from` and later, and for their labels, which end at `labels_from`;
    by default for readers that are `REACH` behind the newest tile.
    """

    def __init__(self, entity: Entity, volumes_from: int | None = None, labels_from: int | None = None) -> None:
        self._days_kept = _days_kept(entity)
        self._volumes_from = volumes_from
        self._labels_from = labels_from

    def count_transaction(self, history: LaggedHistory, time: int, amount: int) -> None:
        totals = history.volume
        self._open(history.volume_hours, history.volume_days, time, totals, self._volumes_from)
        history.volume = [totals[0] + 1, totals[1] + amount]

    def count_label(self, history: LaggedHistory, label: LabelEvent) -> None:
        known, fraud, plain, *run = self._labels_at(history, label.time)
        length, began, last_fraud, last_cleared = run
        if label.fraud:
            last_fraud = label.time
            if label.unexplained:
                began = began if length else label.time
                length += 1
        else:
            length, began, last_cleared = 0, -1, label.time
        counts = known + 1, fraud + label.fraud, plain + label.unexplained
        history.labels = [*counts, length, began, last_fraud, last_cleared]

    def withdraw_label(
        self, history: LaggedHistory, label: LabelEvent, time: int, standing: Sequence[LabelEvent]
    ) -> None:
        """Take a label back at `time`: its counts are given back then, the run is that of those still `standing`."""
        known, fraud, plain, *_ = self._labels_at(history, time)
        history.labels = [known - 1, fraud - label.fraud, plain - label.unexplained, *run_of(standing)]

    def _labels_at(self, history: LaggedHistory, time: int) -> list[int]:
        self._open(history.label_hours, history.label_days, time, history.labels, self._labels_from)
        return history.labels

    def _open(self, hours: Tiles, days: Tiles, time: int, totals: list[int], reader: int | None) -> None:
        hour, day = floor_hour(time), floor_day(time)
        oldest = hour - REACH if reader is None else reader
        hours.open(hour, totals, min(oldest, hour) - DAY)
        days.open(day, totals, floor_day(min(oldest, hour)) - self._days_kept)


# How far behind the hour that lagged entities are built through a reader may stand. One is that far behind when it
# scores transactions of the day before yesterday: an outage that is made up for, a terminal that was offline.
REACH = 2 * DAY

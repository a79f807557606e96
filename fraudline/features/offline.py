"""Features of whole tables at once: sorts, running sums of integers and bisections, one pass per primitive.

The twin of `online.py`. Rows are grouped by entity in the order they count; the running totals before a row, less those
before the first row of a window, are exactly what the online tiles hold.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.clock import QUARTER, utc_offset
from fraudline.contract import Entity
from fraudline.durations import DAY, HOUR, parse_duration
from fraudline.features.constants import (
    EXPLAINED_RATIO,
    MAX_SEEN_VALUES,
    OUTLIER_MIN_COUNT,
    OUTLIER_RATIO,
    SQUARE_CAP,
)
from fraudline.features.definition import feature_set, later_primitive_names, windows
from fraudline.features.label_events import LabelEvents, label_events
from fraudline.features.limits import MOST, fits, largest_amount, too_many
from fraudline.features.online import REACH
from fraudline.features.profile import LabelEvent, Run, run_of
from fraudline.features.vector import OPERATIONS
from fraudline.table import NOT_RECORDED, TransactionTable

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Primitives = dict[str, Integers]
# Rows computed at once: small enough that a block's columns stay in the processor's cache.
BLOCK = 16_384
HOURS_A_DAY = DAY // HOUR


def offline_features(table: TransactionTable, rows: Mask | None = None) -> Floats:
    """Features (selected rows, features) of a table in the order it counts; every row is history for those after it.

    `rows` is a mask of the rows wanted, all by default.
    """
    wanted = np.ones(len(table), bool) if rows is None else rows
    features = OfflineFeatures(table)
    out = np.empty((int(wanted.sum()), features.width))
    for at, columns in features.blocks(wanted):
        # Whole rows at once: they go to places all over the matrix.
        out[at] = np.stack(columns, axis=1)
    return out


@dataclass(frozen=True)
class LaggedPrimitives:
    """What a lagged entity gives features: that of wanted row i stands at `place[i]` of `values` (rows, names)."""

    values: Integers
    place: Integers

    @staticmethod
    def of(values: Integers, rows: Integers) -> "LaggedPrimitives":
        """Of values that stand in another order than the wanted `rows` (numbers) that they are of."""
        place = np.empty(len(rows), dtype=np.int64)
        place[rows] = np.arange(len(rows))
        return LaggedPrimitives(values, place)


class OfflineFeatures:
    """A table in the order it counts, from whose past the features of any of its rows can be told."""

    def __init__(self, table: TransactionTable) -> None:
        self._table = table
        self._partition = _PartitionHistory(table)
        self._lagged: dict[bool, list[_LaggedHistory]] = {}

    @property
    def width(self) -> int:
        """How many features a row has."""
        return len(feature_set(self._table.contract).features)

    def blocks(
        self, rows: Mask, lagged: Sequence[LaggedPrimitives] | None = None
    ) -> Iterator[tuple[Integers, list[Floats]]]:
        """The features of the rows wanted (a mask), some at a time: which of the wanted they are, and their columns.

        `lagged` is told, for each lagged entity, where the table has not all of their rows, being a part of a larger
        one by the partition entity.
        """
        contract, definition = self._table.contract, feature_set(self._table.contract)
        function = definition.bind(OPERATIONS)
        destination = np.cumsum(rows) - 1
        lagged = self._primitives(np.flatnonzero(rows)) if lagged is None else lagged
        names = [list(later_primitive_names(entity)) for entity in contract.lagged_entities]
        positions = np.flatnonzero(rows[self._partition.order])
        for begin in range(0, len(positions), BLOCK):
            block = positions[begin : begin + BLOCK]
            original = self._partition.order[block]
            primitives = _own(self._table, original) | self._partition.primitives(block)
            at = destination[original]
            for entity, given in zip(names, lagged, strict=True):
                primitives |= zip(entity, np.ascontiguousarray(given.values[given.place[at]].T), strict=True)
            yield at, function(*(primitives[name] for name in definition.primitives))

    def _primitives(self, rows: Integers) -> list[LaggedPrimitives]:
        """What each lagged entity gives these rows."""
        group = np.zeros(len(rows), np.uint16)
        return [
            LaggedPrimitives.of(*_by_build(self._table, partial(self._lagged_history, index), rows, group))
            for index in range(1, len(self._table.entities))
        ]

    def _lagged_history(self, index: int, of_decided: bool) -> "_LaggedHistory":
        if of_decided not in self._lagged:
            table = self._table
            past = table.as_builds_saw_it() if of_decided else table
            explained = (self._partition if past is table else _PartitionHistory(past)).explained()
            entities = range(1, len(table.entities))
            self._lagged[of_decided] = [_LaggedHistory(past, index, explained, of_decided) for index in entities]
        return self._lagged[of_decided][index - 1]


def explained_by_amount(table: TransactionTable) -> Mask:
    """For each row whether its amount alone would explain a fraud: over twice the usual of its partition entity."""
    return _PartitionHistory(table).explained()


@dataclass(frozen=True)
class Explained:
    """Numbers (`source_row`) of the frauds that their amounts alone would explain.

    What is usual is told by the rows before: as they counted, or as builds of lagged entities counted them.
    """

    counted: Integers
    seen_by_builds: Integers

    @staticmethod
    def of(table: TransactionTable, frauds: Mask) -> "Explained":
        """Among the `frauds` of all rows of some members of the partition entity."""
        past = table.as_builds_saw_it()
        counted = table.source_row[explained_by_amount(table) & frauds]
        if past is table:
            return Explained(counted, counted)
        seen = past.source_row[explained_by_amount(past)]
        return Explained(counted, np.intersect1d(seen, table.source_row[frauds]))


def lagged_primitives(
    table: TransactionTable, index: int, explained: Explained, rows: Mask, group: npt.NDArray[Any]
) -> tuple[Integers, Integers]:
    """What lagged entity `index` gives features at the rows wanted (a mask), from all rows of some of its members.

    (rows wanted, `later_primitive_names`), those of one `group` (by wanted row) together, and which of the wanted rows
    each is of. `explained` is of all rows there are.
    """

    def history(of_decided: bool) -> _LaggedHistory:
        past = table.as_builds_saw_it() if of_decided else table
        numbers = explained.seen_by_builds if of_decided else explained.counted
        return _LaggedHistory(past, index, np.isin(past.source_row, numbers), of_decided)

    return _by_build(table, history, np.flatnonzero(rows), group)


def _by_build(
    table: TransactionTable, history: Callable[[bool], "_LaggedHistory"], rows: Integers, group: npt.NDArray[Any]
) -> tuple[Integers, Integers]:
    """Primitives of one lagged entity at these rows, by group, and which of the rows each is of.

    Those that the stream decided on are shown what the builds before their decision saw; all others, what happened.
    """
    built = table.built_through
    decided = np.zeros(len(rows), bool) if built is None else built[rows] != NOT_RECORDED
    if decided.all() or not decided.any():
        return _lagged(history(bool(decided.any())), table, rows, group)
    halves = [
        (_lagged(history(of_decided), table, rows[chosen], group[chosen]), chosen)
        for of_decided, chosen in ((False, np.flatnonzero(~decided)), (True, np.flatnonzero(decided)))
    ]
    of = np.concatenate([chosen[of] for (_, of), chosen in halves])
    by_group = np.argsort(group[of], kind="stable")
    return np.concatenate([values for (values, _), _ in halves])[by_group], of[by_group]


def _lagged(
    history: "_LaggedHistory", table: TransactionTable, rows: Integers, group: npt.NDArray[Any]
) -> tuple[Integers, Integers]:
    """Primitives of one lagged entity, worked off entity by entity: bisections stay in the cache.

    Those of a group stand together; beside them, which of `rows` they are of.
    """
    order = _stable_order(table.entities[history.index].codes[rows])
    grouped = np.argsort(group[order], kind="stable")
    place = np.empty(len(rows), dtype=np.int64)
    place[grouped] = np.arange(len(rows))
    names = list(later_primitive_names(table.contract.entities[history.index]))
    out = np.empty((len(rows), len(names)), dtype=np.int64)
    for begin in range(0, len(rows), BLOCK):
        block = slice(begin, begin + BLOCK)
        values = history.primitives(table, rows[order[block]])
        out[place[block]] = np.stack([values[name] for name in names], axis=1)
    return out, order[grouped]


def _own(table: TransactionTable, rows: Integers) -> Primitives:
    contract = table.contract
    time = table.timestamp[rows]
    local = time + _offsets(time, contract.timezone)
    values: Primitives = {
        "amount": table.amount[rows],
        "hour": local // HOUR % 24,
        "weekday": (local // DAY + 3) % 7,
    }
    for category, codes in zip(contract.categories, table.categories, strict=True):
        index = {value: position for position, value in enumerate(category.values)}
        positions = np.array([index.get(value, -1) for value in codes.values.to_pylist()] or [-1], dtype=np.int64)
        values[f"{category.name}_value"] = positions[codes.codes[rows]]
    for flag, column in zip(contract.flags, table.flags, strict=True):
        values[f"{flag.name}_value"] = column[rows].astype(np.int64)
    return values


def _offsets(time: Integers, zone: str) -> Integers | int:
    if zone == "UTC":
        return 0
    quarters, inverse = np.unique(time // QUARTER, return_inverse=True)
    return np.array([utc_offset(int(q), zone) for q in quarters], dtype=np.int64)[inverse]


def _before(values: npt.NDArray[Any]) -> Integers:
    """Running sums before each row, with the grand total at the end: n + 1 numbers.

    They may wrap around 2**64; differences of them within one entity do not, and are all that is used.
    """
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, dtype=np.int64, out=sums[1:])
    return sums


def _stable_order(codes: npt.NDArray[np.int32]) -> Integers:
    """Positions grouped by code, each group in its original order; numpy sorts 16-bit integers in linear time."""
    small = codes.astype(np.uint16) if len(codes) and codes.max() < 2**16 else codes
    return np.argsort(small, kind="stable").astype(np.int64)


@dataclass(frozen=True)
class _Keys:
    """Rows ordered by (entity, hour) as one ascending integer, to find the first row of any window by bisection."""

    sorted: Integers
    base: int
    span: int

    @staticmethod
    def of(codes: npt.NDArray[np.int32], hours: Integers) -> "_Keys":
        base = int(hours.min()) if len(hours) else 0
        span = int(hours.max()) - base + 2 if len(hours) else 2
        return _Keys(codes.astype(np.int64) * span + (hours - base), base, span)

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


def _window_starts(end_hours: Integers, entity: Entity) -> Iterator[tuple[str, Integers]]:
    """For each window its name and the hours (since the epoch) at which it starts."""
    days = end_hours - end_hours % HOURS_A_DAY
    for window in windows(entity):
        yield window.name, (end_hours if window.tile == HOUR else days) - window.length // HOUR


class _PartitionHistory:
    """The partition entity's running totals, in the order of its rows; `order` maps them to the table's."""

    def __init__(self, table: TransactionTable) -> None:
        self._table = table
        self._entity = table.contract.partition_entity
        self.order = _stable_order(table.entities[0].codes)
        self._codes = table.entities[0].codes[self.order]
        self._time = table.effective_time[self.order]
        self._hours = self._time // HOUR
        self._amount = amount = table.amount[self.order]
        starts = np.flatnonzero(np.r_[True, self._codes[1:] != self._codes[:-1]]) if len(amount) else np.arange(0)
        lengths = np.diff(np.r_[starts, len(amount)]).astype(np.int64)
        _refuse_more_than_fits(table, amount, starts, lengths)
        self._first = np.repeat(starts, lengths)
        self._sums = _before(amount)
        self._screen_outliers()

    @cached_property
    def _keys(self) -> _Keys:
        return _Keys.of(self._codes, self._hours)

    @cached_property
    def _squares(self) -> Integers:
        capped = np.minimum(self._amount, SQUARE_CAP)
        return _before(capped * capped)

    @cached_property
    def _tops(self) -> dict[int, "_Tops"]:
        """By the length of the tiles that a window is made of."""
        days = _Keys.of(self._codes, self._hours // HOURS_A_DAY)
        return {HOUR: _Tops(self._keys.sorted, self._amount), DAY: _Tops(days.sorted, self._amount)}

    def _screen_outliers(self) -> None:
        amount, here = self._amount, np.arange(len(self._amount))
        n, s = here - self._first, self._sums[:-1] - self._sums[self._first]
        enough = n >= OUTLIER_MIN_COUNT
        suspect = enough & (amount * n > OUTLIER_RATIO * s)
        screened_n, screened_s = self._without(suspect, here)
        outlier = enough & (amount * screened_n > OUTLIER_RATIO * screened_s)
        self._outliers = _before(outlier)
        self._usual_n, self._usual_s = self._without(outlier, here)
        self._explained = (self._usual_n > 0) & (amount * self._usual_n > EXPLAINED_RATIO * self._usual_s)

    def _without(self, left_out: Mask, here: Integers) -> tuple[Integers, Integers]:
        """Count and sum of an entity's earlier transactions, some left out."""
        counts, sums = _before(~left_out), _before(np.where(left_out, 0, self._amount))
        return counts[here] - counts[self._first], sums[here] - sums[self._first]

    @cached_property
    def _same(self) -> Primitives:
        contract = self._table.contract
        same: Primitives = {}
        for category, codes in zip(contract.categories, self._table.categories, strict=True):
            same[f"{category.name}_same"] = self._earlier_same(codes.codes[self.order].astype(np.int64))
        for flag, column in zip(contract.flags, self._table.flags, strict=True):
            same[f"{flag.name}_same"] = self._earlier_same(column[self.order].astype(np.int64))
        return same

    def _earlier_same(self, values: Integers) -> Integers:
        """How many earlier transactions of the entity have this row's value, of those values it remembers."""
        if not len(values):
            return values
        groups = self._codes.astype(np.int64) * (int(values.max()) + 1) + values
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(groups[order]) != 0])
        group_first = np.repeat(starts, np.diff(np.r_[starts, len(values)]))
        counts = np.empty(len(values), dtype=np.int64)
        counts[order] = np.arange(len(values)) - group_first
        new = _before(counts == 0)
        appeared = new[:-1] - new[self._first]
        rank = np.empty(len(values), dtype=np.int64)
        rank[order] = appeared[order[group_first]]
        return np.where(rank < MAX_SEEN_VALUES, counts, 0)

    def explained(self) -> Mask:
        """In the table's order: would the amount alone explain a fraud?"""
        out = np.empty(len(self.order), dtype=bool)
        out[self.order] = self._explained
        return out

    def primitives(self, here: Integers) -> Primitives:
        """At these positions (in this object's order)."""
        e, first, codes = self._entity.name, self._first[here], self._codes[here]
        n = here - first
        values: Primitives = {
            f"{e}_n": n,
            f"{e}_s": self._sums[here] - self._sums[first],
            f"{e}_q": self._squares[here] - self._squares[first],
            f"{e}_o": self._outliers[here] - self._outliers[first],
            f"{e}_usual_n": self._usual_n[here],
            f"{e}_usual_s": self._usual_s[here],
            f"{e}_last": np.where(n > 0, self._time[here] - self._time[np.maximum(here - 1, 0)], -1),
            f"{e}_first": np.where(n > 0, self._time[here] - self._time[first], -1),
        }
        tiles = {window.name: window.tile for window in windows(self._entity)}
        for w, starts in _window_starts(self._hours[here], self._entity):
            low = self._keys.first_at_or_after(codes, starts)
            values[f"{e}_n_{w}"] = here - low
            values[f"{e}_s_{w}"] = self._sums[here] - self._sums[low]
            values[f"{e}_q_{w}"] = self._squares[here] - self._squares[low]
            values[f"{e}_o_{w}"] = self._outliers[here] - self._outliers[low]
            values[f"{e}_top_{w}"] = self._tops[tiles[w]].between(low, here)
        return values | {name: same[here] for name, same in self._same.items()}


def _refuse_more_than_fits(table: TransactionTable, amount: Integers, starts: Integers, lengths: Integers) -> None:
    """`BadInput` where an entity's totals need more than 64 bits: they would wrap around, unseen."""
    if not len(amount):
        return
    largest, squared = largest_amount(table.contract), min(int(amount.max()), SQUARE_CAP) ** 2
    suspects = lengths > MOST // max(largest, OUTLIER_RATIO * int(amount.max()), squared)
    for start, length in zip(starts[suspects].tolist(), lengths[suspects].tolist(), strict=True):
        own = amount[start : start + length].tolist()
        if not fits(length, sum(own), sum(min(value, SQUARE_CAP) ** 2 for value in own), largest):
            raise too_many(table.contract, length)


class _Tops:
    """Largest amount between two rows, the first of which opens a tile: whole tiles by doubling, the last by prefix."""

    def __init__(self, tile_keys: Integers, amount: Integers) -> None:
        self._tile = np.cumsum(np.r_[0, tile_keys[1:] != tile_keys[:-1]]) if len(amount) else tile_keys
        starts = np.flatnonzero(np.r_[True, self._tile[1:] != self._tile[:-1]]) if len(amount) else tile_keys
        distinct, ranks = np.unique(amount, return_inverse=True)
        # Prefix maxima within each tile: ranks offset by the tile's number ascend from tile to tile.
        offset = self._tile * (len(distinct) + 1)
        running = np.maximum.accumulate(ranks + 1 + offset) - offset if len(amount) else ranks
        values = np.r_[0, distinct]
        inside = values[running]
        self._prefix = np.where(np.r_[True, self._tile[1:] != self._tile[:-1]], 0, np.r_[0, inside[:-1]])
        whole = np.maximum.reduceat(amount, starts) if len(amount) else amount
        self._levels = [whole]
        self._starts = starts

    def between(self, low: Integers, here: Integers) -> Integers:
        """Largest amount of the rows from `low` up to, not including, `here`; 0 where there are none."""
        tile = self._tile[here]
        # Where the window is empty `low` is `here`, which need not open a tile.
        first = np.where(low < here, self._tile[low], tile)
        count = tile - first
        level = np.where(count > 0, np.frexp(np.maximum(count, 1).astype(np.float64))[1] - 1, 0)
        self._deepen(int(level.max()) if len(level) else 0)
        best = np.where(low < here, self._prefix[here], 0)
        for depth in np.unique(level):
            at = (level == depth) & (count > 0)
            table = self._levels[depth]
            pair = np.maximum(table[first[at]], table[tile[at] - (1 << int(depth))])
            best[at] = np.maximum(best[at], pair)
        return best

    def _deepen(self, depth: int) -> None:
        while len(self._levels) <= depth:
            last, step = self._levels[-1], 1 << (len(self._levels) - 1)
            shifted = np.r_[last[step:], np.zeros(min(step, len(last)), dtype=last.dtype)]
            self._levels.append(np.maximum(last, shifted))


class _LaggedHistory:
    """A lagged entity's volumes and labels, read at an hour that lies behind each row."""

    def __init__(self, past: TransactionTable, index: int, explained: Mask, as_builds_saw_it: bool) -> None:
        self.index = index
        self._entity = past.contract.entities[index]
        codes = past.entities[index].codes
        self._lag = parse_duration(self._entity.lag or "1h")
        self._label_shift = (self._lag - past.contract.label_delay) // HOUR
        hours = past.effective_time // HOUR
        ascending = (hours[:-1] <= hours[1:]).all()
        order = _stable_order(codes) if ascending else np.lexsort((hours, codes))
        self._keys = _Keys.of(codes[order], hours[order])
        self._sums = _before(past.amount[order])
        events = label_events(past, self._lag if as_builds_saw_it else None) if self._entity.risk else None
        self._labels = _Labels(events, codes, explained) if events is not None else None

    def primitives(self, table: TransactionTable, rows: Integers) -> Primitives:
        e, codes = self._entity.name, table.entities[self.index].codes[rows]
        time = table.effective_time[rows]
        end = (time - self._lag) // HOUR
        if table.built_through is not None:
            end = _within_reach(end, table.built_through[rows])
        high = self._keys.first_at_or_after(codes, end)
        values: Primitives = {}
        for w, starts in _window_starts(end, self._entity):
            low = self._keys.first_at_or_after(codes, starts)
            values[f"{e}_n_{w}"] = high - low
            values[f"{e}_s_{w}"] = self._sums[high] - self._sums[low]
        if self._labels:
            values |= self._labels.primitives(self._entity, codes, end + self._label_shift, time)
        return values


def _within_reach(end: Integers, built_through: Integers) -> Integers:
    """At which hours rows that the stream decided on were shown a lagged entity: none, if theirs was out of reach."""
    end = np.minimum(end, built_through // HOUR)
    reached = (built_through == NOT_RECORDED) | ((built_through > 0) & (end >= (built_through - REACH) // HOUR))
    return np.where(reached, end, 0)


class _Labels:
    """Labels of one entity in the order they count: sums, and runs of frauds since the last cleared one."""

    def __init__(self, events: LabelEvents, codes: npt.NDArray[np.int32], explained: Mask) -> None:
        events = events.take(_stable_order(codes[events.row]))
        self._codes, self._time = codes[events.row], events.time
        fraud = events.fraud == 1
        plain = fraud & ~explained[events.row]
        self._keys = _Keys.of(self._codes, self._time // HOUR)
        self._known = _before(events.sign)
        self._frauds, self._plain = _before(events.sign * fraud), _before(events.sign * plain)
        # Positions of the last cleared and last fraudulent label before each position, -1 for none.
        self._cleared_at, self._fraud_at = _last_before(~fraud), _last_before(fraud)
        # What is withdrawn counts in sums with its sign, here as an event like others: entities before must not matter.
        self._plain_at, self._plain_before = np.flatnonzero(plain), _before(plain)
        self._withdrawn = _runs_with_withdrawals(events, self._codes, plain)

    def primitives(self, entity: Entity, codes: npt.NDArray[np.int32], end: Integers, now: Integers) -> Primitives:
        e = entity.name
        high = self._keys.first_at_or_after(codes, end)
        first = self._keys.first_of(codes)
        values: Primitives = {}
        for w, starts in _window_starts(end, entity):
            low = self._keys.first_at_or_after(codes, starts)
            for part, sums in (("known", self._known), ("fraud", self._frauds), ("plain", self._plain)):
                # Labels that were withdrawn in the window, but began before it, are none of its own.
                values[f"{e}_{part}_{w}"] = np.maximum(sums[high] - sums[low], 0)
        run, *ages = self._run(first, high, now)
        values[f"{e}_run"] = run
        values |= {f"{e}_{part}_age": age for part, age in zip(("run", "fraud", "cleared"), ages, strict=True)}
        return values

    def _run(self, first: Integers, high: Integers, now: Integers) -> tuple[Integers, Integers, Integers, Integers]:
        """The run before `high`, and how long ago it, the last fraud and the last cleared transaction counted."""
        # What came before the entity's first label belongs to another entity.
        cleared = np.where(self._cleared_at[high] >= first, self._cleared_at[high], -1)
        fraud = np.where(self._fraud_at[high] >= first, self._fraud_at[high], -1)
        since = np.maximum(cleared + 1, first)
        run = self._plain[high] - self._plain[since]
        ages = [self._elapsed(now, at) for at in (self._run_start(since, run), fraud, cleared)]
        for row in np.flatnonzero((high > first) & np.isin(high - 1, list(self._withdrawn))).tolist():
            run[row], *moments = self._withdrawn[int(high[row]) - 1]
            for age, moment in zip(ages, moments, strict=True):
                age[row] = now[row] - moment if moment >= 0 else -1
        return run, ages[0], ages[1], ages[2]

    def _run_start(self, since: Integers, run: Integers) -> Integers:
        """Position of the first unexplained fraud at or after `since`, -1 where there is no run."""
        if not len(self._plain_at):
            return np.full(len(since), -1)
        begin = self._plain_at[np.minimum(self._plain_before[since], len(self._plain_at) - 1)]
        return np.where(run > 0, begin, -1)

    def _elapsed(self, now: Integers, position: Integers) -> Integers:
        if not len(self._time):
            return np.full(len(now), -1)
        return np.where(position >= 0, now - self._time[np.maximum(position, 0)], -1)


def _runs_with_withdrawals(events: LabelEvents, codes: npt.NDArray[np.int32], plain: Mask) -> dict[int, Run]:
    """The run after each label of the few entities that had one withdrawn, by the label's position."""
    runs: dict[int, Run] = {}
    for code in np.unique(codes[events.sign < 0]):
        standing: dict[int, LabelEvent] = {}
        for at in range(*np.searchsorted(codes, [code, code + 1])):
            row = int(events.row[at])
            if events.sign[at] < 0:
                del standing[row]
            else:
                standing[row] = LabelEvent(int(events.time[at]), int(events.fraud[at]), int(plain[at]))
            runs[at] = run_of(list(standing.values()))
    return runs


def _last_before(condition: Mask) -> Integers:
    """For each position 0..n the last earlier position where the condition holds, or -1."""
    where = np.where(condition, np.arange(len(condition)), -1)
    return np.r_[-1, np.maximum.accumulate(where)] if len(where) else np.array([-1])

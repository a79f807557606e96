"""What lagged entities give features, over whole columns: their volumes and labels up to an hour behind each row.

Rows that the stream decided on are shown what the builds before their decision saw; all others, what happened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.durations import HOUR, parse_duration
from fraudline.features.definition import lagged_primitive_names
from fraudline.features.label_events import label_events
from fraudline.features.offline_labels import EntityLabels
from fraudline.features.offline_partition import Explained
from fraudline.features.offline_windows import BLOCK, Keys, Mask, Primitives, stable_order, sums_before, window_starts
from fraudline.features.online_lagged import REACH
from fraudline.transactions.table import NOT_RECORDED, Integers, TransactionTable


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


def lagged_primitives(
    table: TransactionTable, index: int, explained: Explained, rows: Mask, group: npt.NDArray[Any]
) -> tuple[Integers, Integers]:
    """What lagged entity `index` gives features at the rows wanted (a mask), from all rows of some of its members.

    (rows wanted, `lagged_primitive_names`), those of one `group` (by wanted row) together, and which of the wanted rows
    each is of. `explained` is of all rows there are.
    """

    def history(of_decided: bool) -> LaggedEntityHistory:
        past = table.as_builds_saw_it() if of_decided else table
        numbers = explained.seen_by_builds if of_decided else explained.counted
        return LaggedEntityHistory(past, index, np.isin(past.source_row, numbers), of_decided)

    return primitives_by_build(table, history, np.flatnonzero(rows), group)


def primitives_by_build(
    table: TransactionTable, history: Callable[[bool], "LaggedEntityHistory"], rows: Integers, group: npt.NDArray[Any]
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
    history: "LaggedEntityHistory", table: TransactionTable, rows: Integers, group: npt.NDArray[Any]
) -> tuple[Integers, Integers]:
    """Primitives of one lagged entity, worked off entity by entity: bisections stay in the cache.

    Those of a group stand together; beside them, which of `rows` they are of.
    """
    order = stable_order(table.entities[history.index].codes[rows])
    grouped = np.argsort(group[order], kind="stable")
    place = np.empty(len(rows), dtype=np.int64)
    place[grouped] = np.arange(len(rows))
    names = list(lagged_primitive_names(table.contract.entities[history.index]))
    out = np.empty((len(rows), len(names)), dtype=np.int64)
    for begin in range(0, len(rows), BLOCK):
        block = slice(begin, begin + BLOCK)
        values = history.primitives(table, rows[order[block]])
        out[place[block]] = np.stack([values[name] for name in names], axis=1)
    return out, order[grouped]


class LaggedEntityHistory:
    """A lagged entity's volumes and labels, read at an hour that lies behind each row."""

    def __init__(self, past: TransactionTable, index: int, explained: Mask, as_builds_saw_it: bool) -> None:
        self.index = index
        self._entity = past.contract.entities[index]
        codes = past.entities[index].codes
        self._lag = parse_duration(self._entity.lag or "1h")
        self._label_shift = (self._lag - past.contract.label_delay) // HOUR
        hours = past.effective_time // HOUR
        ascending = (hours[:-1] <= hours[1:]).all()
        order = stable_order(codes) if ascending else np.lexsort((hours, codes))
        self._keys = Keys.of(codes[order], hours[order])
        self._sums = sums_before(past.amount[order])
        events = label_events(past, self._lag if as_builds_saw_it else None) if self._entity.risk else None
        self._labels = EntityLabels(events, codes, explained) if events is not None else None

    def primitives(self, table: TransactionTable, rows: Integers) -> Primitives:
        e, codes = self._entity.name, table.entities[self.index].codes[rows]
        time = table.effective_time[rows]
        end = (time - self._lag) // HOUR
        if table.built_through is not None:
            end = _within_reach(end, table.built_through[rows])
        high = self._keys.first_at_or_after(codes, end)
        values: Primitives = {}
        for w, starts in window_starts(end, self._entity):
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

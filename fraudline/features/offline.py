"""Features of whole tables at once: sorts, running sums of integers and bisections, one pass per primitive.

The twin of `online.py`. Rows are grouped by entity in the order they count; the running totals before a row, less those
before the first row of a window, are exactly what the online tiles hold (`offline_partition.py`, `offline_lagged.py`).
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from fraudline.clock import QUARTER, utc_offset
from fraudline.durations import DAY, HOUR
from fraudline.features.definition import feature_set, lagged_primitive_names
from fraudline.features.offline_lagged import LaggedEntityHistory, LaggedPrimitives, primitives_by_build
from fraudline.features.offline_partition import PartitionHistory
from fraudline.features.offline_windows import BLOCK, Mask, Primitives
from fraudline.features.vector import OPERATIONS, Floats
from fraudline.transactions.table import Integers, TransactionTable


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


class OfflineFeatures:
    """A table in the order it counts, from whose past the features of any of its rows can be told."""

    def __init__(self, table: TransactionTable) -> None:
        self._table = table
        self._partition = PartitionHistory(table)
        self._lagged: dict[bool, list[LaggedEntityHistory]] = {}

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
        names = [list(lagged_primitive_names(entity)) for entity in contract.lagged_entities]
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
            LaggedPrimitives.of(*primitives_by_build(self._table, partial(self._lagged_history, index), rows, group))
            for index in range(1, len(self._table.entities))
        ]

    def _lagged_history(self, index: int, of_decided: bool) -> LaggedEntityHistory:
        if of_decided not in self._lagged:
            table = self._table
            past = table.as_builds_saw_it() if of_decided else table
            explained = (self._partition if past is table else PartitionHistory(past)).explained()
            entities = range(1, len(table.entities))
            self._lagged[of_decided] = [LaggedEntityHistory(past, index, explained, of_decided) for index in entities]
        return self._lagged[of_decided][index - 1]


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

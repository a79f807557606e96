"""Rows dealt out by entity: partitions as Arrow batches, to lie on disk between the passes of a large backfill.

Two kinds: what the partition entity's features need, and what a lagged entity's need. They hold no ids and no texts: a
row is known by its number in all input.

Of files, the order and the labels follow from the columns. What the stream has counted has an order of its own, and
people may have said more than one thing of a row: such columns are there where there is something to tell, and
statements on labels have batches of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.backfill.spilling import column, column_if_told, effective_time
from fraudline.backfill.vocabulary import Appearance
from fraudline.contract import Contract
from fraudline.transactions.table import UNKNOWN, Codes, Integers, Statements, TransactionTable

Columns = dict[str, npt.NDArray[Any]]


class Dealer:
    """Deals the rows of ordered tables out to partitions by entity: member number n belongs to partition n modulo.

    The codes of all tables are numbers of the same vocabularies, an entity's of so many values. `recorded` if a stream
    has counted some of the rows.
    """

    def __init__(self, sizes: Sequence[int], partitions: int, recorded: bool = False) -> None:
        self._partitions = partitions
        self._recorded = recorded
        self._entities = [Appearance(size) for size in sizes]

    def entity_codes(self, table: TransactionTable) -> list[npt.NDArray[np.int32]]:
        """The next rows' entities, numbered as they appear in all rows so far."""
        pairs = zip(self._entities, table.entities, strict=True)
        return [appearance.of(codes.codes) for appearance, codes in pairs]

    def numbers_by_appearance(self, index: int) -> Integers:
        """The vocabulary's numbers of an entity's values in the order in which they appeared."""
        return self._entities[index].numbers()

    def deal(
        self, table: TransactionTable, entities: Sequence[npt.NDArray[np.int32]], first_row: int
    ) -> Iterator[tuple[int, int, pa.RecordBatch]]:
        """The rows by entity index and partition; the table's first one has number `first_row` of all."""
        rows = np.arange(first_row, first_row + len(table))
        common: Columns = {"row": rows, "timestamp": table.timestamp, "amount": table.amount}
        if self._recorded:
            common["effective_time"] = table.effective_time
        if table.missed_by is not None:
            common["missed_by"] = table.missed_by
        home = self._partition(entities[0])
        own: Columns = {"code": entities[0] // self._partitions, "fraud": _ever_fraud(table)}
        for i, category in enumerate(table.categories):
            own[f"category_{i}"] = category.codes
        for i, flag in enumerate(table.flags):
            own[f"flag_{i}"] = flag
        yield from ((0, part, batch) for part, batch in by_partition(common | own, home, self._partitions))
        common["label"] = table.label
        if table.built_through is not None:
            common["built_through"] = table.built_through
        for index, codes in enumerate(entities[1:], start=1):
            columns = {**common, "code": codes // self._partitions, "home": home}
            partition = self._partition(codes)
            yield from ((index, part, batch) for part, batch in by_partition(columns, partition, self._partitions))

    def deal_statements(
        self, said: Statements, entities: Sequence[npt.NDArray[np.int32]], first_row: int
    ) -> Iterator[tuple[int, int, pa.RecordBatch]]:
        """What was said of the labels of these rows, by the index and the partition of lagged entities."""
        columns: Columns = {
            "row": said.row + first_row, "label": said.label, "known_at": said.known_at, "missed_by": said.missed_by,
        }  # fmt: skip
        for index, codes in enumerate(entities[1:], start=1):
            partition = self._partition(codes[said.row])
            yield from ((index, part, batch) for part, batch in by_partition(columns, partition, self._partitions))

    def _partition(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.uint16]:
        return (codes % self._partitions).astype(np.uint16)


def _ever_fraud(table: TransactionTable) -> npt.NDArray[np.bool_]:
    """Whether anybody has ever said of a row that it is fraud."""
    if table.said is None:
        return np.asarray(table.label == 1)
    fraud = np.zeros(len(table), bool)
    fraud[table.said.row[table.said.label == 1]] = True
    return fraud


def by_partition(
    columns: Columns, partition: npt.NDArray[np.uint16], partitions: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of each partition, which may be none, in their order."""
    order = np.argsort(partition, kind="stable")
    ordered = {name: values[order] for name, values in columns.items()}
    yield from enumerate(cut(ordered, partition[order], partitions))


def cut(columns: Columns, partition: npt.NDArray[np.uint16], partitions: int) -> Iterator[pa.RecordBatch]:
    """The rows of each partition where they stand by partition."""
    batch = pa.RecordBatch.from_pydict({name: _array(values) for name, values in columns.items()})
    edges = np.searchsorted(partition, np.arange(partitions + 1)).tolist()
    yield from (batch.slice(begin, end - begin) for begin, end in pairwise(edges))


def _array(values: npt.NDArray[Any]) -> pa.Array:
    """Of a matrix, a list for each of its rows: they are moved as one."""
    return pa.array(values) if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(values.ravel(), values.shape[1])


def rows_of_lists(lists: pa.FixedSizeListArray) -> npt.NDArray[Any]:
    """The matrix again."""
    return np.asarray(lists.flatten()).reshape(len(lists), lists.type.list_size)


def partition_entity_table(
    contract: Contract, columns: pa.Table, category_texts: Sequence[pa.StringArray]
) -> TransactionTable:
    """A partition by the partition entity, as its features need it: ids and lagged entities are left blank."""
    categories = tuple(Codes(column(columns, f"category_{i}"), texts) for i, texts in enumerate(category_texts))
    flags = tuple(column(columns, f"flag_{i}") for i in range(len(contract.flags)))
    return _table(contract, columns, 0, categories, flags)


def lagged_entity_table(
    contract: Contract, columns: pa.Table, index: int, statements: pa.Table | None = None
) -> TransactionTable:
    """A partition by lagged entity `index`, as its primitives need it, with all `statements` on its labels, if told."""
    table = _table(contract, columns, index, (), ())
    if statements is None:
        return table
    row, label, known_at, missed_by = (
        statements[name].to_numpy() for name in ("row", "label", "known_at", "missed_by")
    )
    return replace(table, said=Statements(np.searchsorted(table.source_row, row), label, known_at, missed_by))


def _table(
    contract: Contract,
    columns: pa.Table,
    index: int,
    categories: tuple[Codes, ...],
    flags: tuple[npt.NDArray[np.int8], ...],
) -> TransactionTable:
    rows = len(columns)
    blank = Codes(np.zeros(rows, np.int32), pa.array([""], pa.string()))
    codes = Codes(column(columns, "code"), pa.array([], pa.string()))
    timestamp = column(columns, "timestamp")
    return TransactionTable(
        contract=contract,
        ids=pa.nulls(rows, pa.string()),
        timestamp=timestamp,
        effective_time=effective_time(columns),
        amount=column(columns, "amount"),
        entities=tuple(codes if i == index else blank for i in range(len(contract.entities))),
        categories=categories,
        flags=flags,
        label=column(columns, "label") if index else np.full(rows, UNKNOWN, np.int8),
        known_at=timestamp + contract.label_delay,
        source_row=column(columns, "row"),
        built_through=column_if_told(columns, "built_through"),
        missed_by=column_if_told(columns, "missed_by"),
    )


def rows_within(rows: Integers, ranges: Sequence[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """Which of these row numbers (ascending) lie in one of the ranges [begin, end)."""
    inside = np.zeros(len(rows), bool)
    for begin, end in ranges:
        first, last = np.searchsorted(rows, [begin, end])
        inside[first:last] = True
    return inside

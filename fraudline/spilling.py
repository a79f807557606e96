"""Parts of a table of files as Arrow batches, to lie on disk between the passes of a large backfill.

Three kinds: whole transactions (of a run or a day), what the partition entity's features need, and what a lagged
entity's need. The latter two hold no ids: a row is known by its number in all input. Only a day's hold texts.

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

from fraudline.contract import Contract
from fraudline.table import NOT_RECORDED, UNKNOWN, Codes, Integers, Statements, TransactionTable, encode
from fraudline.vocabulary import Appearance

Columns = dict[str, npt.NDArray[Any]]
# What rows that counted at the same time are ordered by: the positions of a stream's, the ids of a file's.
ORDER = "order"


def with_numbers(table: TransactionTable, positions: pa.StringArray | None = None) -> pa.RecordBatch:
    """Whole transactions, texts as their codes: whoever reads them must know `texts_of` this table.

    `positions` are those of rows that a stream delivered, which tell when each counted.
    """
    batch = _whole(table, [pa.array(codes.codes) for codes in texts_of(table)])
    return batch if positions is None else _recorded(batch, table, positions)


def with_order(batch: pa.RecordBatch, built: bool) -> pa.RecordBatch:
    """Rows of a file among those of a stream: each counted at its timestamp, in the order of ids.

    `built` if the stream's rows tell up to where lagged entities were built.
    """
    told = {"built_through": pa.array(np.full(len(batch), NOT_RECORDED))} if built else {}
    return _with(batch, {"effective_time": batch["timestamp"], **told, ORDER: batch["id"]})


def with_texts(table: TransactionTable) -> pa.RecordBatch:
    """Whole transactions, for themselves."""
    batch = _whole(table, [_dictionary(codes.by_appearance()) for codes in texts_of(table)])
    more = _counted(table)
    if (table.effective_time == table.timestamp).all():
        del more["effective_time"]
    if (table.known_at != table.timestamp + table.contract.label_delay).any():
        more["known_at"] = pa.array(table.known_at)
    return _with(batch, more) if more else batch


def texts_of(table: TransactionTable) -> tuple[Codes, ...]:
    """The columns that are texts: entities, then categories."""
    return table.entities + table.categories


def _whole(table: TransactionTable, texts: Sequence[pa.Array]) -> pa.RecordBatch:
    """As in a file, where `known_at` and the effective time follow from the timestamp."""
    columns: dict[str, pa.Array] = {
        "id": table.ids,
        "timestamp": pa.array(table.timestamp),
        "amount": pa.array(table.amount),
        "label": pa.array(table.label),
        "source_row": pa.array(table.source_row),
    }
    columns |= {f"text_{i}": text for i, text in enumerate(texts)}
    columns |= {f"flag_{i}": pa.array(flag) for i, flag in enumerate(table.flags)}
    return pa.RecordBatch.from_pydict(columns)


def _recorded(batch: pa.RecordBatch, table: TransactionTable, positions: pa.StringArray) -> pa.RecordBatch:
    return _with(batch, _counted(table) | {ORDER: positions})


def _counted(table: TransactionTable) -> dict[str, pa.Array]:
    columns = {"effective_time": pa.array(table.effective_time)}
    if table.built_through is not None:
        columns["built_through"] = pa.array(table.built_through)
    return columns


def _with(batch: pa.RecordBatch, more: dict[str, pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(dict(zip(batch.schema.names, batch.columns, strict=True)) | more)


def _dictionary(codes: Codes) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(codes.codes, codes.values)


def from_texts(contract: Contract, batch: pa.RecordBatch) -> TransactionTable:
    """The transactions of a batch `with_texts`."""
    count = len(contract.entities) + len(contract.categories)
    return from_numbers(contract, [batch], [encode(batch[f"text_{i}"]) for i in range(count)])


def from_numbers(contract: Contract, batches: Sequence[pa.RecordBatch], texts: Sequence[Codes]) -> TransactionTable:
    """The transactions of such batches (at least one), one after the other, with the texts of all of them."""
    columns = pa.Table.from_batches(batches).combine_chunks()
    timestamp = _numbers(columns, "timestamp")
    known_at = _if_told(columns, "known_at")
    entities = len(contract.entities)
    return TransactionTable(
        contract=contract,
        ids=columns["id"].combine_chunks(),
        timestamp=timestamp,
        effective_time=_effective_time(columns),
        amount=_numbers(columns, "amount"),
        entities=tuple(texts[:entities]),
        categories=tuple(texts[entities:]),
        flags=tuple(_numbers(columns, f"flag_{i}") for i in range(len(contract.flags))),
        label=_numbers(columns, "label"),
        known_at=timestamp + contract.label_delay if known_at is None else known_at,
        source_row=_numbers(columns, "source_row"),
        built_through=_if_told(columns, "built_through"),
    )


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
    ordered = {name: column[order] for name, column in columns.items()}
    yield from enumerate(cut(ordered, partition[order], partitions))


def cut(columns: Columns, partition: npt.NDArray[np.uint16], partitions: int) -> Iterator[pa.RecordBatch]:
    """The rows of each partition where they stand by partition."""
    batch = pa.RecordBatch.from_pydict({name: _array(column) for name, column in columns.items()})
    edges = np.searchsorted(partition, np.arange(partitions + 1)).tolist()
    yield from (batch.slice(begin, end - begin) for begin, end in pairwise(edges))


def _array(column: npt.NDArray[Any]) -> pa.Array:
    """Of a matrix, a list for each of its rows: they are moved as one."""
    return pa.array(column) if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(column.ravel(), column.shape[1])


def rows_of_lists(lists: pa.FixedSizeListArray) -> npt.NDArray[Any]:
    """The matrix again."""
    return np.asarray(lists.flatten()).reshape(len(lists), lists.type.list_size)


def partition_entity_table(
    contract: Contract, columns: pa.Table, category_texts: Sequence[pa.StringArray]
) -> TransactionTable:
    """A partition by the partition entity, as its features need it: ids and lagged entities are left blank."""
    categories = tuple(Codes(_numbers(columns, f"category_{i}"), texts) for i, texts in enumerate(category_texts))
    flags = tuple(_numbers(columns, f"flag_{i}") for i in range(len(contract.flags)))
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
    codes = Codes(_numbers(columns, "code"), pa.array([], pa.string()))
    timestamp = _numbers(columns, "timestamp")
    return TransactionTable(
        contract=contract,
        ids=pa.nulls(rows, pa.string()),
        timestamp=timestamp,
        effective_time=_effective_time(columns),
        amount=_numbers(columns, "amount"),
        entities=tuple(codes if i == index else blank for i in range(len(contract.entities))),
        categories=categories,
        flags=flags,
        label=_numbers(columns, "label") if index else np.full(rows, UNKNOWN, np.int8),
        known_at=timestamp + contract.label_delay,
        source_row=_numbers(columns, "row"),
        built_through=_if_told(columns, "built_through"),
        missed_by=_if_told(columns, "missed_by"),
    )


def _effective_time(columns: pa.Table) -> Any:
    return _numbers(columns, "effective_time" if "effective_time" in columns.column_names else "timestamp")


def _if_told(columns: pa.Table, name: str) -> Any:
    return _numbers(columns, name) if name in columns.column_names else None


def _numbers(columns: pa.Table, name: str) -> Any:
    return columns[name].to_numpy()


def rows_within(rows: Integers, ranges: Sequence[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """Which of these row numbers (ascending) lie in one of the ranges [begin, end)."""
    inside = np.zeros(len(rows), bool)
    for begin, end in ranges:
        first, last = np.searchsorted(rows, [begin, end])
        inside[first:last] = True
    return inside

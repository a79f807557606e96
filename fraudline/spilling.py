"""Parts of a table of files as Arrow batches, to lie on disk between the passes of a large backfill.

Three kinds: whole transactions (of a run or a day), what the partition entity's features need, and what a later
entity's need. The latter two hold no ids: a row is known by its number in all input. Only a day's hold texts.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.contract import Contract
from fraudline.table import UNKNOWN, Codes, Integers, TransactionTable, encode
from fraudline.vocabulary import Appearance

Columns = dict[str, npt.NDArray[Any]]


def with_numbers(table: TransactionTable) -> pa.RecordBatch:
    """Whole transactions of a file, texts as their codes: whoever reads them must know `texts_of` this table."""
    return _whole(table, [pa.array(codes.codes) for codes in texts_of(table)])


def with_texts(table: TransactionTable) -> pa.RecordBatch:
    """Whole transactions of a file, for themselves."""
    return _whole(table, [_dictionary(codes.by_appearance()) for codes in texts_of(table)])


def texts_of(table: TransactionTable) -> tuple[Codes, ...]:
    """The columns that are texts: entities, then categories."""
    return table.entities + table.categories


def _whole(table: TransactionTable, texts: Sequence[pa.Array]) -> pa.RecordBatch:
    """`known_at` and the effective time follow from the timestamp."""
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
    entities = len(contract.entities)
    return TransactionTable(
        contract=contract,
        ids=columns["id"].combine_chunks(),
        timestamp=timestamp,
        effective_time=timestamp,
        amount=_numbers(columns, "amount"),
        entities=tuple(texts[:entities]),
        categories=tuple(texts[entities:]),
        flags=tuple(_numbers(columns, f"flag_{i}") for i in range(len(contract.flags))),
        label=_numbers(columns, "label"),
        known_at=timestamp + contract.label_delay,
        source_row=_numbers(columns, "source_row"),
    )


class Dealer:
    """Deals the rows of ordered tables out to partitions by entity: member number n belongs to partition n modulo.

    The codes of all tables are numbers of the same vocabularies, an entity's of so many values.
    """

    def __init__(self, sizes: Sequence[int], partitions: int) -> None:
        self._partitions = partitions
        self._entities = [Appearance(size) for size in sizes]

    def entity_codes(self, table: TransactionTable) -> list[npt.NDArray[np.int32]]:
        """The next rows' entities, numbered as they appear in all rows so far."""
        pairs = zip(self._entities, table.entities, strict=True)
        return [appearance.of(codes.codes) for appearance, codes in pairs]

    def deal(
        self, table: TransactionTable, entities: Sequence[npt.NDArray[np.int32]], first_row: int
    ) -> Iterator[tuple[int, int, pa.RecordBatch]]:
        """The rows by entity index and partition; the table's first one has number `first_row` of all."""
        rows = np.arange(first_row, first_row + len(table))
        common: Columns = {"row": rows, "timestamp": table.timestamp, "amount": table.amount, "label": table.label}
        home = (entities[0] % self._partitions).astype(np.uint16)
        own: Columns = {"code": entities[0] // self._partitions}
        for i, category in enumerate(table.categories):
            own[f"category_{i}"] = category.codes
        for i, flag in enumerate(table.flags):
            own[f"flag_{i}"] = flag
        yield from ((0, part, batch) for part, batch in by_partition(common | own, home, self._partitions))
        for index, codes in enumerate(entities[1:], start=1):
            partition = (codes % self._partitions).astype(np.uint16)
            columns = {**common, "code": codes // self._partitions, "home": home}
            yield from ((index, part, batch) for part, batch in by_partition(columns, partition, self._partitions))


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
    """A partition by the partition entity, as its features need it: ids and later entities are left blank."""
    categories = tuple(Codes(_numbers(columns, f"category_{i}"), texts) for i, texts in enumerate(category_texts))
    flags = tuple(_numbers(columns, f"flag_{i}") for i in range(len(contract.flags)))
    return _table(contract, columns, 0, categories, flags)


def later_entity_table(contract: Contract, columns: pa.Table, index: int) -> TransactionTable:
    """A partition by later entity `index`, as its primitives need it."""
    return _table(contract, columns, index, (), ())


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
        effective_time=timestamp,
        amount=_numbers(columns, "amount"),
        entities=tuple(codes if i == index else blank for i in range(len(contract.entities))),
        categories=categories,
        flags=flags,
        label=_numbers(columns, "label") if index else np.full(rows, UNKNOWN, np.int8),
        known_at=timestamp + contract.label_delay,
        source_row=_numbers(columns, "row"),
    )


def _numbers(columns: pa.Table, name: str) -> Any:
    return columns[name].to_numpy()


def rows_within(rows: Integers, ranges: Sequence[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """Which of these row numbers (ascending) lie in one of the ranges [begin, end)."""
    inside = np.zeros(len(rows), bool)
    for begin, end in ranges:
        first, last = np.searchsorted(rows, [begin, end])
        inside[first:last] = True
    return inside

"""Parts of a table of files as Arrow batches, to lie on disk between the passes of a large backfill.

Three kinds: whole transactions (of a run or a day), what the partition entity's features need, and what a later
entity's need. The latter two hold codes instead of texts and no ids: a row is known by its number in all input.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.contract import Contract
from fraudline.table import UNKNOWN, Codes, Integers, TransactionTable, encode

Columns = dict[str, npt.NDArray[Any]]


class _Numbers(dict[str, int]):
    """Each text's number; one that is looked up for the first time gets the next."""

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number


class Numbering:
    """Texts numbered as they appear in all batches so far."""

    def __init__(self) -> None:
        self._numbers = _Numbers()

    def codes(self, codes: Codes) -> npt.NDArray[np.int32]:
        """The next rows' numbers."""
        local = codes.by_appearance()
        numbers = map(self._numbers.__getitem__, local.values.to_pylist())
        return np.fromiter(numbers, np.int32, len(local.values))[local.codes]

    @property
    def texts(self) -> list[str]:
        return list(self._numbers)


def to_batch(table: TransactionTable) -> pa.RecordBatch:
    """Whole transactions of a file; `known_at` and the effective time follow from the timestamp."""
    columns: dict[str, pa.Array] = {
        "id": table.ids,
        "timestamp": pa.array(table.timestamp),
        "amount": pa.array(table.amount),
        "label": pa.array(table.label),
        "source_row": pa.array(table.source_row),
    }
    columns |= {f"entity_{i}": codes.text() for i, codes in enumerate(table.entities)}
    columns |= {f"category_{i}": codes.text() for i, codes in enumerate(table.categories)}
    columns |= {f"flag_{i}": pa.array(flag) for i, flag in enumerate(table.flags)}
    return pa.RecordBatch.from_pydict(columns)


def from_batches(contract: Contract, batches: Sequence[pa.RecordBatch]) -> TransactionTable:
    """The transactions of such batches (at least one), one after the other."""
    columns = pa.Table.from_batches(batches).combine_chunks()
    timestamp = _numbers(columns, "timestamp")
    return TransactionTable(
        contract=contract,
        ids=columns["id"].combine_chunks(),
        timestamp=timestamp,
        effective_time=timestamp,
        amount=_numbers(columns, "amount"),
        entities=tuple(encode(columns[f"entity_{i}"]) for i in range(len(contract.entities))),
        categories=tuple(encode(columns[f"category_{i}"]) for i in range(len(contract.categories))),
        flags=tuple(_numbers(columns, f"flag_{i}") for i in range(len(contract.flags))),
        label=_numbers(columns, "label"),
        known_at=timestamp + contract.label_delay,
        source_row=_numbers(columns, "source_row"),
    )


class Dealer:
    """Deals the rows of ordered tables out to partitions by entity: member number n belongs to partition n modulo."""

    def __init__(self, contract: Contract, partitions: int) -> None:
        self._contract = contract
        self._partitions = partitions
        self._entities = [Numbering() for _ in contract.entities]
        self._categories = [Numbering() for _ in contract.categories]

    @property
    def category_texts(self) -> list[list[str]]:
        return [numbering.texts for numbering in self._categories]

    def entity_codes(self, table: TransactionTable) -> list[npt.NDArray[np.int32]]:
        """The next rows' entities, numbered as they appear in all rows so far."""
        return [numbering.codes(codes) for numbering, codes in zip(self._entities, table.entities, strict=True)]

    def deal(
        self, table: TransactionTable, entities: Sequence[npt.NDArray[np.int32]], first_row: int
    ) -> Iterator[tuple[int, int, pa.RecordBatch]]:
        """The rows by entity index and partition; the table's first one has number `first_row` of all."""
        rows = np.arange(first_row, first_row + len(table))
        common: Columns = {"row": rows, "timestamp": table.timestamp, "amount": table.amount, "label": table.label}
        home = (entities[0] % self._partitions).astype(np.uint16)
        own: Columns = {"code": entities[0] // self._partitions}
        for i, (numbering, category) in enumerate(zip(self._categories, table.categories, strict=True)):
            own[f"category_{i}"] = numbering.codes(category)
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
    batch = pa.RecordBatch.from_pydict({name: _array(column[order]) for name, column in columns.items()})
    edges = np.searchsorted(partition[order], np.arange(partitions + 1)).tolist()
    yield from ((part, batch.slice(begin, end - begin)) for part, (begin, end) in enumerate(pairwise(edges)))


def _array(column: npt.NDArray[Any]) -> pa.Array:
    """Of a matrix, a list for each of its rows: they are moved as one."""
    return pa.array(column) if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(column.ravel(), column.shape[1])


def rows_of_lists(lists: pa.FixedSizeListArray) -> npt.NDArray[Any]:
    """The matrix again."""
    return np.asarray(lists.flatten()).reshape(len(lists), lists.type.list_size)


def partition_entity_table(
    contract: Contract, columns: pa.Table, category_texts: Sequence[Sequence[str]]
) -> TransactionTable:
    """A partition by the partition entity, as its features need it: ids and later entities are left blank."""
    categories = tuple(
        Codes(_numbers(columns, f"category_{i}"), pa.array(texts, pa.string()))
        for i, texts in enumerate(category_texts)
    )
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

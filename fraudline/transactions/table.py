"""Valid transactions in columns: what offline features, training and backfills work on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.contract import Contract
from fraudline.transactions.transaction import Transaction

Integers = npt.NDArray[np.int64]
# A label that is not known, or that was withdrawn.
UNKNOWN = -1
# `built_through` of rows that no decision of the stream is recorded of: beyond any hour.
NOT_RECORDED = 2**62


@dataclass(frozen=True)
class Codes:
    """A text column as integers: row i holds `values[codes[i]]`."""

    codes: npt.NDArray[np.int32]
    values: pa.StringArray

    def take(self, rows: npt.NDArray[Any] | slice) -> "Codes":
        return Codes(self.codes[rows], self.values)

    def text(self) -> pa.StringArray:
        return self.values.take(pa.array(self.codes))

    def by_appearance(self) -> "Codes":
        """The same texts numbered as they appear, so that equal rows have equal codes however they were read."""
        encoded = pa.array(self.codes).dictionary_encode()
        return Codes(encoded.indices.to_numpy(zero_copy_only=False), self.values.take(encoded.dictionary))

    def equal_to(self, value: str) -> npt.NDArray[np.bool_]:
        """Which rows hold `value`."""
        code: int = self.values.index(value).as_py()
        return np.asarray(self.codes == code)


@dataclass(frozen=True)
class Statements:
    """All that was said of the labels of a table's rows: `row` was found to be `label` (`UNKNOWN`: neither, any more).

    A row's statements stand in the order of their weight: while several are known, the last of them is its label.
    `missed_by` is the hour of the newest build of lagged entities that did not know of it (0: none).
    """

    row: Integers
    label: npt.NDArray[np.int8]
    known_at: Integers
    missed_by: Integers

    def take(self, chosen: npt.NDArray[Any]) -> "Statements":
        return Statements(self.row[chosen], self.label[chosen], self.known_at[chosen], self.missed_by[chosen])

    def of_rows(self, positions: Integers, rows: int) -> "Statements":
        """Those of the given rows out of so many, which become rows 0, 1, 2, ..."""
        new = np.full(rows, -1, dtype=np.int64)
        new[positions] = np.arange(len(positions))
        moved = replace(self, row=new[self.row])
        return moved.take(moved.row >= 0)


@dataclass(frozen=True)
class TransactionTable:
    """n transactions in the order they count, in the units of `fraudline.transactions.transaction.Transaction`.

    `label` is 1, 0 or -1 (not known); `known_at` is when it became known (microseconds). `effective_time` is the record
    of the stream where there is one, and equals `timestamp` in files, which are sorted. `built_through` is the hour up
    to which lagged entities were built when the transaction was decided, `NOT_RECORDED` (None: for all rows) where
    offline code may assume the lag. `missed_by` is the hour of the newest build of lagged entities that had not seen
    the row (0: none; None: for all rows). `said` is None where `label` and `known_at` are all that was ever said of
    labels.
    `source_row` is the row's number in all that was read (`Landed.places` tells its file), for people and reports.
    """

    contract: Contract
    ids: pa.StringArray
    timestamp: Integers
    effective_time: Integers
    amount: Integers
    entities: tuple[Codes, ...]
    categories: tuple[Codes, ...]
    flags: tuple[npt.NDArray[np.int8], ...]
    label: npt.NDArray[np.int8]
    known_at: Integers
    source_row: Integers
    built_through: Integers | None = None
    missed_by: Integers | None = None
    said: Statements | None = None

    def __len__(self) -> int:
        return len(self.timestamp)

    def take(self, rows: npt.NDArray[Any] | slice) -> "TransactionTable":
        """The given rows (positions, mask or slice), in that order."""
        positions = np.arange(len(self))[rows]
        return replace(
            self,
            ids=self.ids.take(pa.array(positions)),
            timestamp=self.timestamp[rows],
            effective_time=self.effective_time[rows],
            amount=self.amount[rows],
            entities=tuple(codes.take(rows) for codes in self.entities),
            categories=tuple(codes.take(rows) for codes in self.categories),
            flags=tuple(flag[rows] for flag in self.flags),
            label=self.label[rows],
            known_at=self.known_at[rows],
            source_row=self.source_row[rows],
            built_through=None if self.built_through is None else self.built_through[rows],
            missed_by=None if self.missed_by is None else self.missed_by[rows],
            said=None if self.said is None else self.said.of_rows(positions, len(self)),
        )

    def in_order(self) -> "TransactionTable":
        """In (timestamp, transaction id) order: how transactions count where no arrival order is recorded."""
        order = pa.compute.sort_indices(
            pa.table({"time": self.timestamp, "id": self.ids}),
            sort_keys=[("time", "ascending"), ("id", "ascending")],
        )
        return self.take(order.to_numpy())

    def sorted(self) -> "TransactionTable":
        """`in_order`, and nothing of the order they came in is left."""
        return self.in_order().numbered_anew()

    def numbered_anew(self) -> "TransactionTable":
        """The same rows, their texts numbered as they appear."""
        return replace(
            self,
            entities=tuple(codes.by_appearance() for codes in self.entities),
            categories=tuple(codes.by_appearance() for codes in self.categories),
        )

    def labels_known_by(self, as_of: int) -> "TransactionTable":
        """The same rows, labels that became known after `as_of` forgotten."""
        known = self.known_at <= as_of
        said = None if self.said is None else self.said.take(self.said.known_at <= as_of)
        return replace(self, label=np.where(known, self.label, UNKNOWN).astype(np.int8), said=said)

    def as_builds_saw_it(self) -> "TransactionTable":
        """The same rows as builds of lagged entities counted them: none before the hour of a build that missed it."""
        if self.missed_by is None or not (self.missed_by > self.effective_time).any():
            return self
        time = np.maximum(self.effective_time, self.missed_by)
        return replace(self, effective_time=time).take(np.argsort(time, kind="stable"))

    def statements(self) -> Statements:
        """All that is known to have been said of labels."""
        if self.said is not None:
            return self.said
        rows = np.flatnonzero(self.label != UNKNOWN)
        missed_by = np.zeros(len(self), dtype=np.int64) if self.missed_by is None else self.missed_by
        return Statements(rows, self.label[rows], self.known_at[rows], missed_by[rows])

    def transactions(self) -> Iterable[Transaction]:
        """Row by row, as the online code takes them."""
        entities = [codes.text().to_pylist() for codes in self.entities]
        categories = [codes.text().to_pylist() for codes in self.categories]
        columns = zip(
            self.ids.to_pylist(),
            self.timestamp.tolist(),
            self.amount.tolist(),
            self.label.tolist(),
            strict=True,
        )
        for row, (id_, timestamp, amount, label) in enumerate(columns):
            yield Transaction(
                id_,
                timestamp,
                amount,
                tuple(column[row] for column in entities),
                tuple(column[row] for column in categories),
                tuple(int(flag[row]) for flag in self.flags),
                None if label == UNKNOWN else label,
            )


def encode(column: pa.Array | pa.ChunkedArray) -> Codes:
    """Dictionary-encode a text (or integer: written as decimal digits) column without nulls."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    encoded = column.dictionary_encode()
    return Codes(encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), encoded.dictionary.cast(pa.string()))


def from_transactions(
    contract: Contract, rows: Sequence[Transaction], source_rows: Sequence[int] | None = None
) -> TransactionTable:
    """A table of these transactions, in the given order, labels known after the contract's delay."""
    timestamp = np.array([t.timestamp for t in rows], dtype=np.int64)
    label = np.array([UNKNOWN if t.label is None else t.label for t in rows], dtype=np.int8)

    def texts(part: str, index: int) -> Codes:
        return encode(pa.array([getattr(t, part)[index] for t in rows], pa.string()))

    return TransactionTable(
        contract=contract,
        ids=pa.array([t.id for t in rows], pa.string()),
        timestamp=timestamp,
        effective_time=timestamp,
        amount=np.array([t.amount for t in rows], dtype=np.int64),
        entities=tuple(texts("entities", i) for i in range(len(contract.entities))),
        categories=tuple(texts("categories", i) for i in range(len(contract.categories))),
        flags=tuple(np.array([t.flags[i] for t in rows], dtype=np.int8) for i in range(len(contract.flags))),
        label=label,
        known_at=timestamp + contract.label_delay,
        source_row=np.array(source_rows if source_rows is not None else range(len(rows)), dtype=np.int64),
    )


def concatenate(tables: Sequence[TransactionTable]) -> TransactionTable:
    """Tables of one contract one after the other, codes merged."""
    first = tables[0]
    if len(tables) == 1:
        return first

    def joined(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(table, name) for table in tables])

    return TransactionTable(
        contract=first.contract,
        ids=pa.concat_arrays([table.ids for table in tables]),
        timestamp=joined("timestamp"),
        effective_time=joined("effective_time"),
        amount=joined("amount"),
        entities=_merged([table.entities for table in tables]),
        categories=_merged([table.categories for table in tables]),
        flags=tuple(np.concatenate(parts) for parts in zip(*(t.flags for t in tables), strict=True)),
        label=joined("label"),
        known_at=joined("known_at"),
        source_row=joined("source_row"),
        built_through=_filled(tables, "built_through", NOT_RECORDED),
        missed_by=_filled(tables, "missed_by", 0),
        said=_said(tables),
    )


def _merged(columns: Sequence[tuple[Codes, ...]]) -> tuple[Codes, ...]:
    return tuple(encode(pa.chunked_array([part.text() for part in parts])) for parts in zip(*columns, strict=True))


def _filled(tables: Sequence[TransactionTable], name: str, default: int) -> Integers | None:
    """None only if no table has the column."""
    columns = [getattr(table, name) for table in tables]
    if all(column is None for column in columns):
        return None
    pairs = zip(columns, tables, strict=True)
    return np.concatenate([np.full(len(t), default) if column is None else column for column, t in pairs])


def _said(tables: Sequence[TransactionTable]) -> Statements | None:
    if all(table.said is None for table in tables):
        return None
    firsts = np.cumsum([0, *map(len, tables)])[:-1].tolist()
    parts = [table.statements() for table in tables]
    return join_statements([replace(part, row=part.row + first) for part, first in zip(parts, firsts, strict=True)])


def join_statements(parts: Sequence[Statements]) -> Statements:
    """Those of the first part, then those of the next."""
    return Statements(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.label for part in parts]),
        np.concatenate([part.known_at for part in parts]),
        np.concatenate([part.missed_by for part in parts]),
    )

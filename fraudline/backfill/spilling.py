"""Whole transactions (of a run or a day) as Arrow batches, to lie on disk between the passes of a large backfill.

Of files, the order and the labels follow from the columns. What the stream has counted has an order of its own: such
columns are there where there is something to tell. Only a day's batches hold texts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from fraudline.contract import Contract
from fraudline.transactions.table import NOT_RECORDED, Codes, TransactionTable, encode

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
    timestamp = column(columns, "timestamp")
    known_at = column_if_told(columns, "known_at")
    entities = len(contract.entities)
    return TransactionTable(
        contract=contract,
        ids=columns["id"].combine_chunks(),
        timestamp=timestamp,
        effective_time=effective_time(columns),
        amount=column(columns, "amount"),
        entities=tuple(texts[:entities]),
        categories=tuple(texts[entities:]),
        flags=tuple(column(columns, f"flag_{i}") for i in range(len(contract.flags))),
        label=column(columns, "label"),
        known_at=timestamp + contract.label_delay if known_at is None else known_at,
        source_row=column(columns, "source_row"),
        built_through=column_if_told(columns, "built_through"),
    )


def effective_time(columns: pa.Table) -> Any:
    return column(columns, "effective_time" if "effective_time" in columns.column_names else "timestamp")


def column_if_told(columns: pa.Table, name: str) -> Any:
    return column(columns, name) if name in columns.column_names else None


def column(columns: pa.Table, name: str) -> Any:
    return columns[name].to_numpy()

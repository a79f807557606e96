"""Of what input a day's scores were made: a digest of all transactions up to it."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.transactions.table import TransactionTable


class Fingerprint:
    """sha256 of all rows given so far, in the order they count, however they are cut.

    Each column has a digest of its own, so that where one piece ends and the next begins leaves no trace. Of entities
    it tells which rows are of the same one, not of whom: an erased id is no reason to score a day again.
    """

    def __init__(self) -> None:
        self._digests: list[Any] = []
        self._rows = 0

    def of(self, table: TransactionTable, entities: Sequence[npt.NDArray[np.int32]]) -> str:
        """With the next rows; `entities` are their codes, numbered as they appear in all rows so far."""
        columns: list[Any] = [table.timestamp, table.effective_time, table.amount, table.label, table.known_at]
        columns += table.flags
        columns += (column for column in (table.built_through, table.missed_by) if column is not None)
        columns += entities
        columns += _told_besides(table, self._rows)
        self._rows += len(table)
        parts: list[Any] = [np.ascontiguousarray(column).data for column in columns]
        parts += [_lines(text) for text in (table.ids, *(codes.text() for codes in table.categories))]
        self._digests = self._digests or [hashlib.sha256() for _ in parts]
        for digest, part in zip(self._digests, parts, strict=True):
            digest.update(part)
        return hashlib.sha256(b"".join(digest.digest() for digest in self._digests)).hexdigest()


def _told_besides(table: TransactionTable, first: int) -> list[npt.NDArray[Any]]:
    """The statements on rows whose labels do not tell all that was said; the first of them has number `first`.

    In the order of their rows. Whether others are told in words of their own is no matter.
    """
    said = table.said
    if said is None:
        return [np.zeros(0, np.int64)] * 4
    row, missed_by = said.row, 0 if table.missed_by is None else table.missed_by[said.row]
    plain = np.bincount(row, minlength=len(table))[row] == 1
    plain &= (said.label == table.label[row]) & (said.known_at == table.known_at[row]) & (said.missed_by == missed_by)
    besides = said.take(~plain)
    besides = besides.take(np.argsort(besides.row, kind="stable"))
    return [besides.row + first, besides.label, besides.known_at, besides.missed_by]


def _lines(texts: pa.StringArray) -> bytes:
    """Each text and a line's end."""
    if not len(texts):
        return b""
    lines = pc.binary_join_element_wise(texts, pa.scalar(""), "\n")
    first, last = np.frombuffer(lines.buffers()[1], np.int32)[[lines.offset, lines.offset + len(lines)]].tolist()
    return bytes(lines.buffers()[2][first:last])

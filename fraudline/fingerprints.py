"""Of what input a day's scores were made: a digest of all transactions up to it."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.table import Statements, TransactionTable


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
        if table.said is not None:
            columns += _by_row(table.said, self._rows)
        self._rows += len(table)
        parts: list[Any] = [np.ascontiguousarray(column).data for column in columns]
        parts += [_lines(text) for text in (table.ids, *(codes.text() for codes in table.categories))]
        self._digests = self._digests or [hashlib.sha256() for _ in parts]
        for digest, part in zip(self._digests, parts, strict=True):
            digest.update(part)
        return hashlib.sha256(b"".join(digest.digest() for digest in self._digests)).hexdigest()


def _by_row(said: Statements, first: int) -> Iterator[npt.NDArray[Any]]:
    """Statements in the order of their rows, of which the first of this piece has number `first`."""
    order = np.argsort(said.row, kind="stable")
    yield said.row[order] + first
    yield from (column[order] for column in (said.label, said.known_at, said.missed_by))


def _lines(texts: pa.StringArray) -> bytes:
    """Each text and a line's end."""
    if not len(texts):
        return b""
    lines = pc.binary_join_element_wise(texts, pa.scalar(""), "\n")
    first, last = np.frombuffer(lines.buffers()[1], np.int32)[[lines.offset, lines.offset + len(lines)]].tolist()
    return bytes(lines.buffers()[2][first:last])

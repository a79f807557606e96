"""What was read: valid transactions, rows that are refused, and copies that are counted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from fraudline.transactions.table import Integers, TransactionTable, encode
from fraudline.transactions.transaction import CONFLICT, Problem

Mask = npt.NDArray[np.bool_]
Place = tuple[str, int]


@dataclass(frozen=True)
class RejectedRow:
    """A row that is refused, or left out of training: where it was read, its original and everything wrong with it.

    `row` counts from 0 in `source`. `raw` is a line of CSV (`header` is the file's first), a line of JSON, or a Parquet
    row's cells as a JSON object; "" where the original is kept elsewhere, or is still to be read.
    """

    source: str
    row: int
    raw: str
    problems: tuple[Problem, ...]
    header: str = ""

    @property
    def reason(self) -> str:
        return self.problems[0].code

    @property
    def place(self) -> Place:
        return self.source, self.row


class Source(NamedTuple):
    """A file or object that was read, and how many rows it has."""

    name: str
    rows: int


@dataclass(frozen=True)
class Landed:
    """What was read: `rows` = len(table) + len(rejects) + duplicates, always.

    The table's `source_row` counts through all `sources`, one after the other; `places` tells where rows stand.
    """

    rows: int
    table: TransactionTable
    rejects: tuple[RejectedRow, ...]
    duplicates: int = 0
    sources: tuple[Source, ...] = ()

    def places(self, source_rows: Integers) -> list[Place]:
        """The source of each of these rows and its number there; without sources what was read has no name."""
        firsts = np.cumsum([0, *(source.rows for source in self.sources)])
        index = np.searchsorted(firsts, source_rows, side="right") - 1
        names = [source.name for source in self.sources] or [""]
        numbers = source_rows - firsts[index]
        return [(names[i], row) for i, row in zip(index.tolist(), numbers.tolist(), strict=True)]

    def reasons(self) -> dict[str, int]:
        """How many rows were quarantined under each reason, most frequent first."""
        counts = pd.Series([reject.reason for reject in self.rejects], dtype=object).value_counts()
        return {str(reason): int(count) for reason, count in counts.items()}


def keep_first_copies(landed: Landed) -> Landed:
    """The first copy of each id; identical later ones are counted, conflicting ones rejected."""
    table = landed.table
    codes = encode(table.ids)
    if len(codes.values) == len(table):
        return landed
    order = np.argsort(codes.codes, kind="stable")
    first = order[np.r_[True, np.diff(codes.codes[order]) != 0]]
    later = np.setdiff1d(np.arange(len(table)), first)
    original = first[np.searchsorted(codes.codes[first], codes.codes[later])]
    same = _same_content(table, later, original)
    conflicts = landed.places(table.source_row[later[~same]])
    return replace(
        landed,
        table=table.take(np.sort(first)),
        rejects=(*landed.rejects, *(RejectedRow(*place, "", (CONFLICT,)) for place in conflicts)),
        duplicates=landed.duplicates + int(same.sum()),
    )


def _same_content(table: TransactionTable, rows: npt.NDArray[Any], others: npt.NDArray[Any]) -> Mask:
    columns: Iterator[npt.NDArray[Any]] = iter(
        (
            table.timestamp,
            table.amount,
            table.label,
            *(codes.codes for codes in (*table.entities, *table.categories)),
            *table.flags,
        )
    )
    return np.asarray(np.logical_and.reduce([column[rows] == column[others] for column in columns]))

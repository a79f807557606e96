"""Scores of past days by any version: the same features and scorer as everywhere, partitioned by UTC day.

Features of a day's transactions see all earlier rows of the input; a day's fingerprint covers those rows too, so a day
is done again exactly when something that could change it has changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.backfill.fingerprints import Fingerprint
from fraudline.clock import format_day
from fraudline.durations import DAY
from fraudline.errors import BadInput
from fraudline.features.offline import OfflineFeatures
from fraudline.features.offline_lagged import LaggedPrimitives
from fraudline.model.bundle import Bundle
from fraudline.model.matrix import score_columns
from fraudline.model.scoring import Scorer
from fraudline.transactions.table import TransactionTable, encode

Floats = npt.NDArray[np.float64]
# Rows whose scores and features are in memory at a time, unless one day has more.
SCORED_ROWS = 2**20


@dataclass(frozen=True)
class Partition:
    """One day of the window: its rows in the input are [begin, end), its fingerprint covers all up to `end`."""

    day: str
    begin: int
    end: int
    fingerprint: str


@dataclass(frozen=True)
class ScoredDay:
    """A partition with its transactions in the order they count, their features (rows, features) and decisions.

    `features` is None where nobody asked for them.
    """

    part: Partition
    table: TransactionTable
    decisions: pa.Table
    features: Floats | None = None


class Past(Protocol):
    """Past transactions that can be scored day by day, however they are held."""

    @property
    def partitions(self) -> Sequence[Partition]:
        """The days of the window that have transactions, in time order."""
        ...

    def score(self, parts: Sequence[Partition]) -> Iterator[ScoredDay]:
        """Some of these partitions, scored, in time order."""
        ...


@dataclass(frozen=True)
class PastInMemory:
    """The past as one table in the order it counts."""

    table: TransactionTable
    partitions: Sequence[Partition]
    bundle: Bundle
    with_features: bool = False

    @staticmethod
    def of(table: TransactionTable, start: int, end: int, bundle: Bundle) -> "PastInMemory":
        return PastInMemory(table, partitions(table, start, end), bundle)

    def score(self, parts: Sequence[Partition]) -> Iterator[ScoredDay]:
        return score_partitions(self.table, parts, self.bundle, self.with_features)


def partitions(table: TransactionTable, start: int, end: int) -> list[Partition]:
    """The days of [start, end) on which transactions counted; `table` is in the order it counts.

    One that came late to the stream belongs to the day on which it counted, as its decision of record does.
    """
    time = table.effective_time
    if not (time[:-1] <= time[1:]).all():
        raise ValueError("partitions need a table in the order it counts")
    if not len(table):
        raise BadInput("there are no transactions to score: name a file that has some")
    first, stop = np.searchsorted(time, [start, end])
    if first >= stop:
        raise nothing_to_score(start, end, int(time[0]), int(time[-1]))
    days = np.unique(time[first:stop] // DAY)
    edges: Any = np.searchsorted(time, np.r_[days * DAY, days[-1] * DAY + DAY])
    bounds = [(max(int(a), first), min(int(b), stop)) for a, b in pairwise(edges.tolist())]
    return [
        Partition(format_day(day * DAY), begin, finish, fingerprint)
        for day, (begin, finish), fingerprint in zip(days.tolist(), bounds, _fingerprints(table, bounds), strict=True)
    ]


def nothing_to_score(start: int, end: int, first: int, last: int) -> BadInput:
    """Why a window [start, end) of an input from `first` to `last` (microseconds) has no days."""
    return BadInput(
        f"no transactions from {format_day(start)} up to {format_day(end)}: the input spans "
        f"{format_day(first)} to {format_day(last)}"
    )


def _fingerprints(table: TransactionTable, bounds: list[tuple[int, int]]) -> Iterator[str]:
    """Of all rows before each bound's end, computed in one pass."""
    entities = [codes.by_appearance().codes for codes in table.entities]
    fingerprint, done = Fingerprint(), 0
    for _, end in bounds:
        rows = slice(done, end)
        yield fingerprint.of(table.take(rows), [codes[rows] for codes in entities])
        done = end


def score_partitions(
    table: TransactionTable, parts: Sequence[Partition], bundle: Bundle, with_features: bool = False
) -> Iterator[ScoredDay]:
    """Each partition scored, its rows in the order of the table, each id once.

    The stream may have counted one id for two entities (docs/exactly-once.md). Both are history, but decisions go by
    id: the copy that counted first is decided on, which no later row can change.
    """
    first, features = is_first(table.ids), OfflineFeatures(table)
    for some in _at_once(parts):
        wanted = np.zeros(len(table), bool)
        for part in some:
            wanted[part.begin : part.end] = first[part.begin : part.end]
        scores, matrix = score_rows(features, wanted, bundle.scorer, with_features)
        done = 0
        for part in some:
            day = table.take(part.begin + np.flatnonzero(first[part.begin : part.end]))
            rows = slice(done, done + len(day))
            yield ScoredDay(part, day, decisions(day, scores[rows], bundle), None if matrix is None else matrix[rows])
            done = rows.stop


def _at_once(parts: Sequence[Partition]) -> Iterator[list[Partition]]:
    """One or more days with about so many rows as are scored at once."""
    some, rows = list[Partition](), 0
    for part in parts:
        if some and rows + part.end - part.begin > SCORED_ROWS:
            yield some
            some, rows = [], 0
        some.append(part)
        rows += part.end - part.begin
    if some:
        yield some


def score_rows(
    features: OfflineFeatures,
    rows: npt.NDArray[np.bool_],
    scorer: Scorer,
    with_features: bool,
    lagged: Sequence[LaggedPrimitives] | None = None,
) -> tuple[Floats, Floats | None]:
    """The scores of the rows wanted (a mask) and, where asked for, their features (rows, features)."""
    count = int(rows.sum())
    scores = np.empty(count)
    matrix = np.empty((count, features.width)) if with_features else None
    for at, columns in features.blocks(rows, lagged):
        scores[at] = score_columns(scorer, columns)
        if matrix is not None:
            # Whole rows at once: they go to places all over the matrix.
            matrix[at] = np.stack(columns, axis=1)
    return scores, matrix


def is_first(ids: pa.StringArray) -> npt.NDArray[np.bool_]:
    """Which of the ids have not come before; they are numbered as they appear."""
    codes = encode(ids).codes
    return codes > np.maximum.accumulate(np.r_[np.int32(-1), codes[:-1]])


def decisions(table: TransactionTable, scores: Floats, bundle: Bundle) -> pa.Table:
    """What was decided on each transaction: the rows of a backfill's output."""
    partition_entity = table.contract.partition_entity
    return pa.table(
        {
            "transaction_id": table.ids,
            "timestamp": pa.array(table.timestamp).cast(pa.timestamp("us", tz="UTC")),
            partition_entity.name: table.entities[0].text(),
            "amount": table.amount / table.contract.amount.minor_units,
            "score": scores,
            "is_fraud": (scores >= bundle.threshold).astype(np.int8),
            "threshold": np.full(len(table), bundle.threshold),
            "model_version": pa.array([bundle.version] * len(table), pa.string()),
        }
    )

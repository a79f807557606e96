"""Scores of past days by any version: the same features and scorer as everywhere, partitioned by UTC day.

Features of a day's transactions see all earlier rows of the input; a day's fingerprint covers those rows too, so a day
is done again exactly when something that could change it has changed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from fraudline.bundle import Bundle
from fraudline.clock import format_day
from fraudline.durations import DAY
from fraudline.errors import BadInput
from fraudline.features.offline import offline_features
from fraudline.scoring_matrix import score_matrix
from fraudline.table import TransactionTable


@dataclass(frozen=True)
class Partition:
    """One day of the window: its rows in the table are [begin, end), its fingerprint covers all up to `end`."""

    day: str
    begin: int
    end: int
    fingerprint: str


def partitions(table: TransactionTable, start: int, end: int) -> list[Partition]:
    """The days of [start, end) that have transactions; `table` is in the order it counts (sorted by time)."""
    if not (table.timestamp[:-1] <= table.timestamp[1:]).all():
        raise ValueError("partitions need a table sorted by time")
    if not len(table):
        raise BadInput("there are no transactions to score: name a file that has some")
    first, stop = np.searchsorted(table.timestamp, [start, end])
    if first >= stop:
        raise BadInput(
            f"no transactions from {format_day(start)} up to {format_day(end)}: the input spans "
            f"{format_day(int(table.timestamp[0]))} to {format_day(int(table.timestamp[-1]))}"
        )
    days = np.unique(table.timestamp[first:stop] // DAY)
    edges: Any = np.searchsorted(table.timestamp, np.r_[days * DAY, days[-1] * DAY + DAY])
    bounds = [(max(int(a), first), min(int(b), stop)) for a, b in pairwise(edges.tolist())]
    return [
        Partition(format_day(day * DAY), begin, finish, fingerprint)
        for day, (begin, finish), fingerprint in zip(days.tolist(), bounds, _chained(table, bounds), strict=True)
    ]


def _chained(table: TransactionTable, bounds: list[tuple[int, int]]) -> Iterator[str]:
    """sha256 of all rows before each bound's end, computed in one pass.

    Each column has a digest of its own, so that where one bound ends and the next begins leaves no trace. Of entities
    it tells which rows are of the same one, not of whom: an erased id is no reason to score a day again.
    """
    columns: list[Any] = [table.timestamp, table.effective_time, table.amount, table.label, table.known_at]
    columns += table.flags if table.built_through is None else (*table.flags, table.built_through)
    columns += [codes.by_appearance().codes for codes in table.entities]
    texts = [table.ids, *(codes.text() for codes in table.categories)]
    digests = [hashlib.sha256() for _ in (*columns, *texts)]
    done = 0
    for _, end in bounds:
        parts = [np.ascontiguousarray(column[done:end]).tobytes() for column in columns]
        parts += ["".join(f"{value}\n" for value in text[done:end].to_pylist()).encode() for text in texts]
        for digest, part in zip(digests, parts, strict=True):
            digest.update(part)
        done = end
        yield hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()


def score_partitions(table: TransactionTable, parts: list[Partition], bundle: Bundle) -> Iterator[pa.Table]:
    """For each partition its decisions, in the order of the table."""
    wanted = np.zeros(len(table), bool)
    for part in parts:
        wanted[part.begin : part.end] = True
    features = offline_features(table, wanted)
    done = 0
    for part in parts:
        count = part.end - part.begin
        yield _decisions(table.take(slice(part.begin, part.end)), features[done : done + count], bundle)
        done += count


def _decisions(table: TransactionTable, features: Any, bundle: Bundle) -> pa.Table:
    scores = score_matrix(bundle.scorer, features)
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

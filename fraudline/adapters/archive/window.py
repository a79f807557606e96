"""A window of the stream for data quality: what batches read, by their accounts, and what earlier weeks read."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np

from fraudline.adapters.archive.names import ArchivedBatch, archived_batches
from fraudline.adapters.archive.reading import read_archive
from fraudline.adapters.storage.objects import Objects, read_all
from fraudline.archive import Archived, decode_archive
from fraudline.builds import NOTHING_BUILT
from fraudline.clock import format_day, from_micros
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.quality.measures import EARLIER_WEEKS, PAST, WEEK, Context
from fraudline.transactions.landed import Landed, RejectedRow, Source
from fraudline.transactions.table import TransactionTable, concatenate, from_transactions
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator


def landed_window(contract: Contract, landing: Objects, start: int, end: int, retention: int) -> tuple[Landed, Context]:
    """What batches decided in [start, end) (microseconds) read, and what to judge it by.

    A record may have waited in the stream for its `retention` (microseconds): what piled up in an outage is judged too.
    Duplicates and refused records are told as the accounts tell them; their bytes are in the quarantine. Whether
    entities are new is told for windows of a day or more only: their past costs more to read than an hour is worth.
    """
    found = list(_decided(landing, start, end, retention))
    batches = [batch for _, batch in found]
    refused = (refusal for batch in batches for refusal in batch.account.refused)
    rejects = tuple(RejectedRow(r.position, number, "", r.problems) for number, r in enumerate(refused))
    duplicates = sum(len(batch.account.duplicates) for batch in batches)
    table = _table(contract, batches)
    sources = tuple(Source(f"{landing.location}/{key}", len(batch.rows)) for key, batch in found)
    landed = Landed(len(table) + len(rejects) + duplicates, table, rejects, duplicates, sources)
    earlier = _days_before(contract, landing, start) if end - start >= DAY else None
    return landed, Context(as_of=end, earlier=earlier, usual_rows=_usual_rows(landing, start, end, retention))


def _decided(landing: Objects, start: int, end: int, retention: int) -> Iterator[tuple[str, Archived]]:
    """Batches with their keys. One lies under the day it began to arrive, by so much before it was decided.

    A shard's batches are decided one after the other: of those of many days few are read to find where a window begins.
    """
    by_shard: defaultdict[str, list[ArchivedBatch]] = defaultdict(list)
    for day in _days(start - retention, end):
        for batch in archived_batches(landing, f"{day}/"):
            by_shard[batch.shard].append(batch)

    def scored_at(batch: ArchivedBatch) -> int:
        return decode_archive(landing.get(batch.key)).account.scored_at

    for batches in by_shard.values():
        batches.sort(key=lambda batch: batch.first)
        begin, stop = (bisect_left(batches, moment, key=scored_at) for moment in (start, end))
        for key, data in read_all(landing, [batch.key for batch in batches[begin:stop]]):
            yield key, decode_archive(data)


def _days(start: int, end: int) -> Iterator[str]:
    first, last = from_micros(start).date(), from_micros(end - 1).date()
    return ((first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1))


def _usual_rows(landing: Objects, start: int, end: int, retention: int) -> float:
    """The median of what the same hours of earlier weeks scored; 0 while there is no such week."""
    shifts = [week * WEEK for week in range(1, EARLIER_WEEKS + 1)]
    weeks = [
        sum(batch.account.scored for _, batch in _decided(landing, start - shift, end - shift, retention))
        for shift in shifts
    ]
    known = [rows for rows in weeks if rows]
    return float(np.median(known)) if known else 0.0


def _days_before(contract: Contract, landing: Objects, start: int) -> TransactionTable | None:
    days = _days(start - PAST - DAY, start)
    tables = [
        read_archive(landing, contract, f"{day}/", NOTHING_BUILT).table for day in days if day != format_day(start)
    ]
    parts = [table for table in tables if len(table)]
    return concatenate(parts) if parts else None


def _table(contract: Contract, batches: list[Archived]) -> TransactionTable:
    validator = Validator(contract)
    numbered = enumerate(row for batch in batches for row in batch.rows)
    rows = sorted(numbered, key=lambda numbered: numbered[1].position)
    decoded = ((number, row, validator.decode(bytes(row.record))) for number, row in rows)
    valid = [(number, row, outcome) for number, row, outcome in decoded if isinstance(outcome, Transaction)]
    return replace(
        from_transactions(contract, [transaction for _, _, transaction in valid], [number for number, _, _ in valid]),
        effective_time=np.array([row.effective_time for _, row, _ in valid], dtype=np.int64),
    )

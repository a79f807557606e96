"""The stream's archive read back: transactions as they counted, and the account of what was read with them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import msgspec
import numpy as np

from fraudline.adapters.landing import PREFIX
from fraudline.adapters.objects import Objects
from fraudline.archive import Archived, decode_archive
from fraudline.clock import from_micros
from fraudline.columns import Landed, RejectedRow
from fraudline.contract import Contract
from fraudline.errors import NotReady
from fraudline.quality.measures import Context
from fraudline.table import TransactionTable, from_transactions
from fraudline.transaction import Rejected, Transaction
from fraudline.validation import Validator


class Counted(NamedTuple):
    """An archived transaction: its position, when it counted, and up to when later entities were built then."""

    position: str
    effective_time: int
    built_through: int | None
    transaction: Transaction


def read_archive(landing: Objects, start: int, end: int) -> list[Archived]:
    """The batches that arrived on the days from `start` to `end` (microseconds, both days included)."""
    first, last = (from_micros(time).date() for time in (start, end))
    days = ((first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1))
    return [decode_archive(landing.get(key)) for day in days for key in landing.list(f"{PREFIX}{day}/")]


def counted(contract: Contract, batches: Iterable[Archived]) -> list[Counted]:
    """Their transactions in the order they counted for each entity: by position."""
    validator = Validator(contract)
    return sorted(row for batch in batches for row in _rows(validator, batch))


def archived_table(contract: Contract, rows: Sequence[Counted]) -> TransactionTable:
    """The table of counted transactions, in that order; `NotReady` if there are none."""
    if not rows:
        raise NotReady("the archive has no transaction in these days: choose others, or score the stream first")
    return _table(contract, rows)


def landed_window(contract: Contract, batches: Sequence[Archived], start: int, end: int) -> tuple[Landed, Context]:
    """What batches decided in [start, end) read, and the transactions of the ones before.

    Duplicates and refused records are told as the batches' accounts tell them; their bytes are in the quarantine.
    """
    inside = [batch for batch in batches if start <= batch.account.scored_at < end]
    earlier = counted(contract, (batch for batch in batches if batch.account.scored_at < start))
    refused = (refusal for batch in inside for refusal in batch.account.refused)
    rejects = tuple(RejectedRow(r.position, index, "", r.problems) for index, r in enumerate(refused))
    table = _table(contract, counted(contract, inside))
    duplicates = sum(len(batch.account.duplicates) for batch in inside)
    landed = Landed(len(table) + len(rejects) + duplicates, table, rejects, duplicates)
    return landed, Context(as_of=end, start=start, earlier=_table(contract, earlier) if earlier else None)


def _table(contract: Contract, rows: Sequence[Counted]) -> TransactionTable:
    built = [row.built_through for row in rows]
    return replace(
        from_transactions(contract, [row.transaction for row in rows]),
        effective_time=np.array([row.effective_time for row in rows], dtype=np.int64),
        built_through=None if None in built else np.array(built, dtype=np.int64),
    )


def _rows(validator: Validator, batch: Archived) -> Iterator[Counted]:
    for row in batch.rows:
        transaction = validator.validate(msgspec.json.decode(row.record), row.arrived_at)
        # A stricter contract may refuse today what counted then; it has no place in its history.
        if not isinstance(transaction, Rejected):
            yield Counted(row.position, row.effective_time, batch.account.built_through, transaction)

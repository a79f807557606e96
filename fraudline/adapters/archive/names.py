"""Archive objects by their names: which shard's, from which sequence number to which, without reading them."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import NamedTuple

from fraudline.adapters.archive.landing import PREFIX, SUFFIX
from fraudline.adapters.storage.objects import Objects
from fraudline.stream import SEQUENCE_DIGITS


class ArchivedBatch(NamedTuple):
    """An object's key and what it says: the day its first record arrived, the shard, padded sequence numbers."""

    key: str
    day: str
    shard: str
    first: str
    last: str


def archived_batches(landing: Objects, prefix: str = "") -> Iterator[ArchivedBatch]:
    """All of them, or those below `prefix` ("2026-01-31/shardId-000000000000/"), in the order of their keys."""
    for key in landing.list(PREFIX + prefix):
        day, shard, name = key.removeprefix(PREFIX).split("/")
        first, last = name.removesuffix(SUFFIX).split("-")
        yield ArchivedBatch(key, day, shard, padded(first), padded(last))


def batches_of(landing: Objects, shards: Iterable[str], since: str, until: date) -> Iterator[ArchivedBatch]:
    """Those of some shards that began to arrive from the day `since` (empty: whenever) to the day `until`."""
    wanted = set(shards)
    if not since:
        yield from (batch for batch in archived_batches(landing) if batch.shard in wanted)
        return
    first = date.fromisoformat(since)
    for number in range((until - first).days + 1):
        day = (first + timedelta(days=number)).isoformat()
        for shard in sorted(wanted):
            yield from archived_batches(landing, f"{day}/{shard}/")


def padded(sequence: str) -> str:
    """A sequence number whose order is that of text; empty stands before all."""
    return f"{sequence:0>{SEQUENCE_DIGITS}}"

"""What a stream still keeps since a moment, as transactions: read beside its consumers, without a lease or a trace."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.adapters.backoff import Deadline, within
from fraudline.adapters.clock import now_micros
from fraudline.adapters.files import Progress
from fraudline.adapters.kinesis import Stream
from fraudline.bundle import Bundle
from fraudline.columns import Landed, RejectedRow, Source, keep_first_copies
from fraudline.contract import Contract
from fraudline.microbatch import Event, MicroBatches
from fraudline.stream import Batch, Intent, Record, Shard, at_timestamp
from fraudline.table import TransactionTable, concatenate, from_transactions

READ_SECONDS = 300.0
_PAGE_RECORDS = 10_000
_PAGE_BYTES = 64 << 20


def read_stream(stream: Stream, bundle: Bundle, since: int, progress: Progress | None = None) -> Landed:
    """The records that arrived at `since` (microseconds) or later and before this call, validated as on the stream.

    In the order they count: each entity's in the order of their positions, its `effective_time` never going back.
    """
    now, deadline = now_micros(), within(READ_SECONDS)
    batches = MicroBatches(bundle)
    events: list[Event] = []
    refused: list[tuple[Record, RejectedRow]] = []
    rows = 0
    for shard in stream.shards(deadline):
        for records in _pages(stream, shard, since, now, deadline):
            read = batches.read(Batch(shard, records, Intent(records[-1].sequence, len(records), bundle.version, now)))
            events += read.events
            by_position = {record.position: record for record in records}
            refused += [(by_position[r.position], RejectedRow(r.position, 0, "", r.problems)) for r in read.refused]
            rows += len(records)
        if progress:
            progress(f"{shard.id} of stream {stream.name}", rows)
    events.sort(key=lambda event: event.record.position)
    table = from_transactions(bundle.contract, [event.transaction for event in events])
    rejects = tuple(
        replace(reject, row=number, raw=record.data.decode("utf-8", "backslashreplace"))
        for number, (record, reject) in enumerate(sorted(refused, key=lambda pair: pair[0].position))
    )
    landed = keep_first_copies(Landed(rows, table, rejects, sources=(Source(f"stream {stream.name}", rows),)))
    return replace(landed, table=_counted(landed.table, {}))


def _pages(stream: Stream, shard: Shard, since: int, now: int, deadline: Deadline) -> Iterator[tuple[Record, ...]]:
    """The shard's records up to those that arrive from `now` on: whoever reads a busy stream would never end."""
    reader = stream.reader(shard, at_timestamp(since))
    while True:
        page = reader.read(_PAGE_RECORDS, _PAGE_BYTES, deadline)
        records = tuple(record for record in page.records if record.arrived_at < now)
        if records:
            yield records
        if page.at_tip or page.ended or len(records) < len(page.records):
            return


def after(history: Landed, streamed: Landed) -> Landed:
    """The history and what came on the stream after it; what is in both counts as it did in the history."""
    past = history.table
    again = pc.is_in(streamed.table.ids, value_set=past.ids).to_numpy(zero_copy_only=False)
    new = _counted(streamed.table.take(~again), _last_times(past))
    new = replace(new, source_row=new.source_row + history.rows)
    both = concatenate([table for table in (past, new) if len(table)] or [past])
    return Landed(
        history.rows + streamed.rows,
        both.take(np.argsort(both.effective_time, kind="stable")),
        history.rejects + streamed.rejects,
        history.duplicates + streamed.duplicates + int(again.sum()),
        history.sources + streamed.sources,
    )


def nothing_before(contract: Contract) -> Landed:
    """The history of a stream that has none."""
    return Landed(0, from_transactions(contract, []), ())


def _counted(table: TransactionTable, last: dict[str, int]) -> TransactionTable:
    """Rows that come one after the other, in the order they count after what each entity's `last` tells."""
    effective = np.empty(len(table), np.int64)
    last = dict(last)
    for row, (entity, at) in enumerate(
        zip(table.entities[0].text().to_pylist(), table.timestamp.tolist(), strict=True)
    ):
        effective[row] = last[entity] = max(at, last.get(entity, at))
    counted = replace(table, effective_time=effective)
    return counted.take(np.argsort(effective, kind="stable"))


def _last_times(table: TransactionTable) -> dict[str, int]:
    """By partition entity, when its last transaction counted."""
    grouped = pa.table({"entity": table.entities[0].text(), "time": table.effective_time}).group_by("entity")
    found = grouped.aggregate([("time", "max")])
    return dict(zip(found["entity"].to_pylist(), found["time_max"].to_pylist(), strict=True))

"""What a stream still keeps since a moment, as sorted runs on disk: read beside its consumers, without a trace.

Two steps, for when a record counts depends on what came before it: first all records in the order of their positions,
then, once it is known which of them count and what history there is, at their effective times.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.clock import now_micros
from fraudline.adapters.large.runs import STREAM, Run, write_counted, write_days
from fraudline.adapters.large.spill_files import read_batch, write_batches
from fraudline.adapters.stream.kinesis import Stream
from fraudline.archive import Refusal
from fraudline.backfill.spilling import ORDER
from fraudline.backfill.vocabulary import Numbers
from fraudline.microbatch.batches import MicroBatches
from fraudline.microbatch.values import Event
from fraudline.model.bundle import Bundle
from fraudline.stream import Batch, Intent, Record, Shard, at_timestamp
from fraudline.transactions.landed import RejectedRow, Source
from fraudline.transactions.table import NOT_RECORDED, Integers, from_transactions

# Records that are sorted at once: until then each is some Python objects, a kilobyte or more.
RUN_ROWS = 2**16
# And their bytes.
RUN_BYTES = 2**28
# For each page, and for the list of shards.
READ_SECONDS = 300.0
_PAGE_RECORDS = 10_000
_PAGE_BYTES = 64 << 20

# What is done, how many rows of how many.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Streamed:
    """What was read of a stream: runs in the order of positions, an entity's one after the other, and what is refused.

    Rows are the numbers of records as they were read.
    """

    source: Source
    runs: tuple[Run, ...]
    rejects: tuple[RejectedRow, ...]


def land_stream(stream: Stream, bundle: Bundle, since: int, folder: Path, progress: Progress) -> Streamed:
    """The records that arrived at `since` (microseconds) or later and before this call, validated as on the stream.

    `progress` is told how many have been read.
    """
    now = now_micros()
    batches, shards, rejects, rows = MicroBatches(bundle), list[list[Run]](), list[RejectedRow](), 0
    for number, shard in enumerate(stream.shards(within(READ_SECONDS))):
        writer = _Writer(bundle, folder / f"stream-{number}")
        for records in _pages(stream, shard, since, now):
            intent = Intent(records[-1].sequence, len(records), bundle.version, now)
            read = batches.read(Batch(shard, records, intent))
            numbers = {record.position: rows + at for at, record in enumerate(records)}
            rejects += _rejects(records, read.refused, numbers)
            writer.add(read.events, numbers)
            rows += len(records)
            progress("Read", rows, 0)
        shards.append(writer.close())
    # A shard's records come after those of the shards that it was split or merged from: so do their positions.
    runs = sorted((runs for runs in shards if runs), key=lambda runs: _first_position(runs[0]))
    return Streamed(Source(f"stream {stream.name}", rows), tuple(run for some in runs for run in some), tuple(rejects))


def with_records(rejects: Sequence[RejectedRow], streamed: Streamed) -> list[RejectedRow]:
    """Rejects of streamed rows as those of the stream itself: by position, with the record's bytes."""
    rows = {reject.row: reject for reject in rejects if reject.source == streamed.source.name}
    told: list[RejectedRow] = []
    for run in streamed.runs if rows else ():
        numbers = run.day(_UNCOUNTED)["source_row"].to_numpy()
        batch = read_batch(_records_path(run), 0)
        for at in np.flatnonzero(np.isin(numbers, list(rows))).tolist():
            reject = rows[int(numbers[at])]
            told.append(replace(reject, source=batch["position"][at].as_py(), raw=_text(batch["record"][at].as_py())))
    return [reject for reject in rejects if reject.source != streamed.source.name] + told


def counted(run: Run, entities: Numbers, dropped: npt.NDArray[np.bool_], last: Integers) -> Run:
    """The same run at the effective times of its rows, after those that `last` tells by entity, and moves on.

    `entities` are the rows' own; dropped rows do not count.
    """
    batch = run.day(_UNCOUNTED)
    times, moments = batch["timestamp"].to_pylist(), last
    effective = np.array(times, np.int64)
    for row in np.flatnonzero(~dropped).tolist():
        effective[row] = moments[entities[row]] = max(times[row], moments[entities[row]])
    column = batch.schema.get_field_index("effective_time")
    return write_days(batch.set_column(column, "effective_time", pa.array(effective)), run)


def has_no_time(run: Run) -> bool:
    """Whether a run is still to be counted."""
    return run.origin == STREAM and run.days == (_UNCOUNTED,)


# All rows of a run that is still to be counted lie in this day, at this time.
_UNCOUNTED = 0


class _Writer:
    """Events of one shard, in order, into runs."""

    def __init__(self, bundle: Bundle, path: Path) -> None:
        self._bundle = bundle
        self._path = path
        self._events: list[Event] = []
        self._numbers: list[int] = []
        self._bytes = 0
        self._runs: list[Run] = []

    def add(self, events: Sequence[Event], numbers: dict[str, int]) -> None:
        self._events += events
        self._numbers += (numbers[event.record.position] for event in events)
        self._bytes += sum(len(event.record.data) for event in events)
        if len(self._events) >= RUN_ROWS or self._bytes >= RUN_BYTES:
            self._write()

    def close(self) -> list[Run]:
        """All runs, in the order of positions."""
        if self._events:
            self._write()
        return self._runs

    def _write(self) -> None:
        table = from_transactions(self._bundle.contract, [event.transaction for event in self._events], self._numbers)
        table = replace(table, effective_time=np.full(len(table), _UNCOUNTED), built_through=self._built_through())
        positions = pa.array([event.record.position for event in self._events], pa.string())
        path = self._path.with_name(f"{self._path.name}-{len(self._runs)}.arrow")
        run = write_counted(table, positions, path, 0, STREAM)
        records = {"position": positions, "record": pa.array([event.record.data for event in self._events])}
        write_batches(_records_path(run), [pa.RecordBatch.from_pydict(records)])
        self._runs.append(run)
        self._events, self._numbers, self._bytes = [], [], 0

    def _built_through(self) -> Integers | None:
        """The stream has decided none of them yet."""
        return np.full(len(self._events), NOT_RECORDED) if self._bundle.contract.lagged_entities else None


def _records_path(run: Run) -> Path:
    return run.path.with_suffix(".records")


def _first_position(run: Run) -> str:
    position: str = run.day(_UNCOUNTED)[ORDER][0].as_py()
    return position


def _rejects(records: Sequence[Record], refused: Sequence[Refusal], numbers: dict[str, int]) -> Iterator[RejectedRow]:
    raw = {record.position: record.data for record in records}
    return (RejectedRow(r.position, numbers[r.position], _text(raw[r.position]), r.problems) for r in refused)


def _text(record: bytes) -> str:
    return record.decode("utf-8", "backslashreplace")


def _pages(stream: Stream, shard: Shard, since: int, now: int) -> Iterator[tuple[Record, ...]]:
    """The shard's records up to those that arrive from `now` on: whoever reads a busy stream would never end."""
    reader = stream.reader(shard, at_timestamp(since))
    while True:
        page = reader.read(_PAGE_RECORDS, _PAGE_BYTES, within(READ_SECONDS))
        records = tuple(record for record in page.records if record.arrived_at < now)
        if records:
            yield records
        if page.at_tip or page.ended or len(records) < len(page.records):
            return

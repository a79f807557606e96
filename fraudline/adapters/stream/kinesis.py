"""Reading a Kinesis stream shard by shard: which shards there are, and a reader that survives lost iterators."""

import time
from collections import deque
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from fraudline.adapters.aws.backoff import Deadline
from fraudline.adapters.aws.errors import error_code, explained
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.durations import HOUR, SECOND
from fraudline.stream import TRIM_HORIZON, Record, Shard, position_of, timestamp_in

# Kinesis allows five reads a second for each shard.
READ_INTERVAL_SECONDS = 0.2
_PAGE_RECORDS = 10_000
# Before a lag is taken from what the stream says of itself: some seconds.
_EMPTY_ANSWERS = 25
_LOST_ITERATOR = frozenset({"ExpiredIteratorException", "InvalidArgumentException"})


class _Delivered(msgspec.Struct):
    SequenceNumber: str
    PartitionKey: str
    ApproximateArrivalTimestamp: float
    Data: bytes


class _Answer(msgspec.Struct):
    Records: list[_Delivered]
    NextShardIterator: str | None = None
    MillisBehindLatest: int = 0


_answer = msgspec.json.Decoder(_Answer)


class Page(msgspec.Struct, frozen=True):
    """Records in order. `at_tip`: there was nothing more; `ended`: the shard is closed and read to its end."""

    records: tuple[Record, ...]
    at_tip: bool
    ended: bool


class Stream:
    """A stream's shards and their readers."""

    def __init__(self, service: AwsJson, name: str, read_interval: float = READ_INTERVAL_SECONDS) -> None:
        self.name = name
        self._service = service
        self._read_interval = read_interval

    def shards(self, deadline: Deadline) -> tuple[Shard, ...]:
        """All shards whose records are still kept, closed ones included."""
        found: list[Shard] = []
        body: dict[str, Any] = {"StreamName": self.name}
        while True:
            answer = self._call("ListShards", body, deadline)
            found += [_shard(shard) for shard in answer["Shards"]]
            token = answer.get("NextToken")
            if not token:
                return tuple(found)
            body = {"NextToken": token}

    def retention(self, deadline: Deadline) -> int:
        """For how long records are kept, in microseconds."""
        answer = self._call("DescribeStreamSummary", {"StreamName": self.name}, deadline)
        return int(answer["StreamDescriptionSummary"]["RetentionPeriodHours"]) * HOUR

    def lag_after(self, shard: Shard, checkpoint: str, deadline: Deadline) -> float:
        """The age (seconds) of the oldest record that waits behind a checkpoint, 0 if none does.

        It is asked for with an iterator of its own. Answers before the tip may be empty; if so many are in a row, this
        is how far behind the stream says they are.
        """
        reader = ShardReader(self._service, self.name, shard, checkpoint, self._read_interval, page_records=1)
        for _ in range(_EMPTY_ANSWERS):
            page = reader.read(1, 0, deadline)
            if page.records:
                return max(0.0, time.time() - page.records[0].arrived_at / SECOND)
            if page.at_tip or page.ended:
                break
        return reader.seconds_behind

    def reader(self, shard: Shard, checkpoint: str) -> "ShardReader":
        """A reader of the records after `checkpoint` (see `fraudline.stream`)."""
        return ShardReader(self._service, self.name, shard, checkpoint, self._read_interval)

    def _call(self, operation: str, body: object, deadline: Deadline) -> dict[str, Any]:
        thing = f"stream {self.name!r}"
        with explained(thing):
            answer = self._service.call(operation, body, thing, deadline)
        return msgspec.json.decode(answer, type=dict[str, Any])


class ShardReader:
    """Records of one shard, each once and in order; at most five reads a second."""

    def __init__(
        self,
        service: AwsJson,
        stream: str,
        shard: Shard,
        checkpoint: str,
        read_interval: float,
        page_records: int = _PAGE_RECORDS,
    ) -> None:
        self._service = service
        self._stream = stream
        self._shard = shard
        self._after = checkpoint
        self._read_interval = read_interval
        self._page_records = page_records
        self._iterator: str | None = None
        self._ended = False
        self._at_tip = False
        self.seconds_behind = 0.0
        self._buffer: deque[Record] = deque()
        self._next_read = 0.0

    def read(self, most_records: int, most_bytes: int, deadline: Deadline) -> Page:
        """The next records, at least one if any is there, within the bounds (a single larger record passes)."""
        self._fill(deadline)
        taken: list[Record] = []
        size = 0
        while self._buffer and len(taken) < most_records:
            size += len(self._buffer[0].data)
            if taken and size > most_bytes:
                break
            taken.append(self._buffer.popleft())
        return Page(tuple(taken), not self._buffer and self._at_tip, not self._buffer and self._ended)

    def read_through(self, sequence: str, deadline: Deadline) -> Page:
        """All records up to this sequence number that the stream hands over; `at_tip` if it was not seen to be past it.

        Past it, records that are missing have expired; before it, they may come yet.
        """
        last = position_of(sequence, self._shard.id)
        taken: list[Record] = []
        while True:
            self._fill(deadline)
            while self._buffer and self._buffer[0].position <= last:
                taken.append(self._buffer.popleft())
            is_past = bool(self._buffer) or self._ended or (bool(taken) and taken[-1].position == last)
            if is_past or self._at_tip:
                return Page(tuple(taken), not is_past, not self._buffer and self._ended)

    def _fill(self, deadline: Deadline) -> None:
        if not self._buffer and not self._ended:
            self._fetch(deadline)

    def _fetch(self, deadline: Deadline) -> None:
        pause = self._next_read - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        with explained(f"stream {self._stream!r}"):
            answer = self._answer(deadline)
        self._next_read = time.monotonic() + self._read_interval
        self._buffer.extend(self._record(delivered) for delivered in answer.Records)
        self._iterator = answer.NextShardIterator
        self._ended = answer.NextShardIterator is None
        self._at_tip = answer.MillisBehindLatest == 0
        self.seconds_behind = answer.MillisBehindLatest / 1000
        if self._buffer:
            self._after = self._buffer[-1].sequence

    def _answer(self, deadline: Deadline) -> _Answer:
        thing = f"stream {self._stream!r}"
        iterator = self._iterator or self._open(deadline)
        body = {"ShardIterator": iterator, "Limit": self._page_records}
        try:
            return _answer.decode(self._service.call("GetRecords", body, thing, deadline))
        except ClientError as error:
            if error_code(error) not in _LOST_ITERATOR or self._iterator is None:
                raise
            # Iterators live five minutes; the place they stood at is known.
            self._iterator = None
            return self._answer(deadline)

    def _open(self, deadline: Deadline) -> str:
        body = {"StreamName": self._stream, "ShardId": self._shard.id, **_start(self._after)}
        answer = self._service.call("GetShardIterator", body, f"stream {self._stream!r}", deadline)
        return str(msgspec.json.decode(answer, type=dict[str, str])["ShardIterator"])

    def _record(self, delivered: _Delivered) -> Record:
        return Record(
            delivered.SequenceNumber,
            position_of(delivered.SequenceNumber, self._shard.id),
            delivered.PartitionKey,
            round(delivered.ApproximateArrivalTimestamp * SECOND),
            delivered.Data,
        )


def _start(checkpoint: str) -> dict[str, Any]:
    """Where an iterator starts for a checkpoint."""
    if checkpoint == TRIM_HORIZON:
        return {"ShardIteratorType": "TRIM_HORIZON"}
    timestamp = timestamp_in(checkpoint)
    if timestamp is not None:
        return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": timestamp / SECOND}
    return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": checkpoint}


def _shard(told: dict[str, Any]) -> Shard:
    range_ = told["HashKeyRange"]
    parents = (told.get("ParentShardId"), told.get("AdjacentParentShardId"))
    return Shard(
        told["ShardId"],
        int(range_["StartingHashKey"]),
        int(range_["EndingHashKey"]),
        tuple(parent for parent in parents if parent),
    )

"""Puts records on a stream so that those of one key keep their order, whatever is throttled.

A PutRecords call may take some records and refuse others; the refused ones, sent again, then come after younger records
of the same call. So no call holds a key twice, and a key's next record goes only after the last one was taken. A call
whose answer got lost is repeated: the stream may then hold a record twice, which its consumer counts once.
"""

import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnected

from fraudline.adapters.aws.errors import error_code, explained
from fraudline.errors import BadInput, Unavailable

# Kinesis' limits: of a call, and of a record's data with its partition key.
CALL_RECORDS = 500
CALL_BYTES = 5 * 2**20
RECORD_BYTES = 2**20
KEY_CHARACTERS = 256
# How many records are read ahead to find different keys for a call.
READ_AHEAD = 10_000
# A stream that takes nothing for so long is given up.
PATIENCE_SECONDS = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_TRY_AGAIN = {
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "ThrottlingException",
    "KMSThrottlingException",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
}


class Outgoing(NamedTuple):
    """A record to send; the partition key is the transaction's first entity."""

    partition_key: str
    data: bytes


@dataclass(frozen=True)
class SendReport:
    """What a stream took: records and their bytes, in how many calls and seconds; how often it refused one."""

    records: int = 0
    bytes: int = 0
    calls: int = 0
    refusals: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Producer:
    """Sends to one stream by a boto3 Kinesis client; one that takes nothing for `patience` seconds is given up."""

    client: Any
    stream: str
    patience: float = PATIENCE_SECONDS

    def send(
        self,
        records: Iterable[tuple[str, bytes]],
        rate: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> SendReport:
        """Send (partition key, data) records, at most `rate` of them a second; returns when all are taken.

        `progress` is told after each call how many records it took. A record that no stream takes is `BadInput`; a
        stream that takes none is `Unavailable`. Both say how many were taken before: send the others again, or all.
        """
        if rate is not None and not 0 < rate < math.inf:
            raise BadInput(f"nothing can be sent at {rate} records a second: give a number above 0")
        sending = _Sending(self, records, rate)
        for taken in sending.run():
            if progress:
                progress(taken)
        return sending.report


class _Waiting:
    """Records read ahead: per key in order, the keys in the order in which they came or were served."""

    def __init__(self, records: Iterator[Outgoing]) -> None:
        self._records = records
        self._by_key: dict[str, deque[bytes]] = {}
        self._size = 0

    def fill(self) -> None:
        while self._size < READ_AHEAD and len(self._by_key) < CALL_RECORDS:
            record = next(self._records, None)
            if record is None:
                return
            self._by_key.setdefault(record.partition_key, deque()).append(record.data)
            self._size += 1

    def first_of_each_key(self, most: int) -> list[Outgoing]:
        """The records of one call; they stay here until they are `taken`."""
        batch: list[Outgoing] = []
        size = 0
        for key, queue in self._by_key.items():
            size += _size(key, queue[0])
            if len(batch) == most or size > CALL_BYTES:
                break
            batch.append(Outgoing(key, queue[0]))
        return batch

    def taken(self, key: str) -> None:
        queue = self._by_key.pop(key)
        queue.popleft()
        self._size -= 1
        if queue:
            self._by_key[key] = queue  # behind the others


class _Sending:
    """One `send` under way."""

    def __init__(self, producer: Producer, records: Iterable[tuple[str, bytes]], rate: float | None) -> None:
        self._producer, self._rate = producer, rate
        self._waiting = _Waiting(self._checked(records))
        self._most = CALL_RECORDS if rate is None else max(1, min(CALL_RECORDS, int(rate)))
        self._started = self._last_taken = time.monotonic()
        self._last_reason = ""
        self.report = SendReport()

    def run(self) -> Iterator[int]:
        """Send all; yields after each call how many records it took."""
        barren = 0  # calls in a row that took nothing
        while True:
            self._waiting.fill()
            batch = self._waiting.first_of_each_key(self._most)
            if not batch:
                return
            self._keep_to_rate()
            refused = self._put(batch)
            self._count(batch, refused)
            yield len(batch) - len(refused)
            barren = barren + 1 if len(refused) == len(batch) else 0
            if refused:
                self._pause(barren)

    def _put(self, batch: Sequence[Outgoing]) -> set[str]:
        """The keys whose records were not taken."""
        stream = self._producer.stream
        wire = [{"PartitionKey": record.partition_key, "Data": record.data} for record in batch]
        with explained(f"stream {stream!r}"):
            try:
                answer = self._producer.client.put_records(StreamName=stream, Records=wire)
            except ClientError as error:
                if error_code(error) not in _TRY_AGAIN:
                    raise
                return self._refused({record.partition_key: error_code(error) for record in batch})
            except (NotConnected, HTTPClientError) as error:
                return self._refused({record.partition_key: str(error) for record in batch})
        # A 200 is not success: each record has its own answer.
        results = zip(batch, answer["Records"], strict=True)
        return self._refused({r.partition_key: told["ErrorCode"] for r, told in results if told.get("ErrorCode")})

    def _refused(self, reasons: dict[str, str]) -> set[str]:
        self._last_reason = next(iter(reasons.values()), self._last_reason)
        return set(reasons)

    def _count(self, batch: Sequence[Outgoing], refused: set[str]) -> None:
        taken = [record for record in batch if record.partition_key not in refused]
        for record in taken:
            self._waiting.taken(record.partition_key)
        now, before = time.monotonic(), self.report
        if taken:
            self._last_taken = now
        self.report = SendReport(
            records=before.records + len(taken),
            bytes=before.bytes + sum(len(record.data) for record in taken),
            calls=before.calls + 1,
            refusals=before.refusals + len(refused),
            seconds=now - self._started,
        )

    def _keep_to_rate(self) -> None:
        if self._rate is not None:
            due = self._started + self.report.records / self._rate
            time.sleep(max(0.0, due - time.monotonic()))

    def _pause(self, barren: int) -> None:
        """Full jitter, longer and longer only while nothing at all is taken: a slow shard must not stop the others."""
        stream, patience = self._producer.stream, self._producer.patience
        if time.monotonic() - self._last_taken > patience:
            raise Unavailable(
                f"stream {stream!r} took {self.report.records} records and then none for {patience:.0f} s "
                f"({self._last_reason}): look at its throttles and its health, then send the rest"
            )
        time.sleep(random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(barren, 10))))

    def _checked(self, records: Iterable[tuple[str, bytes]]) -> Iterator[Outgoing]:
        for number, (key, data) in enumerate(records, start=1):
            if problem := _problem(key, data):
                raise BadInput(f"record {number} {problem}; {self.report.records} records were sent before")
            yield Outgoing(key, data)


def _problem(key: str, data: bytes) -> str | None:
    if not 1 <= len(key) <= KEY_CHARACTERS:
        return f"has a partition key of {len(key)} characters: 1 to {KEY_CHARACTERS} are allowed"
    if _size(key, data) > RECORD_BYTES:
        return f"has {_size(key, data)} bytes with its key: a stream takes {RECORD_BYTES}"
    return None


def _size(key: str, data: bytes) -> int:
    return len(data) + len(key.encode())

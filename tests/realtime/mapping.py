"""A Kinesis event source mapping as AWS documents it; the emulator ignores retries, bisecting and partial failures.

Source: AWS Lambda Developer Guide, "Configuring partial batch response with Kinesis Data Streams and Lambda", "How
Lambda processes records from stream and queue-based event sources" and "Retaining discarded batch records".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]
Handler = Callable[[dict[str, Any]], Any]


def sequence_of(record: Record) -> str:
    return str(record["kinesis"]["sequenceNumber"])


@dataclass
class Mapping:
    """Drives a handler through one shard's records, with `ReportBatchItemFailures`.

    `discarded` are the records it gave up on, in the batches they go to the on-failure destination in; `calls` the
    sequence numbers of each invocation.
    """

    handler: Handler
    batch_size: int = 100
    max_retries: int = 5
    bisect: bool = True
    discarded: list[list[str]] = field(default_factory=list)
    calls: list[list[str]] = field(default_factory=list)

    def drain(self, records: Sequence[Record]) -> None:
        """Everything in the shard, batch after batch; a later batch waits until an earlier one is done with."""
        for start in range(0, len(records), self.batch_size):
            self._process(list(records[start : start + self.batch_size]), self.max_retries)

    def _process(self, batch: list[Record], retries: int) -> None:
        while batch:
            failed_at = self._invoke(batch)
            if failed_at is None:
                return
            if failed_at > 0:
                # What comes before the checkpoint is done. The rest is another batch if it bisects, a retry if not.
                batch = batch[failed_at:]
                retries = self.max_retries if self.bisect else retries - 1
            elif self.bisect and len(batch) > 1:
                half = len(batch) // 2
                self._process(batch[:half], self.max_retries)
                batch, retries = batch[half:], self.max_retries
            else:
                retries -= 1
            if retries < 0:
                self.discarded.append([sequence_of(record) for record in batch])
                return

    def _invoke(self, batch: list[Record]) -> int | None:
        """Where in the batch to go on from; None if it is done."""
        self.calls.append([sequence_of(record) for record in batch])
        try:
            response = self.handler({"Records": batch})
        except Exception:  # Lambda treats whatever a function raises alike
            return 0
        return _checkpoint(response, [sequence_of(record) for record in batch])


def _checkpoint(response: Any, sequences: list[str]) -> int | None:
    """Success is an empty list or nothing at all; the lowest number named is the checkpoint; nonsense fails it all."""
    if response is None or response == {}:
        return None
    failures = response.get("batchItemFailures") if isinstance(response, dict) else 0
    if failures is None or failures == []:
        return None
    try:
        return min(sequences.index(failure["itemIdentifier"]) for failure in failures)
    except (TypeError, KeyError, ValueError):
        return 0

"""Refused records as they are kept: why, where from, and every byte, so that a person can act and send them again.

One object for each batch that refused anything, named like its archive object; one JSON object a line.
"""

import base64
from collections.abc import Iterable, Iterator

import msgspec

from fraudline.archive import Refusal
from fraudline.stream import Batch
from fraudline.transactions.transaction import Problem


class Reject(msgspec.Struct, frozen=True):
    """A refused record: `problems` as the validator tells them (at least one), `data` in base64."""

    position: str
    shard: str
    arrived_at: int
    partition_key: str
    problems: tuple[Problem, ...]
    data: str

    @property
    def reason(self) -> str:
        """The code it is counted under."""
        return self.problems[0].code

    @property
    def raw(self) -> bytes:
        return base64.b64decode(self.data)


def rejects_of(batch: Batch, refusals: Iterable[Refusal]) -> tuple[Reject, ...]:
    """The batch's refused records with their bytes, but for those that expired since the batch was begun."""
    records = {record.position: record for record in batch.records}
    return tuple(
        Reject(
            refusal.position,
            batch.shard.id,
            records[refusal.position].arrived_at,
            records[refusal.position].partition_key,
            refusal.problems,
            base64.b64encode(records[refusal.position].data).decode(),
        )
        for refusal in refusals
        if refusal.position in records
    )


def encode_rejects(rejects: Iterable[Reject]) -> bytes:
    return b"".join(msgspec.json.encode(reject) + b"\n" for reject in rejects)


def decode_rejects(data: bytes) -> Iterator[Reject]:
    for line in data.splitlines():
        yield msgspec.json.decode(line, type=Reject)

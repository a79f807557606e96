"""The archive of a batch: what was counted, in which order and when, for retrain, backfill and materialize.

An object is gzipped JSON lines. The first line is the batch's `Account`, every other one a counted transaction:
`position`, `arrived_at` and `effective_time` in microseconds, and `record`, the JSON that the stream delivered.
Duplicates and refused records are not history: the account names them, the quarantine keeps the refused ones.
"""

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from fraudline.clock import format_day
from fraudline.errors import Tampered
from fraudline.stream import Batch, Record
from fraudline.transactions.transaction import Problem

# Fast, and within a tenth of the size of the default.
_COMPRESSION = 1
# Kinesis gives at most 10 MiB at a time; the rest is what is told of each record.
MAX_BYTES = 256 * 2**20


class Refusal(msgspec.Struct, frozen=True):
    """Why the record at this position is not counted: at least one problem, the first of which names the reason."""

    position: str
    problems: tuple[Problem, ...]

    @property
    def reason(self) -> str:
        return self.problems[0].code


class Account(msgspec.Struct, frozen=True):
    """What became of a batch's records: `read` = `scored` + refused + duplicates, always.

    `duplicates` holds positions, `alerts` the flagged transaction ids.
    """

    shard: str
    first: str
    last: str
    model_version: str
    scored_at: int
    built_through: int | None
    read: int
    scored: int
    duplicates: tuple[str, ...]
    refused: tuple[Refusal, ...]
    alerts: tuple[str, ...]

    @property
    def quarantined(self) -> dict[str, int]:
        """Refused records by reason."""
        return dict(Counter(refusal.reason for refusal in self.refused))


class Row(msgspec.Struct, frozen=True):
    """A counted transaction; `record` is its JSON as it came."""

    position: str
    arrived_at: int
    effective_time: int
    record: msgspec.Raw


class Archived(msgspec.Struct, frozen=True):
    """A batch's archive object, decoded."""

    account: Account
    rows: tuple[Row, ...]


def encode_archive(account: Account, rows: Iterable[Row]) -> bytes:
    """The object's bytes: equal for equal batches."""
    lines = [msgspec.json.encode(account), *map(_line, rows)]
    return gzip.compress(b"\n".join(lines) + b"\n", compresslevel=_COMPRESSION, mtime=0)


def decode_archive(data: bytes) -> Archived:
    """The batch in an object of the archive; `Tampered` where it is none."""
    try:
        account, *rows = gunzip(data).splitlines()
        return Archived(
            msgspec.json.decode(account, type=Account),
            tuple(_row.decode(row) for row in rows),
        )
    except (ValueError, OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise Tampered(f"an object of the archive is none ({error}): find out who changed it") from error


def gunzip(data: bytes) -> bytes:
    """What `gzip` made small; `Tampered` where that is larger than any batch."""
    with gzip.open(io.BytesIO(data)) as unpacked:
        content = unpacked.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise Tampered(f"an object of the archive unpacks to over {MAX_BYTES} bytes: find out who changed it")
    return content


_row = msgspec.json.Decoder(Row)


def _line(row: Row) -> bytes:
    # A newline in valid JSON stands between values (inside a text it is escaped): a space is as good.
    record = bytes(row.record).replace(b"\n", b" ").replace(b"\r", b" ")
    return b'{"position":"%b","arrived_at":%d,"effective_time":%d,"record":%b}' % (
        row.position.encode(),
        row.arrived_at,
        row.effective_time,
        record,
    )


def object_name(shard: str, records: Sequence[Record]) -> str:
    """What a batch's objects are called: the day its first record arrived, its shard, first and last sequence number.

    >>> from fraudline.stream import Record
    >>> object_name("s", [Record("7", "0007#s", "U1", 0, b"")])
    '1970-01-01/s/7-7'
    """
    first, last = records[0], records[-1]
    return f"{format_day(first.arrived_at)}/{shard}/{first.sequence}-{last.sequence}"


def batch_name(batch: Batch) -> str:
    """What this batch's objects are called: as its intent says, unless that was written before intents said so."""
    return batch.intent.name or object_name(batch.shard.id, batch.records)

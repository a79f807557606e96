"""The originals of rows that are refused or left out of training: read again, for they are few.

Carrying the bytes of every row through a retrain would cost more memory than all its columns. A row is found by the
number it was given when it was read, so nothing but its source must be the same.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa

from fraudline.adapters.storage.disk import sentences_of
from fraudline.adapters.storage.objects import open_objects
from fraudline.archive import decode_archive
from fraudline.errors import BadInput
from fraudline.quality.outcome import QualityResult
from fraudline.transactions.cells import cells_of, json_of
from fraudline.transactions.columns import without_views
from fraudline.transactions.landed import Landed, RejectedRow
from fraudline.transactions.parquet import MAX_BYTES, batches, open_parquet, too_large, unpacked_bytes
from fraudline.transactions.quotes import BLOT, without_stray_quotes
from fraudline.transactions.table import TransactionTable

# Arrow reads cells up to its block's size, Python's module stops at an eighth of that if it is not told.
_MAX_CELL = 2**20


class Original(NamedTuple):
    """A row as it stands in its source; `header` is the first line of its file, where it is CSV."""

    raw: str
    header: str = ""


def with_originals(rejects: Sequence[RejectedRow], scratch: Path | None = None) -> list[RejectedRow]:
    """The same rows, each with its original if it has none yet.

    Objects larger than memory need `scratch`, a folder where a copy of one at a time may lie.
    """
    wanted: defaultdict[str, set[int]] = defaultdict(set)
    for reject in rejects:
        if not reject.raw:
            wanted[reject.source].add(reject.row)
    found = {source: originals(source, rows, scratch) for source, rows in wanted.items()}
    return [reject if reject.raw else _with(reject, found[reject.source][reject.row]) for reject in rejects]


def left_out(landed: Landed, table: TransactionTable, result: QualityResult) -> list[RejectedRow]:
    """The rows of `table`, a part of what landed, that a check of it keeps out of training: where, what, and why."""
    problems = result.problems_by_position()
    places = landed.places(table.source_row[list(problems)])
    return with_originals(
        [RejectedRow(*place, "", tuple(found)) for place, found in zip(places, problems.values(), strict=True)]
    )


def _with(reject: RejectedRow, original: Original) -> RejectedRow:
    return replace(reject, raw=original.raw, header=original.header)


def originals(source: str, rows: set[int], scratch: Path | None = None) -> dict[int, Original]:
    """These rows of a file, an `s3://` object or a batch of the archive, by the numbers they were read under."""
    with _opened(source, scratch) as stream:
        found = dict(_reader(source)(stream, rows))
    if missing := rows - found.keys():
        raise BadInput(f"{source} has changed while it was read: it has no row {min(missing)} any more, run it again")
    return found


@contextmanager
def _opened(source: str, scratch: Path | None) -> Iterator[IO[bytes]]:
    if not source.startswith("s3://"):
        with Path(source).open("rb") as stream:
            yield stream
        return
    bucket, _, key = source.removeprefix("s3://").partition("/")
    objects = open_objects(f"s3://{bucket}")
    if scratch is None:
        yield io.BytesIO(objects.get(key))
        return
    copy = scratch / "original"
    with sentences_of(scratch):
        objects.fetch(key, copy)
    with copy.open("rb") as stream:
        yield stream
    copy.unlink()


Reader = Callable[[IO[bytes], set[int]], Iterable[tuple[int, Original]]]


def _reader(source: str) -> Reader:
    readers: dict[str, Reader] = {".csv": _csv, ".parquet": partial(_parquet, source=source), ".jsonl.gz": _archive}
    return next((reader for ending, reader in readers.items() if source.lower().endswith(ending)), _lines)


def _csv(stream: IO[bytes], rows: set[int]) -> Iterator[tuple[int, Original]]:
    # A character for each byte: nothing is decoded that might be no text.
    records = _records(iter(io.TextIOWrapper(without_stray_quotes(stream), "latin-1", newline="")))
    header = _text(next(records).encode("latin-1")).removeprefix("\ufeff")
    for row, record in enumerate(records):
        if row in rows:
            yield row, Original(_text(record.encode("latin-1").replace(BLOT, b'"')), header)


def _records(lines: Iterator[str]) -> Iterator[str]:
    """The lines of each row together: within quotes a row goes on. Blank lines are no rows, as for Arrow."""
    csv.field_size_limit(_MAX_CELL)
    for line in lines:
        record = _to_its_end(line, lines) if '"' in line else line
        if record.strip("\r\n"):
            yield record


def _to_its_end(line: str, lines: Iterator[str]) -> str:
    taken: list[str] = []

    def noted() -> Iterator[str]:
        for part in chain((line,), lines):
            taken.append(part)
            yield part

    next(csv.reader(noted()))
    return "".join(taken)


def _lines(stream: IO[bytes], rows: set[int]) -> Iterator[tuple[int, Original]]:
    present = (line for line in stream if line.strip())
    yield from ((row, Original(_text(line))) for row, line in enumerate(present) if row in rows)


def _parquet(stream: IO[bytes], rows: set[int], source: str) -> Iterator[tuple[int, Original]]:
    """All columns, also those that the contract does not know; of these nothing is unpacked but the rows asked for."""
    size = 0
    for first, batch in batches(open_parquet(stream, source)):
        here = sorted(row for row in rows if first <= row < first + batch.num_rows)
        if not here:
            continue
        taken = batch.take(pa.array([row - first for row in here]))
        size += unpacked_bytes(taken)
        if size > MAX_BYTES:
            raise too_large(source, size)
        columns = without_views(pa.Table.from_batches([taken]))
        yield from zip(here, (Original(json_of(cells)) for cells in cells_of(columns)), strict=True)


def _archive(stream: IO[bytes], rows: set[int]) -> Iterator[tuple[int, Original]]:
    archived = decode_archive(stream.read()).rows
    yield from ((row, Original(_text(bytes(archived[row].record)))) for row in rows if row < len(archived))


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")

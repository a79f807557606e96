"""Transactions from files: CSV, JSON lines and Parquet, in folders or `s3://`, all into one table.

The format is told by the name's ending. A row that is no transaction becomes a reject; a file that is no table stops
everything with one sentence.
"""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
import pyarrow as pa

from fraudline.adapters.inputs.csv_reading import FIRST_ROW, csv_tables
from fraudline.adapters.inputs.originals import with_originals
from fraudline.adapters.inputs.sources import InputFile, found_files, holds_transactions, is_parquet
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.transactions.columns import screen
from fraudline.transactions.landed import Landed, RejectedRow, Source, keep_first_copies
from fraudline.transactions.parquet import MAX_BYTES, open_parquet, read_columns, too_large
from fraudline.transactions.table import TransactionTable, concatenate, from_transactions
from fraudline.transactions.transaction import Problem, Rejected, Transaction
from fraudline.transactions.validation import Validator

Progress = Callable[[str, int], None]
_Reader = Callable[[Contract, str, Path | bytes], Landed]
# A line that goes on for longer has no end: such a file is not of lines.
MAX_LINE_BYTES = 16 * 2**20


def load_transactions(contract: Contract, locations: Sequence[str], progress: Progress | None = None) -> Landed:
    """The same as `read_transactions`, of files that hold at least one valid transaction."""
    landed = read_transactions(contract, locations, progress)
    if not len(landed.table):
        reason, count = next(iter(landed.reasons().items()))
        raise BadInput(
            f"{_name(locations)} has no valid transaction among {landed.rows} rows, most often for {reason} ({count}):"
            f" check that contract {contract.name!r} describes it, with `fraudline quality`"
        )
    return landed


def read_transactions(contract: Contract, locations: Sequence[str], progress: Progress | None = None) -> Landed:
    """All rows of all files, in the order they count: sorted by (timestamp, id), first copies only.

    `locations` are files, folders, or `s3://` objects and prefixes. `progress` is told each file and its rows.
    """
    parts = []
    for file in found_files(locations):
        part = _read_one(contract, file)
        parts.append(part)
        if progress:
            progress(file.name, part.rows)
    landed = keep_first_copies(_one_after_the_other(parts))
    if not landed.rows:
        raise BadInput(f"{_name(locations)} has no rows: name a file with transactions")
    return replace(landed, table=landed.table.sorted(), rejects=tuple(with_originals(landed.rejects)))


def _one_after_the_other(parts: Sequence[Landed]) -> Landed:
    rows = [part.rows for part in parts]
    firsts = np.cumsum([0, *rows])[:-1]
    tables = [replace(p.table, source_row=p.table.source_row + first) for p, first in zip(parts, firsts, strict=True)]
    return Landed(
        sum(rows),
        _joined(tables),
        tuple(reject for part in parts for reject in part.rejects),
        sources=tuple(source for part in parts for source in part.sources),
    )


def _joined(tables: Sequence[TransactionTable]) -> TransactionTable:
    return concatenate([table for table in tables if len(table)] or tables[:1])


def _name(locations: Sequence[str]) -> str:
    return locations[0] if len(locations) == 1 else f"{locations[0]} and {len(locations) - 1} more"


def require_files(locations: Sequence[str]) -> None:
    """`BadInput` for a path without a file of a known format; what is in buckets shows when it is read."""
    for location in locations:
        if "://" not in location:
            for file in found_files([location]):
                _reader_of(file.name)


def _read_one(contract: Contract, file: InputFile) -> Landed:
    source = file.name
    reader = _reader_of(source)
    if file.size > MAX_BYTES:
        raise too_large(source, file.size)
    try:
        landed = reader(contract, source, file.contents())
        return replace(landed, sources=(Source(source, landed.rows),))
    except PermissionError as error:
        raise BadInput(f"no permission to read {source}: change its mode or its owner") from error
    except UNREADABLE as error:
        raise unreadable(source, error) from error


# What Arrow and Python raise of a file that is not what its name says.
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)


def unreadable(source: str, error: Exception) -> BadInput:
    """The sentence for a file that its reader gave up on."""
    told = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    if isinstance(error, UnicodeDecodeError) or "invalid UTF8" in told:
        return BadInput(f"{source} is not UTF-8: save it as UTF-8")
    if is_parquet(source):
        return BadInput(f"{source} cannot be read: {told.partition('. ')[0]}; perhaps it was cut off, copy it again")
    return BadInput(f"{source} cannot be read: {told}")


def _reader_of(source: str) -> _Reader:
    if not holds_transactions(source):
        raise BadInput(f"{source} is of no known format: use a name that ends in .csv, .jsonl or .parquet")
    return _read_parquet if is_parquet(source) else _read_text


def _stream(data: Path | bytes) -> IO[bytes]:
    return io.BytesIO(data) if isinstance(data, bytes) else data.open("rb")


def _read_text(contract: Contract, source: str, data: Path | bytes) -> Landed:
    with _stream(data) as stream:
        return next(text_pieces(contract, source, stream))


def text_pieces(contract: Contract, source: str, stream: IO[bytes], rows: int | None = None) -> Iterator[Landed]:
    """A file of CSV or JSON lines about so many rows at a time, all at once by default; their numbers go on."""
    pieces = _csv_pieces if source.lower().endswith(".csv") else _line_pieces
    return pieces(contract, source, stream, rows)


def _csv_pieces(contract: Contract, source: str, stream: IO[bytes], rows: int | None) -> Iterator[Landed]:
    """Every cell is read as the text it is: the contract says what it means."""
    header = next(lines_of(stream, source), b"")
    if not header.strip():
        raise BadInput(f"{source} is empty: it needs a header and rows")
    stream.seek(0)
    torn: deque[int] = deque()
    tables = csv_tables(header, stream, lambda row: torn.append(row.number - FIRST_ROW))
    first = 0
    for columns, is_last in _of_rows(_fit(contract, source, tables), rows):
        # One table has been read beyond these: what is torn there belongs to later rows.
        end = first + len(columns) + len(torn)
        numbers = np.setdiff1d(np.arange(first, end), torn)[: len(columns)]
        end = end if is_last else int(numbers[-1]) + 1
        landed = screen(contract, columns, source, numbers)
        rejects = [*landed.rejects, *_torn_before(end, source, torn)]
        yield replace(landed, rows=end - first, rejects=tuple(sorted(rejects, key=lambda reject: reject.row)))
        first = end


def _fit(contract: Contract, source: str, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same tables; all have the columns of the first."""
    first = next(tables)
    require_columns(contract, source, first)
    yield first
    yield from tables


def _of_rows(tables: Iterator[pa.Table], rows: int | None) -> Iterator[tuple[pa.Table, bool]]:
    """At least so many rows at a time, and whether they are the last."""
    parts: list[pa.Table] = []
    for table in tables:
        if rows is not None and sum(map(len, parts)) >= rows:
            yield pa.concat_tables(parts), False
            parts = []
        parts.append(table)
    yield pa.concat_tables(parts), True


def _torn_before(end: int, source: str, torn: deque[int]) -> Iterator[RejectedRow]:
    while torn and torn[0] < end:
        yield RejectedRow(source, torn.popleft(), "", (TORN,))


TORN = Problem("", "torn_row", "has more or fewer cells than the header")


def _read_parquet(contract: Contract, source: str, data: Path | bytes) -> Landed:
    with _stream(data) as stream:
        file = open_parquet(stream, source)
        require_columns(contract, source, file.schema_arrow)
        known = [name for name in file.schema_arrow.names if name in contract.known_columns]
        return screen(contract, read_columns(file, source, known), source)


def lines_of(stream: IO[bytes], source: str) -> Iterator[bytes]:
    """The lines as they are; `BadInput` at one that does not end."""
    for line in iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b""):
        if len(line) > MAX_LINE_BYTES:
            raise BadInput(
                f"{source} has a line of more than {MAX_LINE_BYTES} bytes: it is no file of lines, see what it is"
            )
        yield line


def _line_pieces(contract: Contract, source: str, stream: IO[bytes], rows: int | None) -> Iterator[Landed]:
    validator, first = Validator(contract), 0
    lines = (line for line in lines_of(stream, source) if line.strip())
    while True:
        landed = _landed(validator, source, islice(lines, rows), first)
        if landed.rows or not first:
            yield landed
        first += landed.rows
        if rows is None or landed.rows < rows:
            return


def _landed(validator: Validator, source: str, lines: Iterable[bytes], first: int) -> Landed:
    valid: list[Transaction] = []
    rows: list[int] = []
    rejects: list[RejectedRow] = []
    end = first
    for end, line in enumerate(lines, start=first + 1):
        outcome = validator.decode(line.rstrip(b"\r\n"))
        if isinstance(outcome, Rejected):
            raw = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            rejects.append(RejectedRow(source, end - 1, raw, outcome.problems))
        else:
            valid.append(outcome)
            rows.append(end - 1)
    return Landed(end - first, from_transactions(validator.contract, valid, rows), tuple(rejects))


# Signs that other programs write between columns, which read as one.
_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}


def require_columns(contract: Contract, source: str, columns: pa.Table | pa.Schema) -> None:
    names = columns.column_names if isinstance(columns, pa.Table) else columns.names
    if twice := next(
        (column for column in names if column in contract.known_columns and names.count(column) > 1), None
    ):
        raise BadInput(f"{source} has column {twice!r} twice: keep the one that is meant")
    missing = [column for column in contract.required_columns if column not in names]
    if missing:
        if len(names) == 1 and (sign := next((sign for sign in _SEPARATORS if sign in names[0]), None)):
            raise BadInput(f"{source} has columns that are separated by {_SEPARATORS[sign]}: save it with commas")
        raise BadInput(
            f"{source} lacks column {missing[0]!r} of contract {contract.name!r} (it has {', '.join(names[:12])}):"
            " name another contract with --contract, or rename the column"
        )


def rejected_lines(rejects: Sequence[RejectedRow]) -> bytes:
    """Rejected rows as JSON lines: source, row, original content, problems."""
    return b"".join(msgspec.json.encode(reject) + b"\n" for reject in rejects)

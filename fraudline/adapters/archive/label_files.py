"""Labels from files of their own: `transaction_id, label, known_at`, a row each time that something became known.

An empty label withdraws what was said before: from its `known_at` on the transaction has none. A row that cannot be
read is refused alone, as in files of transactions.
"""

import io
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.csv

from fraudline.adapters.archive.reading import EVER
from fraudline.adapters.inputs.csv_reading import FIRST_ROW, csv_tables
from fraudline.adapters.inputs.files import TORN, UNREADABLE, lines_of, unreadable
from fraudline.adapters.inputs.sources import InputFile, found_files
from fraudline.clock import parse_timestamp
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.labels import Verdict
from fraudline.transactions.landed import RejectedRow
from fraudline.transactions.parquet import MAX_BYTES, open_parquet, read_columns, too_large
from fraudline.transactions.table import UNKNOWN, TransactionTable
from fraudline.transactions.transaction import Problem

COLUMNS = ("transaction_id", "label", "known_at")
# As text; a column of whole numbers with gaps is one of floats where pandas wrote it.
_LABELS = {"0": 0, "1": 1, "true": 1, "false": 0, "0.0": 0, "1.0": 1, "": UNKNOWN, "nan": UNKNOWN}


class WholeRow(NamedTuple):
    """A row as its file has it: which file, which row of it, and the cells of `COLUMNS`."""

    source: str
    row: int
    cells: dict[str, Any]


# One that has no such cells is refused before anybody asks what it is about.
LabelRow = WholeRow | RejectedRow


@dataclass(frozen=True)
class LabelFile:
    """What was read: labels by transaction id, and the rows that are none."""

    verdicts: Mapping[str, Sequence[Verdict]]
    rejects: tuple[RejectedRow, ...]


def load_labels(locations: Sequence[str], table: TransactionTable) -> LabelFile:
    """Labels of the table's transactions from files, folders, and `s3://` objects and prefixes."""
    return labels_of(read_label_rows(locations), table)


def read_label_rows(locations: Sequence[str]) -> list[LabelRow]:
    """All rows, before anybody asks what they are about; `BadInput` for a file that is none of labels."""
    files = found_files(locations, "labels") if locations else ()
    return [row for file in files for row in _rows(file)]


def labels_of(rows: Sequence[LabelRow], table: TransactionTable, known_by: int = EVER) -> LabelFile:
    """What rows say of the table's transactions.

    One for an unknown id is rejected, and one known before its transaction, or after `known_by` (microseconds).
    """
    times = dict(zip(table.ids.to_pylist(), table.timestamp.tolist(), strict=True)) if rows else {}
    verdicts: defaultdict[str, list[Verdict]] = defaultdict(list)
    rejects: list[RejectedRow] = []
    for row in rows:
        if isinstance(row, RejectedRow):
            rejects.append(row)
        elif isinstance(outcome := _verdict(table.contract, row.cells, times, known_by), Problem):
            # A person sees the quote that was blotted out.
            raw = json.dumps(row.cells, default=str).replace(r"\u0000", r"\"")
            rejects.append(RejectedRow(row.source, row.row, raw, (outcome,)))
        else:
            verdicts[str(row.cells["transaction_id"])].append(outcome)
    return LabelFile(verdicts, tuple(rejects))


def _rows(file: InputFile) -> list[LabelRow]:
    ending = Path(file.name).suffix.lower()
    readers = {".csv": _csv, ".jsonl": _lines, ".ndjson": _lines, ".parquet": _parquet}
    if ending not in readers:
        raise BadInput(f"{file.name} is of no known format: use a name that ends in .csv, .jsonl or .parquet")
    if file.size > MAX_BYTES:
        raise too_large(file.name, file.size)
    try:
        with _opened(file.contents()) as stream:
            return readers[ending](file.name, stream)
    except UNREADABLE as error:
        raise unreadable(file.name, error) from error


def _opened(contents: Path | bytes) -> IO[bytes]:
    return io.BytesIO(contents) if isinstance(contents, bytes) else contents.open("rb")


def _csv(name: str, stream: IO[bytes]) -> list[LabelRow]:
    header = next(lines_of(stream, name), b"")
    stream.seek(0)
    rows: list[LabelRow] = []
    tables = list(csv_tables(header, stream, lambda row: rows.append(_torn(name, row, header))))
    _require_columns(name, tables[0].column_names)
    cells = pa.concat_tables(tables).select(list(COLUMNS)).to_pylist()
    torn = {row.row for row in rows}
    numbers = (number for number in count() if number not in torn)
    rows += [WholeRow(name, number, each) for each, number in zip(cells, numbers, strict=False)]
    return sorted(rows, key=lambda row: row.row)


def _torn(name: str, row: pa.csv.InvalidRow, header: bytes) -> RejectedRow:
    columns = header.decode("utf-8", "backslashreplace").rstrip("\r\n")
    return RejectedRow(name, row.number - FIRST_ROW, row.text.replace("\0", '"'), (TORN,), columns)


def _parquet(name: str, stream: IO[bytes]) -> list[LabelRow]:
    opened = open_parquet(stream, name)
    _require_columns(name, opened.schema_arrow.names)
    rows = read_columns(opened, name, list(COLUMNS)).to_pylist()
    return [WholeRow(name, number, cells) for number, cells in enumerate(rows)]


def _lines(name: str, stream: IO[bytes]) -> list[LabelRow]:
    """What each line says, and no more: Arrow would take a text that looks like a date for a moment without a zone."""
    present = (line for line in lines_of(stream, name) if line.strip())
    rows = [_object(name, number, line) for number, line in enumerate(present)]
    _require_columns(name, {column for row in rows if isinstance(row, WholeRow) for column in row.cells})
    return [row._replace(cells=_of_labels(row.cells)) if isinstance(row, WholeRow) else row for row in rows]


def _of_labels(record: Mapping[str, Any]) -> dict[str, Any]:
    return {column: record.get(column) for column in COLUMNS}


def _object(name: str, number: int, line: bytes) -> LabelRow:
    try:
        return WholeRow(name, number, msgspec.json.decode(line, type=dict[str, Any]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raw = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
        return RejectedRow(name, number, raw, (Problem("", "not_json", f"the row is no JSON object: {error}"),))


def _require_columns(name: str, names: Collection[str]) -> None:
    if missing := [column for column in COLUMNS if column not in names]:
        raise BadInput(f"{name} lacks column {missing[0]!r}: labels need {', '.join(COLUMNS)}")
    if twice := [column for column in COLUMNS if list(names).count(column) > 1]:
        raise BadInput(f"{name} has column {twice[0]!r} twice: keep the one that is meant")


def _verdict(
    contract: Contract, cells: Mapping[str, Any], times: Mapping[str, int], known_by: int
) -> Verdict | Problem:
    id_ = cells["transaction_id"]
    time = None if id_ is None else times.get(str(id_))
    label = _LABELS.get("" if cells["label"] is None else str(cells["label"]).lower())
    if time is None:
        return Problem("transaction_id", "unknown_transaction", "is none of the files given, or of all that has landed")
    if label is None:
        return Problem("label", "label_malformed", "is not 0, 1, true, false or empty (withdrawn)")
    moment = cells["known_at"]
    try:
        known_at = parse_timestamp(moment if isinstance(moment, str) else moment.isoformat(), contract.timezone)
    except (ValueError, OverflowError, AttributeError):
        return Problem("known_at", "timestamp_malformed", "is not an RFC 3339 timestamp")
    if known_at < time:
        return Problem("known_at", "label_before_transaction", "is before the transaction itself")
    if known_at > known_by:
        return Problem("known_at", "label_from_future", "is still to come: apply the label when it is known")
    return Verdict(label, known_at, by="file")

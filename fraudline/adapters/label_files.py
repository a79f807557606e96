"""Labels from files of their own: `transaction_id, label, known_at`, a row each time that something became known.

An empty label withdraws what was said before: from its `known_at` on the transaction has none.
"""

import io
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.csv

from fraudline.adapters.archive import EVER
from fraudline.adapters.files import UNREADABLE, lines_of, unreadable
from fraudline.adapters.input_files import InputFile, found_files
from fraudline.clock import parse_timestamp
from fraudline.columns import RejectedRow
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.labels import Verdict
from fraudline.parquet import MAX_BYTES, open_parquet, read_columns, too_large
from fraudline.table import UNKNOWN, TransactionTable
from fraudline.transaction import Problem

COLUMNS = ("transaction_id", "label", "known_at")
# As text; a column of whole numbers with gaps is one of floats where pandas wrote it.
_LABELS = {"0": 0, "1": 1, "true": 1, "false": 0, "0.0": 0, "1.0": 1, "": UNKNOWN, "nan": UNKNOWN}


class LabelRow(NamedTuple):
    """A row as its file has it: which file, which row of it, and the cells of `COLUMNS`."""

    source: str
    number: int
    cells: dict[str, Any]


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
    return [LabelRow(file.name, number, cells) for file in files for number, cells in enumerate(_rows(file))]


def labels_of(rows: Sequence[LabelRow], table: TransactionTable, known_by: int = EVER) -> LabelFile:
    """What rows say of the table's transactions.

    One for an unknown id is rejected, and one known before its transaction, or after `known_by` (microseconds).
    """
    times = dict(zip(table.ids.to_pylist(), table.timestamp.tolist(), strict=True)) if rows else {}
    verdicts: defaultdict[str, list[Verdict]] = defaultdict(list)
    rejects = []
    for source, number, cells in rows:
        outcome = _verdict(table.contract, cells, times, known_by)
        if isinstance(outcome, Problem):
            rejects.append(RejectedRow(source, number, json.dumps(cells, default=str), (outcome,)))
        else:
            verdicts[str(cells["transaction_id"])].append(outcome)
    return LabelFile(verdicts, tuple(rejects))


def _rows(file: InputFile) -> list[dict[str, Any]]:
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


def _csv(name: str, stream: IO[bytes]) -> list[dict[str, Any]]:
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string()))
    rows = pyarrow.csv.read_csv(stream, convert_options=options)
    _require_columns(name, rows.column_names)
    return rows.select(list(COLUMNS)).to_pylist()  # type: ignore[no-any-return]


def _parquet(name: str, stream: IO[bytes]) -> list[dict[str, Any]]:
    opened = open_parquet(stream, name)
    _require_columns(name, opened.schema_arrow.names)
    return read_columns(opened, name, list(COLUMNS)).to_pylist()  # type: ignore[no-any-return]


def _lines(name: str, stream: IO[bytes]) -> list[dict[str, Any]]:
    """What each line says, and no more: Arrow would take a text that looks like a date for a moment without a zone."""
    rows = [_object(name, number, line) for number, line in enumerate(lines_of(stream, name)) if line.strip()]
    _require_columns(name, {column for row in rows for column in row})
    return [{column: row.get(column) for column in COLUMNS} for row in rows]


def _object(name: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{name} cannot be read: line {number + 1} is no JSON object ({error})") from error


def _require_columns(name: str, names: Collection[str]) -> None:
    if missing := [column for column in COLUMNS if column not in names]:
        raise BadInput(f"{name} lacks column {missing[0]!r}: labels need {', '.join(COLUMNS)}")


def _verdict(
    contract: Contract, cells: Mapping[str, Any], times: Mapping[str, int], known_by: int
) -> Verdict | Problem:
    time = times.get(str(cells["transaction_id"]))
    label = _LABELS.get("" if cells["label"] is None else str(cells["label"]).lower())
    if time is None:
        return Problem("transaction_id", "unknown_transaction", "is no transaction of the files given")
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

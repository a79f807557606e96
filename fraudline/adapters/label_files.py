"""Labels from files of their own: `transaction_id, label, known_at`, a row each time that something became known.

An empty label withdraws what was said before: from its `known_at` on the transaction has none.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv

from fraudline.adapters.files import lines_of
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


@dataclass(frozen=True)
class LabelFile:
    """What was read: labels by transaction id, and the rows that are none."""

    verdicts: Mapping[str, Sequence[Verdict]]
    rejects: tuple[RejectedRow, ...]


def load_labels(files: Sequence[str], table: TransactionTable) -> LabelFile:
    """Labels of the table's transactions; a row for an unknown id, or known before its transaction, is rejected."""
    times = dict(zip(table.ids.to_pylist(), table.timestamp.tolist(), strict=True)) if files else {}
    verdicts: defaultdict[str, list[Verdict]] = defaultdict(list)
    rejects = []
    for file in files:
        for number, cells in enumerate(_rows(Path(file))):
            outcome = _verdict(table.contract, cells, times)
            if isinstance(outcome, Problem):
                rejects.append(RejectedRow(file, number, json.dumps(cells, default=str), (outcome,)))
            else:
                verdicts[str(cells["transaction_id"])].append(outcome)
    return LabelFile(verdicts, tuple(rejects))


def _rows(file: Path) -> list[dict[str, Any]]:
    readers = {".csv": _csv, ".jsonl": _lines, ".parquet": _parquet}
    if not file.exists():
        raise BadInput(f"there is no {file}: check the path of the labels")
    if file.suffix not in readers:
        raise BadInput(f"{file} is of no known format: use a name that ends in .csv, .jsonl or .parquet")
    if file.stat().st_size > MAX_BYTES:
        raise too_large(str(file), file.stat().st_size)
    try:
        return readers[file.suffix](file)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{file} cannot be read: {str(error).splitlines()[0]}") from error


def _csv(file: Path) -> list[dict[str, Any]]:
    options = pyarrow.csv.ConvertOptions(column_types={name: pa.string() for name in COLUMNS})
    rows = pyarrow.csv.read_csv(file, convert_options=options)
    _require_columns(file, rows.column_names)
    return rows.select(list(COLUMNS)).to_pylist()  # type: ignore[no-any-return]


def _parquet(file: Path) -> list[dict[str, Any]]:
    with file.open("rb") as stream:
        opened = open_parquet(stream, str(file))
        _require_columns(file, opened.schema_arrow.names)
        return read_columns(opened, str(file), list(COLUMNS)).to_pylist()  # type: ignore[no-any-return]


def _lines(file: Path) -> list[dict[str, Any]]:
    """What each line says, and no more: Arrow would take a text that looks like a date for a moment without a zone."""
    with file.open("rb") as stream:
        rows = [_object(file, number, line) for number, line in enumerate(lines_of(stream, str(file))) if line.strip()]
    _require_columns(file, {name for row in rows for name in row})
    return [{name: row.get(name) for name in COLUMNS} for row in rows]


def _object(file: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{file} cannot be read: line {number + 1} is no JSON object ({error})") from error


def _require_columns(file: Path, names: Collection[str]) -> None:
    if missing := [name for name in COLUMNS if name not in names]:
        raise BadInput(f"{file} lacks column {missing[0]!r}: labels need {', '.join(COLUMNS)}")


def _verdict(contract: Contract, cells: Mapping[str, Any], times: Mapping[str, int]) -> Verdict | Problem:
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
    return Verdict(label, known_at, by="file")

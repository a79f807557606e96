"""Cells of original rows, of whatever file, and the contract's JSON records they stand for."""

import csv
import io
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from fraudline.clock import format_micros
from fraudline.contract import Contract
from fraudline.transactions.quotes import is_closed

# The texts of a CSV cell that stand for nothing: an empty one and pandas' own. Namibia's NA is none.
MISSING_CELLS = ("", "NaN")


def cells_of(columns: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table; timestamps are told as text, for Arrow's may lie beyond Python's calendar."""
    for index, field in enumerate(columns.schema):
        if pa.types.is_timestamp(field.type):
            moments = columns.column(index).to_numpy()
            texts = np.char.add(np.datetime_as_string(moments), "Z" if field.type.tz else "")
            told = pa.array(texts.astype(object), pa.string(), mask=np.isnat(moments))
            columns = columns.set_column(index, field.name, told)
    return columns.to_pylist()  # type: ignore[no-any-return]


def cells_in(raw: str, header: str) -> dict[str, Any] | None:
    """The cells of an original row by their columns: of a CSV line under its header, else of a JSON object.

    None if it is neither, such as a line with more or fewer cells than the header.
    """
    try:
        cells = _csv_cells(raw, header) if header else json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return cells if isinstance(cells, dict) else None


def _csv_cells(line: str, header: str) -> dict[str, str | None]:
    """`ValueError` if there is not one cell for each column, or a quote is left open."""
    if not is_closed(line):
        raise ValueError("a quote is left open")
    try:
        (names,), (cells,) = (csv.reader(io.StringIO(text, newline="")) for text in (header, line))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    values = (None if cell in MISSING_CELLS else cell for cell in cells)
    return dict(zip(names, values, strict=True))


def json_of(cells: Mapping[str, Any]) -> str:
    """Cells as a JSON object; what JSON has no value for is told as text."""
    return json.dumps(cells, default=_plain)


def record_of(contract: Contract, cells: Mapping[str, Any]) -> dict[str, Any]:
    """A row's cells as the JSON values they stand for, each by its own type: a text is read as in CSV."""
    record = _with_texts_read(contract, {column: _plain(cell) for column, cell in cells.items()})
    # A column of 0 and 1 with a gap in it is written as floats by most tools.
    for column in (*(flag.column for flag in contract.flags), contract.label.column):
        value = record.get(column)
        if isinstance(value, float):
            record[column] = None if np.isnan(value) else int(value) if value.is_integer() else value
    return record


def _plain(cell: Any) -> Any:
    """A cell as a JSON value; what JSON has no value for is told as text."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "backslashreplace")
    if isinstance(cell, Decimal | np.floating):
        return float(cell)
    return cell if cell is None or isinstance(cell, str | int | float | list | dict) else str(cell)


def _with_texts_read(contract: Contract, cells: Mapping[str, Any]) -> dict[str, Any]:
    """A row's cells as the JSON values they stand for: text (CSV) is read where numbers belong, the rest stays.

    Text that stands for nothing is left for `validate`.
    """
    record = dict(cells)
    readers = {contract.amount.column: _number, contract.label.column: _binary}
    readers |= {flag.column: _binary for flag in contract.flags}
    for column, read in readers.items():
        if isinstance(text := record.get(column), str):
            record[column] = read(text)
    return record


_BINARY = {"0": 0, "1": 1, "true": 1, "false": 0, "0.0": 0, "1.0": 1}


def _binary(text: str) -> int | str | None:
    return _BINARY.get(text.lower(), text) if text else None


def _number(text: str) -> float | str | None:
    # Python alone takes "1_000" and "٣" for numbers.
    if not text.isascii() or "_" in text:
        return text
    try:
        return float(text) if text else None
    except ValueError:
        return text


def to_record(contract: Contract, transaction: Any) -> dict[str, Any]:
    """A transaction as the contract's JSON record: what a producer sends."""
    record: dict[str, Any] = {
        contract.id.column: transaction.id,
        contract.timestamp.column: format_micros(transaction.timestamp),
        contract.amount.column: transaction.amount / contract.amount.minor_units,
    }
    parts: tuple[tuple[Any, Any], ...] = (
        (contract.entities, transaction.entities),
        (contract.categories, transaction.categories),
        (contract.flags, transaction.flags),
    )
    for columns, values in parts:
        record |= {column.column: value for column, value in zip(columns, values, strict=True)}
    return record

"""From an Arrow table of raw columns to valid transactions and rejected rows.

Whole columns are screened at once; what the screen does not know to be good goes row by row to `Validator.validate`,
which alone decides. The screen may only pass what `validate` would pass, with the same values: a property test holds
them together.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.clock import format_micros
from fraudline.contract import Category, Contract
from fraudline.quotes import is_closed
from fraudline.table import UNKNOWN, Codes, Integers, TransactionTable, concatenate, encode, from_transactions
from fraudline.transaction import CONFLICTING_ID, Problem, Rejected
from fraudline.validation import (
    EARLIEST,
    FLOAT_TOLERANCE,
    LATEST,
    MAX_ID_LENGTH,
    MAX_TEXT_LENGTH,
    MINOR_UNIT_TOLERANCE,
    Validator,
    cells_to_record,
)

Mask = npt.NDArray[np.bool_]
_ID = rf"^[\x21-\x7e]{{1,{MAX_ID_LENGTH}}}$"
_TEXT = rf"^[\x21-\x7e][\x20-\x7e]{{0,{MAX_TEXT_LENGTH - 1}}}$"
_NUMBER = r"^-?\d{1,15}(\.\d{1,15})?$"
_TIME = r"^\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,6})?"
_BINARY = pa.array(["0", "1", "true", "false"])
# The texts of a CSV cell that stand for nothing: an empty one and pandas' own. Namibia's NA is none.
MISSING_CELLS = ("", "NaN")

Place = tuple[str, int]


@dataclass(frozen=True)
class RejectedRow:
    """A row that is refused, or left out of training: where it was read, its original and everything wrong with it.

    `row` counts from 0 in `source`. `raw` is a line of CSV (`header` is the file's first), a line of JSON, or a Parquet
    row's cells as a JSON object; "" where the original is kept elsewhere, or is still to be read.
    """

    source: str
    row: int
    raw: str
    problems: tuple[Problem, ...]
    header: str = ""

    @property
    def reason(self) -> str:
        return self.problems[0].code

    @property
    def place(self) -> Place:
        return self.source, self.row


class Source(NamedTuple):
    """A file or object that was read, and how many rows it has."""

    name: str
    rows: int


@dataclass(frozen=True)
class Landed:
    """What was read: `rows` = len(table) + len(rejects) + duplicates, always.

    The table's `source_row` counts through all `sources`, one after the other; `places` tells where rows stand.
    """

    rows: int
    table: TransactionTable
    rejects: tuple[RejectedRow, ...]
    duplicates: int = 0
    sources: tuple[Source, ...] = ()

    def places(self, source_rows: Integers) -> list[Place]:
        """The source of each of these rows and its number there; without sources what was read has no name."""
        firsts = np.cumsum([0, *(source.rows for source in self.sources)])
        index = np.searchsorted(firsts, source_rows, side="right") - 1
        names = [source.name for source in self.sources] or [""]
        numbers = source_rows - firsts[index]
        return [(names[i], row) for i, row in zip(index.tolist(), numbers.tolist(), strict=True)]

    def reasons(self) -> dict[str, int]:
        """How many rows were quarantined under each reason, most frequent first."""
        counts = pd.Series([reject.reason for reject in self.rejects], dtype=object).value_counts()
        return {str(reason): int(count) for reason, count in counts.items()}


def screen(contract: Contract, columns: pa.Table, source: str, numbers: Integers | None = None) -> Landed:
    """Transactions and rejects of an Arrow table whose required columns are all there.

    `numbers` are the rows' own in `source`, if they are not 0, 1, 2, ... The original of a reject is left to whoever
    has read the source: columns need not hold all of it.
    """
    columns = without_views(columns)
    good, table = _screened(contract, columns)
    rows = np.arange(columns.num_rows) if numbers is None else numbers
    table = replace(table, source_row=rows[good])
    doubted = np.flatnonzero(~good)
    if not len(doubted):
        return Landed(columns.num_rows, table, ())
    slow, rejects = _row_by_row(contract, columns.take(pa.array(doubted)), source, rows[doubted])
    merged = concatenate([part for part in (table, slow) if len(part)] or [table])
    order = np.argsort(merged.source_row, kind="stable")
    return Landed(columns.num_rows, merged.take(order), tuple(rejects))


def without_views(columns: pa.Table) -> pa.Table:
    """Views of texts and bytes as themselves: Arrow cannot take rows of views yet."""
    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    fields = [field.with_type(plain.get(field.type, field.type)) for field in columns.schema]
    return columns.cast(pa.schema(fields)) if any(field.type in plain for field in columns.schema) else columns


def _row_by_row(
    contract: Contract, columns: pa.Table, source: str, rows: npt.NDArray[np.int64]
) -> tuple[TransactionTable, list[RejectedRow]]:
    validator, valid, valid_rows, rejects = Validator(contract), [], [], []
    for row, cells in zip(rows.tolist(), cells_of(columns), strict=True):
        outcome = validator.validate(record_of(contract, cells))
        if isinstance(outcome, Rejected):
            rejects.append(RejectedRow(source, row, "", outcome.problems))
        else:
            valid.append(outcome)
            valid_rows.append(row)
    return from_transactions(contract, valid, valid_rows), rejects


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
    record = cells_to_record(contract, {column: _plain(cell) for column, cell in cells.items()})
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


def _screened(contract: Contract, columns: pa.Table) -> tuple[Mask, TransactionTable]:
    """The rows surely good, and a table of just those."""
    n = columns.num_rows
    good: Mask = np.ones(n, bool)

    def column(name: str) -> pa.Array:
        part = columns[name]
        return part.combine_chunks() if part.num_chunks != 1 else part.chunk(0)

    ids = _identifiers(column(contract.id.column), good)
    timestamp = _timestamps(column(contract.timestamp.column), contract.timezone, good)
    amount = _amounts(column(contract.amount.column), contract, good)
    entities = tuple(_encoded(column(entity.column), _ID, good) for entity in contract.entities)
    categories = tuple(_category(column(category.column), category, good) for category in contract.categories)
    flags = tuple(_binary(column(flag.column), good, nullable=False) for flag in contract.flags)
    present = set(columns.column_names)
    label: npt.NDArray[np.int8] = np.full(n, UNKNOWN, np.int8)
    if contract.label.column in present:
        label = _binary(column(contract.label.column), good, nullable=True)
    for ignored in contract.ignored:
        if ignored.values and ignored.column in present:
            _category(column(ignored.column), Category("ignored", ignored.column, ignored.values, True), good)
    table = TransactionTable(
        contract=contract,
        ids=ids,
        timestamp=timestamp,
        effective_time=timestamp,
        amount=amount,
        entities=entities,
        categories=categories,
        flags=flags,
        label=label,
        known_at=timestamp + contract.label_delay,
        source_row=np.arange(n),
    )
    return good, table if good.all() else table.take(good)


def _true(mask: pa.BooleanArray) -> Mask:
    """Arrow's three-valued truth as numpy's: null is not true."""
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), dtype=bool)


def _doubt_all(array: pa.Array, good: Mask) -> None:
    """A type the screen does not know: every row is left to `validate`."""
    good[:] = False


def _text_like(array: pa.Array) -> bool:
    return bool(pa.types.is_string(array.type) or pa.types.is_large_string(array.type))


def _identifiers(array: pa.Array, good: Mask) -> pa.StringArray:
    if pa.types.is_integer(array.type):
        good &= _true(pc.is_valid(array))
    elif _text_like(array):
        good &= _true(pc.match_substring_regex(array, _ID))
    else:
        _doubt_all(array, good)
        return pa.array([""] * len(array), pa.string())
    return pc.fill_null(array.cast(pa.string()), "")


def _encoded(array: pa.Array, pattern: str, good: Mask) -> Codes:
    """A text or integer column, its distinct values checked once each."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if not (pa.types.is_integer(array.type) or _text_like(array)):
        _doubt_all(array, good)
        return Codes(np.zeros(len(array), np.int32), pa.array([""], pa.string()))
    codes = encode(pc.fill_null(array, "" if _text_like(array) else 0))
    good &= _true(pc.is_valid(array))
    good &= _true(pc.match_substring_regex(codes.values, pattern))[codes.codes] if len(array) else good
    return codes


def _category(array: pa.Array, category: Category, good: Mask) -> Codes:
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if not _text_like(array):
        if not (category.nullable and pa.types.is_null(array.type)):
            _doubt_all(array, good)
        return Codes(np.zeros(len(array), np.int32), pa.array([""], pa.string()))
    codes = encode(pc.fill_null(array, ""))
    if category.values:
        fine = _true(pc.is_in(codes.values, value_set=pa.array(category.values, codes.values.type)))
    else:
        fine = _true(pc.match_substring_regex(codes.values, _TEXT))
    if category.nullable:
        fine |= _true(pc.equal(codes.values, ""))
    good &= fine[codes.codes] if len(array) else good
    return codes


def _timestamps(array: pa.Array, zone: str, good: Mask) -> npt.NDArray[np.int64]:
    if pa.types.is_timestamp(array.type):
        if array.type.tz is None and zone != "UTC":
            _doubt_all(array, good)
        micros = array.cast(pa.timestamp("us", tz=array.type.tz), safe=False)
        good &= _true(pc.is_valid(array))
        time = pc.fill_null(micros.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    elif _text_like(array):
        zoned = r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$"
        pattern = _TIME + (zoned if zone != "UTC" else zoned.replace(")$", ")?$"))
        good &= _true(pc.match_substring_regex(array, pattern))
        text = pd.Series(pc.if_else(pa.array(good), array, None).to_pandas())
        parsed = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce").astype("datetime64[us, UTC]")
        good &= parsed.notna().to_numpy()
        time = parsed.astype("int64").to_numpy()
    else:
        _doubt_all(array, good)
        return np.zeros(len(array), np.int64)
    good &= (time >= EARLIEST) & (time < LATEST)
    return np.where(good, time, 0).astype(np.int64)


def _amounts(array: pa.Array, contract: Contract, good: Mask) -> npt.NDArray[np.int64]:
    if _text_like(array):
        numeric = _true(pc.match_substring_regex(array, _NUMBER))
        good &= numeric
        array = pc.if_else(pa.array(numeric), array, "0")
    elif not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_decimal(array.type)):
        _doubt_all(array, good)
        return np.zeros(len(array), np.int64)
    good &= _true(pc.is_valid(array))
    value = pc.fill_null(array.cast(pa.float64(), safe=False), 0.0).to_numpy(zero_copy_only=False)
    good &= (value >= contract.amount.min) & (value <= contract.amount.max)
    scaled = np.where(good, value, 0.0) * contract.amount.minor_units
    minor: npt.NDArray[np.float64] = np.rint(scaled)
    off = np.abs(scaled - minor)
    good &= (off <= MINOR_UNIT_TOLERANCE) | (off <= scaled * FLOAT_TOLERANCE)
    return np.asarray(minor, dtype=np.int64)


def _binary(array: pa.Array, good: Mask, *, nullable: bool) -> npt.NDArray[np.int8]:
    valid = _true(pc.is_valid(array))
    if _text_like(array):
        empty = _true(pc.equal(array, "")) | ~valid
        known = _true(pc.is_in(array, value_set=_BINARY.cast(array.type)))
        value = _true(pc.is_in(array, value_set=pa.array(["1", "true"], array.type)))
    elif pa.types.is_boolean(array.type) or pa.types.is_integer(array.type):
        empty = ~valid
        # Huge unsigned numbers wrap around to negative ones, never to 0 or 1.
        number = pc.fill_null(array.cast(pa.int64(), safe=False), 0).to_numpy(zero_copy_only=False)
        known, value = valid & ((number == 0) | (number == 1)), number == 1
    elif pa.types.is_null(array.type):
        empty = known = ~valid
        value = known
    else:
        _doubt_all(array, good)
        return np.full(len(array), UNKNOWN, np.int8)
    good &= (known | empty) if nullable else (known & ~empty)
    return np.where(empty, UNKNOWN, value).astype(np.int8)


def keep_first_copies(landed: Landed) -> Landed:
    """The first copy of each id; identical later ones are counted, conflicting ones rejected."""
    table = landed.table
    codes = encode(table.ids)
    if len(codes.values) == len(table):
        return landed
    order = np.argsort(codes.codes, kind="stable")
    first = order[np.r_[True, np.diff(codes.codes[order]) != 0]]
    later = np.setdiff1d(np.arange(len(table)), first)
    original = first[np.searchsorted(codes.codes[first], codes.codes[later])]
    same = _same_content(table, later, original)
    conflicts = landed.places(table.source_row[later[~same]])
    return replace(
        landed,
        table=table.take(np.sort(first)),
        rejects=(*landed.rejects, *(RejectedRow(*place, "", (_CONFLICT,)) for place in conflicts)),
        duplicates=landed.duplicates + int(same.sum()),
    )


_CONFLICT = Problem("", CONFLICTING_ID, "another transaction came first under this id, with other content")


def _same_content(table: TransactionTable, rows: npt.NDArray[Any], others: npt.NDArray[Any]) -> Mask:
    columns: Iterator[npt.NDArray[Any]] = iter(
        (
            table.timestamp,
            table.amount,
            table.label,
            *(codes.codes for codes in (*table.entities, *table.categories)),
            *table.flags,
        )
    )
    return np.asarray(np.logical_and.reduce([column[rows] == column[others] for column in columns]))


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

"""From an Arrow table of raw columns to valid transactions and rejected rows.

Whole columns are screened at once; what the screen does not know to be good goes row by row to `Validator.validate`,
which alone decides. The screen may only pass what `validate` would pass, with the same values: a property test holds
them together.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.contract import Category, Contract
from fraudline.transactions.cells import cells_of, record_of
from fraudline.transactions.landed import Landed, Mask, RejectedRow
from fraudline.transactions.table import (
    UNKNOWN,
    Codes,
    Integers,
    TransactionTable,
    concatenate,
    encode,
    from_transactions,
)
from fraudline.transactions.transaction import Rejected
from fraudline.transactions.validation import (
    EARLIEST,
    FLOAT_TOLERANCE,
    LATEST,
    MAX_ID_LENGTH,
    MAX_TEXT_LENGTH,
    MINOR_UNIT_TOLERANCE,
    Validator,
)

_ID = rf"^[\x21-\x7e]{{1,{MAX_ID_LENGTH}}}$"
_TEXT = rf"^[\x21-\x7e][\x20-\x7e]{{0,{MAX_TEXT_LENGTH - 1}}}$"
_NUMBER = r"^-?\d{1,15}(\.\d{1,15})?$"
_TIME = r"^\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,6})?"
_BINARY = pa.array(["0", "1", "true", "false"])


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


def _screened(contract: Contract, columns: pa.Table) -> tuple[Mask, TransactionTable]:
    """The rows surely good, and a table of just those."""
    good: Mask = np.ones(columns.num_rows, bool)
    ids = _identifiers(_column(columns, contract.id.column), good)
    timestamp = _timestamps(_column(columns, contract.timestamp.column), contract.timezone, good)
    table = TransactionTable(
        contract=contract,
        ids=ids,
        timestamp=timestamp,
        effective_time=timestamp,
        amount=_amounts(_column(columns, contract.amount.column), contract, good),
        entities=tuple(_encoded(_column(columns, entity.column), _ID, good) for entity in contract.entities),
        categories=tuple(_category(_column(columns, c.column), c, good) for c in contract.categories),
        flags=tuple(_binary(_column(columns, flag.column), good, nullable=False) for flag in contract.flags),
        label=_labels(contract, columns, good),
        known_at=timestamp + contract.label_delay,
        source_row=np.arange(columns.num_rows),
    )
    _screen_ignored(contract, columns, good)
    return good, table if good.all() else table.take(good)


def _column(columns: pa.Table, name: str) -> pa.Array:
    part = columns[name]
    return part.combine_chunks() if part.num_chunks != 1 else part.chunk(0)


def _labels(contract: Contract, columns: pa.Table, good: Mask) -> npt.NDArray[np.int8]:
    """Unknown where there is no such column."""
    if contract.label.column not in columns.column_names:
        return np.full(columns.num_rows, UNKNOWN, np.int8)
    return _binary(_column(columns, contract.label.column), good, nullable=True)


def _screen_ignored(contract: Contract, columns: pa.Table, good: Mask) -> None:
    for ignored in contract.ignored:
        if ignored.values and ignored.column in columns.column_names:
            category = Category("ignored", ignored.column, ignored.values, True)
            _category(_column(columns, ignored.column), category, good)


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

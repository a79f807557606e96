"""The contract's one `validate`: what is a transaction and what is quarantined, on every path.

The columnar reader (`columns.py`) may pass a row unasked only where this code would pass it too; whatever it doubts
comes here. Values are decoded JSON (or cells made into JSON values): nothing here raises on bad data.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import partial
from typing import Any

import msgspec

from fraudline.clock import day_start, parse_timestamp
from fraudline.contract import AmountColumn, Category, Contract
from fraudline.durations import HOUR
from fraudline.transactions.transaction import Problem, Rejected, Transaction

MAX_ID_LENGTH = 128
MAX_TEXT_LENGTH = 64
MAX_RECORD_BYTES = 65_536
# A transaction outside these is a clock that lost its battery, not history.
EARLIEST = day_start(date(1990, 1, 1))
LATEST = day_start(date(2100, 1, 1))
# How far a record's own time may run ahead of the moment the stream received it.
MAX_AHEAD = HOUR
# An amount may be off its minor unit by this much (in minor units): floats are, by far less ...
MINOR_UNIT_TOLERANCE = 1e-6
# ... except the largest ones, by this share of themselves.
FLOAT_TOLERANCE = 2.0**-51

Check = Callable[[Any], Any]
_FLAG_VALUES = {0: 0, 1: 1}


class Invalid(Exception):
    """A single value's problem; lives inside this module."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Validator:
    """`validate` for one contract, compiled once: a check per column."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._id = _identifier("id")
        self._timestamp = _timestamp(contract.timezone)
        self._amount = _amount(contract.amount)
        self._entities = tuple((e.column, _identifier("entity")) for e in contract.entities)
        self._categories = tuple((c.column, _category(c)) for c in contract.categories)
        self._flags = tuple((f.column, _flag) for f in contract.flags)
        self._ignored = tuple((i.column, i.values) for i in contract.ignored if i.values)

    def validate(self, record: object, arrived_at: int | None = None) -> Transaction | Rejected:
        """A transaction, or everything that is wrong with the record.

        `arrived_at` (microseconds since the epoch) is when the stream received it, where there is a stream: a record
        from the future would hold its entity's clock back for good.
        """
        if not isinstance(record, Mapping):
            return Rejected((Problem("", "not_an_object", "the record is not a JSON object"),))
        try:
            return self._transaction(record, arrived_at)
        except Invalid:
            return Rejected(tuple(self._problems(record, arrived_at)))

    def decode(self, raw: bytes, arrived_at: int | None = None) -> Transaction | Rejected:
        """The same for a record's bytes: one JSON object in UTF-8."""
        if len(raw) > MAX_RECORD_BYTES:
            message = f"the record has {len(raw)} bytes, {MAX_RECORD_BYTES} are allowed"
            return Rejected((Problem("", "too_large", message),))
        try:
            record = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Rejected((Problem("", "not_json", f"the record is not JSON: {error}"),))
        return self.validate(record, arrived_at)

    def _transaction(self, record: Mapping[str, Any], arrived_at: int | None) -> Transaction:
        contract, get = self.contract, record.get
        timestamp = self._timestamp(get(contract.timestamp.column))
        _not_ahead(timestamp, arrived_at)
        for column, values in self._ignored:
            _allowed_if_present(get(column), values)
        return Transaction(
            self._id(get(contract.id.column)),
            timestamp,
            self._amount(get(contract.amount.column)),
            tuple([check(get(column)) for column, check in self._entities]),
            tuple([check(get(column)) for column, check in self._categories]),
            tuple([check(get(column)) for column, check in self._flags]),
            _label(get(contract.label.column)),
        )

    def _problems(self, record: Mapping[str, Any], arrived_at: int | None) -> Iterable[Problem]:
        """Every column's problem: only asked of a record already known to be bad."""
        contract = self.contract

        def timestamp(value: Any) -> None:
            _not_ahead(self._timestamp(value), arrived_at)

        checks: list[tuple[str, Check]] = [
            (contract.id.column, self._id),
            (contract.timestamp.column, timestamp),
            (contract.amount.column, self._amount),
            *self._entities,
            *self._categories,
            *self._flags,
            (contract.label.column, _label),
        ]
        checks += [(column, partial(_allowed_if_present, values=values)) for column, values in self._ignored]
        for column, check in checks:
            try:
                check(record.get(column))
            except Invalid as invalid:
                yield Problem(column, invalid.code, str(invalid))


def _identifier(kind: str) -> Check:
    missing, malformed = f"{kind}_missing", f"{kind}_malformed"

    def check(value: Any) -> str:
        if value is None or value == "":
            raise Invalid(missing, "is missing")
        if type(value) is int:
            value = str(value)
        if type(value) is not str or len(value) > MAX_ID_LENGTH or not value.isprintable():
            raise Invalid(malformed, f"is not a printable text of at most {MAX_ID_LENGTH} characters")
        if value.isspace():
            raise Invalid(missing, "is blank")
        return value

    return check


def identifier_problem(text: str) -> str | None:
    """Why no transaction can be called this, if none can.

    >>> identifier_problem("tx-é 1"), identifier_problem("")
    (None, 'is missing')
    """
    try:
        _identifier("id")(text)
    except Invalid as error:
        return str(error)
    return None


def _timestamp(zone: str) -> Check:
    def check(value: Any) -> int:
        if value is None or value == "":
            raise Invalid("timestamp_missing", "is missing")
        if type(value) is not str:
            raise Invalid("timestamp_malformed", "is not a text such as 2026-01-31T13:05:00Z")
        try:
            time = parse_timestamp(value, zone)
        except (ValueError, OverflowError) as error:
            raise Invalid("timestamp_malformed", f"is not an RFC 3339 timestamp ({error})") from error
        if not EARLIEST <= time < LATEST:
            raise Invalid("timestamp_out_of_range", "is before 1990 or after 2099")
        return time

    return check


def _not_ahead(timestamp: int, arrived_at: int | None) -> None:
    if arrived_at is not None and timestamp > arrived_at + MAX_AHEAD:
        raise Invalid("timestamp_in_future", "is more than an hour ahead of the stream's clock")


def _amount(amount: AmountColumn) -> Check:
    low, high, minor_units = amount.min, amount.max, amount.minor_units

    def check(value: Any) -> int:
        if value is None or value == "":
            raise Invalid("amount_missing", "is missing")
        if type(value) is not float and type(value) is not int:
            raise Invalid("amount_not_a_number", "is not a number")
        if type(value) is float and not math.isfinite(value):
            raise Invalid("amount_not_finite", "is not a finite number")
        if not low <= value <= high:
            code = "amount_negative" if value < 0 else "amount_out_of_range"
            raise Invalid(code, f"is not between {low} and {high}")
        scaled = value * minor_units
        minor = round(scaled)
        off = abs(scaled - minor)
        if off > MINOR_UNIT_TOLERANCE and off > scaled * FLOAT_TOLERANCE:
            raise Invalid("amount_precision", f"is not a whole number of 1/{minor_units}")
        return minor

    return check


def _category(category: Category) -> Check:
    allowed = frozenset(category.values)

    def check(value: Any) -> str:
        if value is None or value == "":
            if category.nullable:
                return ""
            raise Invalid("category_missing", "is missing")
        if type(value) is not str:
            raise Invalid("category_malformed", "is not a text")
        if allowed:
            if value not in allowed:
                raise Invalid("category_unknown", f"is not one of {', '.join(category.values)}")
        elif len(value) > MAX_TEXT_LENGTH or not value.isprintable() or value.isspace():
            message = f"is not a printable text of at most {MAX_TEXT_LENGTH} characters"
            raise Invalid("category_malformed", message)
        return value

    return check


def _flag(value: Any) -> int:
    if value is None:
        raise Invalid("flag_missing", "is missing")
    if type(value) not in (bool, int) or value not in _FLAG_VALUES:
        raise Invalid("flag_malformed", "is not 0, 1, true or false")
    return int(value)


def _label(value: Any) -> int | None:
    if value is None or value == "":
        return None
    if type(value) not in (bool, int) or value not in _FLAG_VALUES:
        raise Invalid("label_malformed", "is not 0, 1, true or false")
    return int(value)


def _allowed_if_present(value: Any, values: tuple[str, ...]) -> None:
    if value is not None and value != "" and value not in values:
        raise Invalid("category_unknown", f"is not one of {', '.join(values)}")

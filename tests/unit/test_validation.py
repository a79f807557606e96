"""The one `validate`: every way a record can be wrong has its reason, and nothing raises."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.clock import parse_timestamp
from fraudline.contract import contract_from, load_contract
from fraudline.durations import HOUR
from fraudline.transactions.cells import record_of
from fraudline.transactions.transaction import Rejected, Transaction
from fraudline.transactions.validation import MAX_AHEAD, MAX_RECORD_BYTES, Validator

SHOP = load_contract("ecommerce")
VALIDATOR = Validator(SHOP)
GOOD: dict[str, Any] = {
    **{"transaction_id": "T1", "user_id": "U1", "timestamp": "2026-01-05T10:00:00Z", "amount": 12.5},
    **{"device_type": "mobile", "location": "Rome", "is_vpn": 0, "card_type": "debit"},
}
NOON = parse_timestamp("2026-01-05T10:00:00Z", "UTC")
TIME = "timestamp"
ID = "transaction_id"

REASONS: list[tuple[str, Any, str]] = [
    *((ID, value, "id_missing") for value in (None, "", " ", "   ")),
    *((ID, value, "id_malformed") for value in (1.5, True, [], {}, "a\tb", "a\nb", "x" * 129, "\x00", "\u2003")),
    *(("user_id", value, "entity_missing") for value in (None, "", "  ")),
    *(("user_id", value, "entity_malformed") for value in (1.0, False, ["U1"], "a\x7f")),
    *((TIME, value, "timestamp_missing") for value in (None, "")),
    *((TIME, value, "timestamp_malformed") for value in (1_767_607_200, True, [], "2026-01-05", "2026-01-05T25:00:00")),
    *((TIME, value, "timestamp_out_of_range") for value in ("1989-12-31T23:59:59Z", "2100-01-01T00:00:00Z")),
    *(("amount", value, "amount_missing") for value in (None, "")),
    *(("amount", value, "amount_not_a_number") for value in ("12.5", True, [], {})),
    *(("amount", value, "amount_not_finite") for value in (float("nan"), float("inf"), float("-inf"))),
    *(("amount", value, "amount_negative") for value in (-1, -0.01, -(10**30))),
    *(("amount", value, "amount_out_of_range") for value in (0, 0.0, -0.0, 0.001, 1_000_000.01, 10**30)),
    *(("amount", value, "amount_precision") for value in (0.015, 12.345, 999_999.994, 0.010001)),
    *(("device_type", value, "category_missing") for value in (None, "")),
    *(("device_type", value, "category_unknown") for value in ("Mobile", "mobile ", "fridge")),
    *(("device_type", value, "category_malformed") for value in (1, True, ["mobile"])),
    *(("location", value, "category_malformed") for value in (1, " ", "x" * 65, "a\nb", "\u200b")),
    ("location", None, "category_missing"),
    *(("is_vpn", value, "flag_malformed") for value in (2, -1, 0.0, "0", "", "true", [])),
    ("is_vpn", None, "flag_missing"),
    *(("is_fraud", value, "label_malformed") for value in (2, 0.5, "1", "fraud", [])),
    *(("status", value, "category_unknown") for value in ("lost", 5, [], {})),
]


@pytest.mark.parametrize(("column", "value", "code"), REASONS, ids=lambda part: repr(part)[:24])
def test_each_malformed_value_has_its_reason(column: str, value: Any, code: str) -> None:
    outcome = VALIDATOR.validate({**GOOD, column: value})
    assert isinstance(outcome, Rejected)
    (problem,) = outcome.problems
    assert (problem.field, problem.code, outcome.reason) == (column, code, code)
    assert problem.message
    assert "\n" not in problem.message


@pytest.mark.parametrize("column", list(GOOD))
def test_a_column_that_is_missing_is_named(column: str) -> None:
    record = {name: value for name, value in GOOD.items() if name != column}
    outcome = VALIDATOR.validate(record)
    assert isinstance(outcome, Rejected)
    assert [problem.field for problem in outcome.problems] == [column]
    assert outcome.reason.endswith("_missing")


def test_everything_wrong_with_a_record_is_told_at_once() -> None:
    outcome = VALIDATOR.validate({**GOOD, "amount": -5, "device_type": "fridge", "is_vpn": 7, "status": "lost"})
    assert isinstance(outcome, Rejected)
    assert [p.code for p in outcome.problems] == [
        *("amount_negative", "category_unknown", "flag_malformed", "category_unknown"),
    ]
    assert "mobile, desktop, tablet" in outcome.problems[1].message


def test_a_time_that_is_none_is_told_once_and_with_its_remedy() -> None:
    outcome = VALIDATOR.validate({**GOOD, TIME: "31.01.2026 13:05"})
    assert isinstance(outcome, Rejected)
    assert outcome.problems[0].message == "is not an RFC 3339 timestamp (write it as 2026-01-31T13:05:00Z)"


def test_no_reason_repeats_what_a_person_typed() -> None:
    # Reasons are logged and counted; ids and places are personal.
    secret = "secret\u202e"
    for column in GOOD:
        outcome = VALIDATOR.validate({**GOOD, column: secret})
        assert isinstance(outcome, Rejected)
        assert outcome.problems
        assert all("secret" not in problem.message for problem in outcome.problems)


def test_a_good_record_becomes_a_transaction_in_the_units_of_the_core() -> None:
    record = {**GOOD, ID: 17, "timestamp": "2026-01-05T12:00:00+02:00", "is_vpn": True, "is_fraud": 1, "extra": [1]}
    assert VALIDATOR.validate(record) == Transaction("17", NOON, 1250, ("U1",), ("mobile", "Rome", "debit"), (1,), 1)


@pytest.mark.parametrize(("value", "label"), [(None, None), ("", None), (0, 0), (1, 1), (True, 1), (False, 0)])
def test_a_label_is_known_or_not_and_never_taken_for_honest(value: Any, label: int | None) -> None:
    outcome = VALIDATOR.validate({**GOOD, "is_fraud": value})
    assert isinstance(outcome, Transaction)
    assert outcome.label == label


@pytest.mark.parametrize("status", [None, "", "approved", "refunded"])
def test_an_ignored_column_may_hold_what_the_contract_lists(status: str | None) -> None:
    assert isinstance(VALIDATOR.validate({**GOOD, "status": status}), Transaction)


@pytest.mark.parametrize("amount", [0.01, 1, 0.29, 1.1, 19.99, 1_000_000, 999_999.99, 33.330000000001])
def test_amounts_within_a_millionth_of_a_cent_are_whole_cents(amount: float) -> None:
    outcome = VALIDATOR.validate({**GOOD, "amount": amount})
    assert isinstance(outcome, Transaction)
    assert outcome.amount == round(amount * 100)


@pytest.mark.parametrize("amount", [0.011, 12.345_67, 999_999.000_000_5])
def test_amounts_further_off_are_none_however_large_they_are(amount: float) -> None:
    outcome = VALIDATOR.validate({**GOOD, "amount": amount})
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "amount_precision"


def test_a_nullable_category_may_be_missing() -> None:
    values = SHOP.to_json()
    categories = [{**category, "nullable": True} for category in values["categories"]]
    validator = Validator(contract_from({**values, "categories": categories}, "test"))
    outcome = validator.validate({**GOOD, "device_type": None, "location": ""})
    assert isinstance(outcome, Transaction)
    assert outcome.categories == ("", "", "debit")


def test_a_record_from_the_future_would_hold_its_entitys_clock_back() -> None:
    assert isinstance(VALIDATOR.validate(GOOD, NOON - MAX_AHEAD), Transaction)
    outcome = VALIDATOR.validate(GOOD, NOON - MAX_AHEAD - 1)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "timestamp_in_future"
    assert outcome.problems[0].field == TIME
    assert MAX_AHEAD == HOUR


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"{'a': 1}", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"amount": NaN}', "not_json"),
        (b'{"amount": 1e999}', "not_json"),
        (b'{"a": "\xff"}', "not_json"),
        (b'{"a": "\\ud800"}', "not_json"),
        (b'\xef\xbb\xbf{"a": 1}', "not_json"),
        (b'{"a": 1} {"a": 2}', "not_json"),
        (b"[" * 20_000, "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"5", "not_an_object"),
        (b'{"a": "' + b"x" * MAX_RECORD_BYTES + b'"}', "too_large"),
        (b"{}", "id_missing"),
    ],
    ids=lambda part: repr(part)[:20],
)
def test_bytes_that_are_no_record_have_their_reason(raw: bytes, reason: str) -> None:
    outcome = VALIDATOR.decode(raw)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == reason


def test_a_record_of_the_largest_size_is_read() -> None:
    raw = json.dumps({**GOOD, "note": ""}).encode()
    padded = json.dumps({**GOOD, "note": "x" * (MAX_RECORD_BYTES - len(raw))}).encode()
    assert len(padded) == MAX_RECORD_BYTES
    assert isinstance(VALIDATOR.decode(padded), Transaction)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


cells = {name: st.just(good) | json_values for name, good in {**GOOD, "is_fraud": 1, "status": ""}.items()}


@settings(deadline=None)
@given(record=st.fixed_dictionaries({}, optional=cells), name=st.sampled_from(["ecommerce", "cards"]))
def test_whatever_comes_is_a_transaction_or_has_reasons(record: dict[str, Any], name: str) -> None:
    outcome = Validator(load_contract(name)).validate(record)
    assert isinstance(outcome, Transaction | Rejected)
    if isinstance(outcome, Rejected):
        assert outcome.problems


@settings(deadline=None)
@given(raw=st.one_of(st.binary(max_size=40), json_values.map(lambda value: json.dumps(value).encode())))
def test_whatever_bytes_come_are_a_transaction_or_have_reasons(raw: bytes) -> None:
    outcome = VALIDATOR.decode(raw)
    assert isinstance(outcome, Rejected)
    assert outcome.problems


@settings(deadline=None)
@given(
    minor=st.integers(1, 10**8),
    micros=st.integers(NOON, NOON + 10**15),
    id_=st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=20),
)
def test_what_is_valid_as_values_is_valid_as_bytes(minor: int, micros: int, id_: str) -> None:
    record = {**GOOD, ID: id_, "amount": minor / 100}
    outcome = VALIDATOR.validate(record)
    assert VALIDATOR.decode(json.dumps(record).encode()) == outcome
    assert isinstance(outcome, Transaction)
    assert outcome.amount == minor


def test_text_stands_for_what_the_contract_makes_of_its_column() -> None:
    cells = {**{name: str(value) for name, value in GOOD.items()}, "is_vpn": "TRUE", "is_fraud": "0.0", "status": None}
    record = record_of(SHOP, cells)
    assert (record["amount"], record["is_vpn"], record["is_fraud"]) == (12.5, 1, 0)
    assert isinstance(VALIDATOR.validate(record), Transaction)


def test_text_that_stands_for_nothing_is_left_for_a_person_to_see() -> None:
    record = record_of(SHOP, {"amount": "12,50", "is_vpn": "perhaps", "is_fraud": "", "user_id": "1"})
    assert record == {"amount": "12,50", "is_vpn": "perhaps", "is_fraud": None, "user_id": "1"}


def test_the_cards_contract_reads_the_public_data_as_it_is() -> None:
    contract = load_contract("cards")
    record = {"TRANSACTION_ID": 1, "TX_DATETIME": "2018-04-01 00:00:31", "CUSTOMER_ID": 596, "TERMINAL_ID": 3156}
    outcome = Validator(contract).validate({**record, "TX_AMOUNT": 57.16, "TX_FRAUD": 0, "TX_FRAUD_SCENARIO": 0})
    assert isinstance(outcome, Transaction)
    assert (outcome.id, outcome.entities, outcome.amount, outcome.label) == ("1", ("596", "3156"), 5716, 0)

"""Law 5: the columnar screen gives exactly what row-by-row `validate` gives, on any Arrow table."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.contract import Contract, contract_from, load_contract
from fraudline.transactions.cells import cells_in, cells_of, json_of, record_of, to_record
from fraudline.transactions.columns import screen
from fraudline.transactions.landed import Landed, Source, keep_first_copies
from fraudline.transactions.table import from_transactions
from fraudline.transactions.transaction import Problem, Rejected, Transaction
from fraudline.transactions.validation import Validator

thorough = settings(max_examples=150, deadline=None)


def shop(**changes: Any) -> Contract:
    """A small contract with every kind of column."""
    values = {
        "name": "shop",
        "id": {"column": "id"},
        "timestamp": {"column": "at"},
        "amount": {"column": "amount", "min": 0.0, "max": 1_000_000.0},
        "label": {"column": "fraud", "delay": "7d"},
        "training": {"window": "7d"},
        "entities": [{"name": "card", "column": "card", "windows": ["1d"]}],
        "categories": [
            {"name": "device", "column": "device", "values": ["mobile", "desktop"]},
            {"name": "place", "column": "place", "nullable": True},
        ],
        "flags": [{"name": "vpn", "column": "vpn"}],
        "ignored": [{"column": "status", "values": ["ok", "declined"]}, {"column": "note"}],
    }
    return contract_from({**values, **changes}, "test")


SHOP, ROMAN = shop(), shop(timezone="Europe/Rome")
GOOD: dict[str, Any] = {
    **{"id": "T1", "at": "2026-01-05T10:00:00Z", "amount": "12.50", "card": "C1", "device": "mobile", "place": "Rome"},
    **{"vpn": "0", "fraud": "1", "status": "ok", "note": "x"},
}


def by_row(contract: Contract, columns: pa.Table) -> tuple[list[Transaction], list[tuple[int, tuple[Problem, ...]]]]:
    """What `validate` says of each row, asked one by one."""
    validator, valid, rejects = Validator(contract), [], []
    for row, cells in enumerate(cells_of(columns)):
        outcome = validator.validate(record_of(contract, cells))
        if isinstance(outcome, Rejected):
            rejects.append((row, outcome.problems))
        else:
            valid.append(outcome)
    return valid, rejects


def assert_screened_as_by_row(contract: Contract, columns: pa.Table) -> Landed:
    landed = screen(contract, columns, "file")
    valid, rejects = by_row(contract, columns)
    assert list(landed.table.transactions()) == valid
    assert [(reject.row, reject.problems) for reject in landed.rejects] == rejects
    assert landed.rows == columns.num_rows == len(landed.table) + len(landed.rejects) + landed.duplicates
    assert (landed.table.known_at == landed.table.timestamp + contract.label_delay).all()
    kept = set(range(columns.num_rows)) - {row for row, _ in rejects}
    assert landed.table.source_row.tolist() == sorted(kept)
    assert [json.loads(json_of(cells)).keys() for cells in cells_of(columns)] == [
        set(columns.column_names)
    ] * columns.num_rows
    return landed


TEXTS = (
    *("", " ", "NaN", "null", "1_000", "٣", "３", " 12.5", "12.5 ", "+5", "-5", "1e3", "1E3", "-0", "-0.0", ".5", "5."),
    *("0", "1", "0.0", "1.0", "true", "True", "FALSE", "yes", "2", "01", "inf", "-inf", "nan", "0x10", "12,50"),
    *("12.505", "12.5000000001", "12.50000001", "999999.99", "1000000", "1000000.01", "123456789012345678901234567890"),
    *("0.1", "0.29", "1.005", "mobile", "Mobile", "mobile ", "Zürich", "東京", "a\tb", "a\nb", "x\n", "\u200b", "\xa0"),
    *("x" * 64, "x" * 65, "x" * 128, "x" * 129, "\x00", "😀", "NA", "N/A", "None", "ok", "declined"),
)
TIMES = (
    *("2026-01-05T10:00:00Z", "2026-01-05 10:00:00", "2026-01-05t10:00:00z", "2026-01-05T10:00:00+01:00"),
    *("2026-01-05T10:00:00.1", "2026-01-05T10:00:00.123456Z", "2026-01-05T10:00:00.123456789Z"),
    *("2026-01-05T10:00:00.1234567890Z", "2026-01-05T24:00:00Z", "2026-01-05T23:59:60Z", "2026-01-05T10:60:00Z"),
    *("2026-13-05T10:00:00Z", "2026-02-30T10:00:00Z", "2024-02-29T10:00:00Z", "0001-01-01T00:00:00Z", "0000-01-01"),
    *("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "1989-12-31T23:59:59Z"),
    *("1990-01-01T00:00:00Z", "1990-01-01T00:30:00+01:00", "2099-12-31T23:59:59.999999Z", "2100-01-01T00:00:00Z"),
    *("2026-01-05T10:00:00+24:00", "2026-01-05T10:00:00+01:75", "2026-01-05T10:00:00-00:00", "2026-01-05"),
    *("2026-01-05T10:00Z", "2026-01-05T10:00:00 Z", "20260105T100000Z", "1767607200", "05/01/2026 10:00:00"),
    *("٢٠٢٦-01-05T10:00:00Z", " 2026-01-05T10:00:00Z", "2026-01-05T10:00:00Z\n", "2026-03-29T02:30:00", "x", ""),
    *("2026-10-25T02:30:00", "2026-01-05T10:00:00+00:00", "2026-01-05T10:00:00+0100", "2026-01-05T10:00:00,5Z"),
)


def columns_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in GOOD})


@pytest.mark.parametrize("contract", [SHOP, ROMAN], ids=["UTC", "Rome"])
@pytest.mark.parametrize("column", sorted(set(GOOD) - {"at"}))
def test_each_odd_text_in_each_column_is_judged_as_by_row(contract: Contract, column: str) -> None:
    rows = [{**GOOD, column: value} for value in (*TEXTS, None)]
    assert_screened_as_by_row(contract, columns_of(rows))


@pytest.mark.parametrize("contract", [SHOP, ROMAN], ids=["UTC", "Rome"])
def test_each_odd_timestamp_is_judged_as_by_row(contract: Contract) -> None:
    landed = assert_screened_as_by_row(contract, columns_of([{**GOOD, "at": value} for value in (*TIMES, None)]))
    assert len(landed.table) > 8
    assert len(landed.rejects) > 25


@thorough
@given(data=st.data(), contract=st.sampled_from([SHOP, ROMAN]))
def test_any_mixture_of_texts_is_judged_as_by_row(data: st.DataObject, contract: Contract) -> None:
    odd = st.one_of(st.none(), st.sampled_from(TEXTS), st.text(max_size=6))
    times = st.one_of(odd, st.sampled_from(TIMES))
    cells = {name: st.one_of(st.just(good), st.just(good), odd) for name, good in GOOD.items()}
    cells["at"] = st.one_of(st.just(GOOD["at"]), times)
    rows = data.draw(st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=8))
    kinds = st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
    table = pa.table({name: pa.array([row[name] for row in rows], data.draw(kinds)) for name in GOOD})
    assert_screened_as_by_row(contract, table)


@thorough
@given(
    values=st.lists(
        st.one_of(
            st.decimals(allow_nan=True, allow_infinity=True, places=None).map(str),
            st.floats().map(repr),
            st.integers(0, 10**9).map(lambda cents: f"{cents / 100:.2f}"),
            st.from_regex(r"\A-?[0-9]{1,15}(\.[0-9]{1,15})?\Z"),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_amount_as_text_has_the_value_it_has_by_row(values: list[str]) -> None:
    assert_screened_as_by_row(SHOP, columns_of([{**GOOD, "amount": value} for value in values]))


@thorough
@given(
    moments=st.lists(st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)), min_size=1, max_size=10),
    offset=st.integers(-1439, 1439),
    separator=st.sampled_from("T "),
    contract=st.sampled_from([SHOP, ROMAN]),
)
def test_any_timestamp_as_text_has_the_value_it_has_by_row(
    moments: list[dt.datetime], offset: int, separator: str, contract: Contract
) -> None:
    zone = dt.timezone(dt.timedelta(minutes=offset))
    texts = [m.isoformat(separator) for m in moments] + [m.replace(tzinfo=zone).isoformat(separator) for m in moments]
    assert_screened_as_by_row(contract, columns_of([{**GOOD, "at": text} for text in texts]))


FLOATS = (0.0, -0.0, 1.0, 12.5, 12.505, 0.29, 1.005, 999_999.99, 1e6, 1e6 + 0.01, 1e300, -5.0, float("nan"))
WHOLE = (0, 1, 2, -1, 7, 999_999, 1_000_000, 1_000_001)
JAN = dt.datetime(2026, 1, 5, 10, 0, 0, 123456)
TYPED: dict[str, tuple[str, pa.Array]] = {
    "ids of 64 bits": ("id", pa.array([1, -5, 0, 2**63 - 1, None], pa.int64())),
    "unsigned ids": ("id", pa.array([1, 2**64 - 1, None], pa.uint64())),
    "ids as floats": ("id", pa.array([1.0, 2.5, None])),
    "ids as bools": ("id", pa.array([True, False, None])),
    "ids as bytes": ("id", pa.array([b"T1", b"\xff", b"", None])),
    "ids as views of text": ("id", pa.array(["T1", "Zürich", "", None], pa.string_view())),
    "ids as dates": ("id", pa.array([dt.date(2026, 1, 5), None])),
    "ids as times of day": ("id", pa.array([dt.time(10, 0), None])),
    "ids as spans of time": ("id", pa.array([dt.timedelta(1), None])),
    "ids as lists": ("id", pa.array([["T1"], [], None])),
    "ids as structures": ("id", pa.array([{"x": 1}, {"x": None}, None])),
    "no ids at all": ("id", pa.nulls(3)),
    "entities of 32 bits": ("card", pa.array([1, -5, 0, None], pa.int32())),
    "entities as numbers in a dictionary": ("card", pa.array([1, 2, 1, None]).dictionary_encode()),
    "entities as texts in a dictionary": ("card", pa.array(["a", "b c", "", None]).dictionary_encode()),
    "entities as bytes": ("card", pa.array([b"C1", None])),
    "no entities at all": ("card", pa.nulls(3)),
    "amounts as doubles": ("amount", pa.array([*FLOATS, float("inf"), float("-inf"), None])),
    "amounts as singles": ("amount", pa.array([*FLOATS, 12.34, None], pa.float32())),
    "amounts as halves": ("amount", pa.array(np.array([0.5, 12.25, 3.1, np.nan], np.float16))),
    "amounts as integers": ("amount", pa.array([*WHOLE, 2**62, -(2**62), None], pa.int64())),
    "amounts as unsigned integers": ("amount", pa.array([0, 5, 2**64 - 1, None], pa.uint64())),
    "amounts as decimals": ("amount", pa.array([Decimal("12.50"), Decimal("0.29"), Decimal("-1.00"), None])),
    "amounts as fine decimals": ("amount", pa.array([Decimal("12.50500001"), Decimal("0.29000000"), None])),
    "amounts as bools": ("amount", pa.array([True, False, None])),
    "no amounts at all": ("amount", pa.nulls(2)),
    "times in seconds": ("at", pa.array([JAN.replace(microsecond=0), None], pa.timestamp("s"))),
    "times in milliseconds": ("at", pa.array([JAN.replace(microsecond=0), None], pa.timestamp("ms", tz="UTC"))),
    "times in a zone": ("at", pa.array([JAN, None], pa.timestamp("us", tz="Europe/Rome"))),
    "times in nanoseconds": ("at", pa.array([1_767_607_200_123_456_789, None], pa.timestamp("ns"))),
    "zoned nanoseconds": ("at", pa.array([1_767_607_200_123_456_789, None], pa.timestamp("ns", tz="UTC"))),
    "times out of range": ("at", pa.array([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)], pa.timestamp("us"))),
    "times beyond the calendar": ("at", pa.array([2**62, -(2**62), None], pa.timestamp("us"))),
    "zoned times beyond the calendar": ("at", pa.array([2**62, None], pa.timestamp("us", tz="UTC"))),
    "seconds beyond 64 bits of microseconds": ("at", pa.array([2**61, None], pa.timestamp("s"))),
    "days": ("at", pa.array([dt.date(2026, 1, 5), None])),
    "times as numbers": ("at", pa.array([1_767_607_200, None])),
    "times in a dictionary": ("at", pa.array([GOOD["at"], "x", None]).dictionary_encode()),
    "categories in a dictionary": ("device", pa.array(["mobile", "x", None]).dictionary_encode()),
    "categories as numbers": ("place", pa.array([1, 2, None])),
    "categories as numbers in a dictionary": ("place", pa.array([1, 2, None]).dictionary_encode()),
    "categories as bytes": ("device", pa.array([b"mobile", None])),
    "nullable categories that are all null": ("place", pa.nulls(2)),
    "categories that are all null": ("device", pa.nulls(2)),
    "flags as bools": ("vpn", pa.array([True, False, None])),
    "flags as integers": ("vpn", pa.array([0, 1, 2, -1, None], pa.int8())),
    "flags as unsigned integers": ("vpn", pa.array([0, 1, 2**64 - 1, None], pa.uint64())),
    "flags as floats": ("vpn", pa.array([0.0, 1.0, 0.5, float("nan"), float("inf"), None])),
    "flags as decimals": ("vpn", pa.array([Decimal("1"), Decimal("0"), None])),
    "labels as floats": ("fraud", pa.array([0.0, 1.0, 0.5, float("nan"), None])),
    "labels as bools": ("fraud", pa.array([True, False, None])),
    "no labels at all": ("fraud", pa.nulls(2)),
    "ignored numbers": ("status", pa.array([1, None])),
    "ignored texts in a dictionary": ("status", pa.array(["ok", "?", None]).dictionary_encode()),
    "notes of any type": ("note", pa.array([dt.date(2026, 1, 1), None])),
}


@pytest.mark.parametrize("contract", [SHOP, ROMAN], ids=["UTC", "Rome"])
@pytest.mark.parametrize(("column", "values"), TYPED.values(), ids=TYPED.keys())
def test_each_type_of_column_is_judged_as_by_row(contract: Contract, column: str, values: pa.Array) -> None:
    count = len(values)
    columns = {name: pa.array([good] * count) for name, good in GOOD.items()}
    columns["id"] = pa.array([f"T{row}" for row in range(count)])
    assert_screened_as_by_row(contract, pa.table({**columns, column: values}))


@pytest.mark.parametrize("doubted", ["id", "card", "place"])
def test_a_row_that_one_column_makes_doubtful_keeps_what_its_other_columns_say(doubted: str) -> None:
    # Texts beside typed columns, as many tools write Parquet.
    for typed in ({"vpn": pa.array([1, 1])}, {"fraud": pa.array([0, 0])}, {"amount": pa.array([12.5, 12.5])}):
        columns = {name: pa.array([good, good]) for name, good in GOOD.items()}
        columns |= {"id": pa.array(["T1", "T2"]), doubted: pa.array(["plain", "Zürich"]), **typed}
        landed = assert_screened_as_by_row(SHOP, pa.table(columns))
        assert len(landed.table) == 2


def test_columns_in_chunks_are_one_column() -> None:
    whole = columns_of([GOOD, {**GOOD, "id": "T2"}, {**GOOD, "id": ""}])
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 2)])
    assert chunked["id"].num_chunks == 2
    assert list(assert_screened_as_by_row(SHOP, chunked).table.transactions()) == by_row(SHOP, whole)[0]


def test_dictionaries_that_differ_from_chunk_to_chunk_are_one_column() -> None:
    encoded = [
        columns_of([{**GOOD, "place": place}]).set_column(5, "place", pa.array([place]).dictionary_encode())
        for place in ("Rome", "Oslo")
    ]
    landed = assert_screened_as_by_row(SHOP, pa.concat_tables(encoded))
    assert landed.table.categories[1].text().to_pylist() == ["Rome", "Oslo"]


def test_a_table_without_rows_has_none() -> None:
    landed = assert_screened_as_by_row(SHOP, columns_of([GOOD]).slice(0, 0))
    assert landed.rows == 0


def test_optional_columns_may_be_missing() -> None:
    columns = columns_of([GOOD]).drop_columns(["fraud", "status", "note"])
    landed = assert_screened_as_by_row(SHOP, columns)
    assert landed.table.label.tolist() == [-1]


def test_amounts_that_only_python_reads_as_numbers_are_refused() -> None:
    rows = [{**GOOD, "amount": text} for text in ("1_000", "٣", "３.5", "1__0")]
    landed = screen(SHOP, columns_of(rows), "file")
    assert landed.reasons() == {"amount_not_a_number": 4}


def test_bytes_are_read_as_the_text_they_spell() -> None:
    columns = columns_of([GOOD]).set_column(0, "id", pa.array([b"T1"]))
    assert screen(SHOP, columns, "file").table.ids.to_pylist() == ["T1"]


# Copies of an id


def landed_of(*rows: dict[str, Any]) -> Landed:
    return keep_first_copies(screen(SHOP, columns_of(rows), "file"))


def test_the_first_copy_of_an_id_is_kept_and_identical_ones_are_counted() -> None:
    landed = landed_of(GOOD, {**GOOD, "id": "T2"}, GOOD, {**GOOD, "at": "2026-01-05T11:00:00+01:00"})
    assert (len(landed.table), landed.duplicates, landed.rejects) == (2, 2, ())


@pytest.mark.parametrize(
    "change",
    [
        {"at": "2026-01-05T10:00:01Z"},
        {"amount": "12.51"},
        {"card": "C2"},
        {"device": "desktop"},
        {"place": "Oslo"},
        {"place": None},
        {"vpn": "1"},
        {"fraud": "0"},
        {"fraud": None},
    ],
    ids=str,
)
def test_a_later_copy_that_says_something_else_is_quarantined(change: dict[str, Any]) -> None:
    landed = landed_of(GOOD, {**GOOD, **change}, GOOD)
    assert landed.reasons() == {"conflicting_id": 1}
    assert landed.duplicates == 1
    assert landed.rejects[0].row == 1
    assert next(iter(landed.table.transactions())).amount == 1250


def test_rows_are_told_by_their_source_and_their_number_there() -> None:
    landed = replace(landed_of(GOOD), sources=(Source("a", 2), Source("empty", 0), Source("b", 3)))
    assert landed.places(np.array([0, 1, 2, 4])) == [("a", 0), ("a", 1), ("b", 0), ("b", 2)]


@pytest.mark.parametrize(
    ("raw", "cells"),
    [
        ('1,"x, ""y""",', {"a": "1", "b": 'x, "y"', "c": None}),
        ("NaN,NA,null", {"a": None, "b": "NA", "c": "null"}),
        ('1,"two\nlines",3', {"a": "1", "b": "two\nlines", "c": "3"}),
        ("1,2", None),
        ("1,2,3,4", None),
        ("1,2,3\n4,5,6", None),
        ("", None),
        ('{"a": "1"}', None),
    ],
)
def test_a_csv_line_is_its_cells_or_torn(raw: str, cells: dict[str, str | None] | None) -> None:
    assert cells_in(raw, "a,b,c") == cells


@pytest.mark.parametrize(("raw", "cells"), [('{"a": 1.5}', {"a": 1.5}), ("[1]", None), ("{torn", None)])
def test_without_a_header_an_original_is_a_json_object_or_torn(raw: str, cells: dict[str, float] | None) -> None:
    assert cells_in(raw, "") == cells


@thorough
@given(rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans()), max_size=30))
def test_rows_are_kept_quarantined_or_duplicates_and_nothing_else(rows: list[tuple[int, int, bool]]) -> None:
    records = [
        {**GOOD, "id": f"T{id_}", "amount": f"{amount}.00", "card": "C1" if good else ""} for id_, amount, good in rows
    ]
    landed = landed_of(*records) if records else landed_of(GOOD)
    assert landed.rows == len(landed.table) + len(landed.rejects) + landed.duplicates
    first = {id_: amount for id_, amount, good in reversed(rows) if good}
    kept = {t.id: t.amount // 100 for t in landed.table.transactions()}
    assert kept == ({f"T{id_}": amount for id_, amount in first.items()} if records else {"T1": 12})


def test_a_transaction_as_a_record_validates_to_itself() -> None:
    (transaction,) = screen(SHOP, columns_of([{**GOOD, "place": None, "fraud": None}]), "file").table.transactions()
    assert Validator(SHOP).validate(to_record(SHOP, transaction)) == transaction


@thorough
@given(minor=st.integers(0, 2**40), units=st.sampled_from([1, 10, 100, 1000]))
def test_every_allowed_amount_survives_being_written_in_the_currency(minor: int, units: int) -> None:
    contract = shop(amount={"column": "amount", "min": 0.0, "max": 2**40 / units, "minor_units": units})
    transaction = Transaction("T1", 1_767_607_200_000_000, minor, ("C1",), ("mobile", "Rome"), (0,))
    assert Validator(contract).validate(to_record(contract, transaction)) == transaction
    text = pa.table({**columns_of([GOOD]).to_pydict(), "amount": [repr(minor / units)], "fraud": [None]})
    assert screen(contract, text, "file").table.amount.tolist() == [minor]


def test_shipped_contracts_screen_their_own_records() -> None:
    for name in ("ecommerce", "cards"):
        contract = load_contract(name)
        made = [
            Transaction(
                f"T{n}",
                1_767_607_200_000_000 + n,
                n + 1,
                tuple(e.name for e in contract.entities),
                tuple(c.values[0] if c.values else "here" for c in contract.categories),
                tuple(n % 2 for _ in contract.flags),
            )
            for n in range(5)
        ]
        columns = pa.Table.from_pylist([to_record(contract, transaction) for transaction in made])
        landed = screen(contract, columns, "file")
        assert list(landed.table.transactions()) == made
        assert len(landed.table) == len(from_transactions(contract, made))

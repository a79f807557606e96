"""The simulator: repeatable, plausible, and telling nothing that behaviour does not tell."""

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fraudline.contract import load_contract
from fraudline.errors import BadInput
from fraudline.simulate import (
    COLUMNS,
    FILE_KINDS,
    KINDS,
    LABEL,
    STREAM_KINDS,
    Population,
    simulate,
    soil,
    to_records,
    weave,
    weave_records,
)
from fraudline.transactions.cells import record_of
from fraudline.transactions.transaction import Rejected, Transaction
from fraudline.transactions.validation import Validator

DEFAULT = Population(seed=5)


@pytest.fixture(scope="module")
def transactions() -> pd.DataFrame:
    return simulate(DEFAULT)


@pytest.fixture(scope="module")
def day(transactions: pd.DataFrame) -> pd.DataFrame:
    return transactions[transactions["timestamp"].str.startswith("2026-02-10")]


def auc(values: pd.Series, truth: pd.Series) -> float:
    """The chance that a fraud's value is above an honest one's; ties count half."""
    frauds = int(truth.sum())
    return float((values.rank()[truth == 1].sum() - frauds * (frauds + 1) / 2) / (frauds * (len(truth) - frauds)))


def test_equal_populations_give_equal_transactions_and_another_seed_gives_others(
    transactions: pd.DataFrame,
) -> None:
    pd.testing.assert_frame_equal(simulate(Population(seed=5)), transactions)
    assert not simulate(Population(users=50, seed=6)).equals(simulate(Population(users=50, seed=7)))


def test_the_default_population_makes_about_sixty_to_eighty_thousand_rows_in_its_window(
    transactions: pd.DataFrame,
) -> None:
    assert 60_000 < len(transactions) < 80_000
    assert list(transactions.columns) == list(COLUMNS)
    days = transactions["timestamp"].str[:10]
    assert days.nunique() == DEFAULT.days
    assert (days.min(), days.max()) == ("2026-01-05", "2026-02-18")


def test_transactions_are_sorted_by_timestamp_and_id_and_ids_are_unique(transactions: pd.DataFrame) -> None:
    assert transactions["transaction_id"].is_unique
    by_time = transactions.sort_values(["timestamp", "transaction_id"], kind="stable")
    assert by_time.index.equals(transactions.index)


def test_every_value_is_one_the_contract_allows(transactions: pd.DataFrame) -> None:
    assert transactions["timestamp"].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").all()
    assert set(transactions["device_type"]) == {"mobile", "desktop", "tablet"}
    assert set(transactions["card_type"]) == {"credit", "debit", "prepaid"}
    assert set(transactions["status"]) == {"approved", "declined"}
    assert set(transactions["is_vpn"]) == set(transactions[LABEL]) == {0, 1}
    cents = transactions["amount"] * 100
    assert ((cents - cents.round()).abs() < 1e-6).all()
    assert transactions["amount"].between(0.5, 1_000_000).all()


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.015, 0.1])
def test_the_fraud_rate_is_the_one_asked_for(rate: float) -> None:
    labels = simulate(Population(users=500, fraud_rate=rate, seed=1))[LABEL]
    assert labels.sum() == pytest.approx(rate * len(labels), abs=1)


@pytest.mark.parametrize("days", [1, 3, 120])
def test_short_and_long_windows_have_fraud_and_nothing_outside(days: int) -> None:
    population = Population(users=300, start=date(2025, 12, 31), days=days, fraud_rate=0.03, seed=2)
    transactions = simulate(population)
    assert transactions["timestamp"].min() >= "2025-12-31"
    assert pd.to_datetime(transactions["timestamp"]).max() < pd.Timestamp("2025-12-31", tz="UTC") + pd.Timedelta(
        days, "D"
    )
    assert transactions[LABEL].mean() == pytest.approx(0.03, abs=0.005)


def test_a_single_user_is_a_population() -> None:
    assert list(simulate(Population(users=1, days=2)).columns) == list(COLUMNS)


def test_a_population_that_buys_nothing_has_no_transactions() -> None:
    nothing = simulate(Population(users=2, days=2, fraud_rate=0, seed=2))
    assert (len(nothing), list(nothing.columns)) == (0, list(COLUMNS))
    assert soil(nothing, 0.1, seed=1) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"users": 0},
        {"days": 0},
        {"fraud_rate": 0.5},
        {"fraud_rate": -0.1},
        {"fraud_rate": float("nan")},
        {"seed": -1},
    ],
)
def test_an_impossible_population_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Population(**wrong)


def test_users_have_habits(transactions: pd.DataFrame) -> None:
    honest = transactions[transactions[LABEL] == 0]
    regulars = honest.groupby("user_id").filter(lambda rows: len(rows) >= 20)
    for column in ("device_type", "location", "card_type", "is_vpn"):
        counts = regulars.groupby(["user_id", column]).size()
        own_share = (counts.groupby("user_id").max() / counts.groupby("user_id").sum()).mean()
        assert own_share > 0.8
        if column != "is_vpn":
            assert own_share > 0.25 + honest[column].value_counts(normalize=True).max()


def test_rates_are_heavy_tailed_and_amounts_are_each_users_own(transactions: pd.DataFrame) -> None:
    by_user = transactions[transactions[LABEL] == 0].groupby("user_id")["amount"]
    assert by_user.size().max() > 8 * by_user.size().median()
    medians = by_user.median()[by_user.size() >= 20]
    assert medians.quantile(0.9) > 4 * medians.quantile(0.1)


def test_honest_users_travel_change_devices_and_make_large_purchases(transactions: pd.DataFrame) -> None:
    honest = transactions[transactions[LABEL] == 0]
    usual = honest.groupby("user_id")["amount"].transform("median")
    assert 0.005 < (honest["amount"] > 4 * usual).mean() < 0.05
    assert honest.groupby("user_id")["location"].nunique().median() >= 2
    assert honest.groupby("user_id")["device_type"].nunique().mean() > 1.3


def test_formats_ids_and_order_do_not_tell_fraud() -> None:
    rows = simulate(Population(users=4_000, fraud_rate=0.08, seed=3))
    cents = (rows["amount"] * 100).round().astype(int)
    trivial = {
        "position": pd.Series(range(len(rows))),
        "id parity": rows["transaction_id"].str[-1].astype(int) % 2,
        "id digit": rows["transaction_id"].str[-1].astype(int),
        "user number": rows["user_id"].str[1:].astype(int),
        "second": rows["timestamp"].str[17:19].astype(int),
        "minute": rows["timestamp"].str[14:16].astype(int),
        "cents": cents % 100,
        "price ends in 9": (cents % 10 == 9).astype(int),
        "status": (rows["status"] == "declined").astype(int),
    }
    told = {name: round(auc(values, rows[LABEL]), 3) for name, values in trivial.items()}
    assert all(abs(value - 0.5) < 0.05 for value in told.values()), told


def test_raw_columns_hint_at_fraud_and_the_users_own_history_tells_more(transactions: pd.DataFrame) -> None:
    truth, hour = transactions[LABEL], transactions["timestamp"].str[:13]
    earlier_this_hour = transactions.groupby(["user_id", hour]).cumcount()
    known = transactions.groupby("user_id").cumcount() >= 5
    new_place = known & transactions.groupby(["user_id", "location"]).cumcount().eq(0)
    raw = [
        auc(transactions["is_vpn"], truth),
        auc((transactions["card_type"] == "prepaid").astype(int), truth),
    ]
    assert min(raw) > 0.5
    assert max(raw) < 0.9
    alarm = (earlier_this_hour >= 5) | (new_place & transactions["is_vpn"].eq(1))
    assert truth[alarm].mean() > 10 * truth.mean()
    assert truth[alarm].mean() < 0.9


def test_records_are_compact_json_without_the_label(day: pd.DataFrame) -> None:
    records = list(to_records(day))
    assert len(records) == len(day)
    first = json.loads(records[0])
    assert list(first) == [name for name in COLUMNS if name != LABEL]
    assert first == {name: day.iloc[0][name] for name in first}
    assert all(b" " not in record.replace(b" York", b"") for record in records if b"New York" in record)
    assert f'"amount":{day.iloc[0]["amount"]:.2f},'.encode() in records[0]


def test_records_have_no_status_when_the_frame_has_none(day: pd.DataFrame) -> None:
    assert b"status" not in next(to_records(day.drop(columns="status")))


def test_a_file_of_soiled_rows_holds_every_kind_as_often_as_was_planted(day: pd.DataFrame) -> None:
    dirt = soil(day, rate=0.1, seed=4)
    planted = Counter(d.kind for d in dirt)
    assert set(planted) == set(FILE_KINDS)
    assert len(dirt) == round(0.1 * len(day))
    assert max(planted.values()) - min(planted.values()) <= 1
    woven = weave(day, dirt)
    assert len(woven) == len(day) + len(dirt)
    found = {
        "missing_id": woven["transaction_id"].isna(),
        "missing_user": woven["user_id"].isna(),
        "missing_amount": woven["amount"].isna(),
        "bad_timestamp": woven["timestamp"] == "yesterday evening",
        "impossible_date": woven["timestamp"].str.startswith("2026-02-30"),
        "year_one": woven["timestamp"].str.startswith("0001"),
        "text_amount": woven["amount"] == "twelve",
        "negative_amount": woven["amount"].str.startswith("-") == True,  # noqa: E712 (a missing amount is not True)
        "zero_amount": woven["amount"] == "0.00",
        "nan_amount": woven["amount"] == "nan",
        "subcent_amount": woven["amount"] == "12.345",
        "absurd_amount": woven["amount"].str.len() > 12,
        "unknown_device": woven["device_type"] == "fridge",
        "unknown_card": woven["card_type"] == "barter",
        "vpn_maybe": woven["is_vpn"] == "maybe",
        "empty_location": woven["location"] == "",
        "long_location": woven["location"].str.len() > 1_000,
        "duplicate": woven.duplicated(),
        "conflict": woven.duplicated("transaction_id") & ~woven.duplicated() & woven["transaction_id"].notna(),
    }
    assert {kind: int(rows.sum()) for kind, rows in found.items()} == planted


def test_soiling_keeps_every_clean_row_and_puts_the_dirt_right_after_its_own(day: pd.DataFrame) -> None:
    dirt = soil(day, rate=0.05, seed=9)
    woven = weave(day, dirt)
    dirty = {d.after + i + 1 for i, d in enumerate(dirt)}
    kept = woven.drop(index=list(dirty)).reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, weave(day, []))
    for kind, offset in (("duplicate", 0), ("conflict", 1)):
        position = next(d.after + i + 1 for i, d in enumerate(dirt) if d.kind == kind)
        before, after = pd.to_datetime(woven["timestamp"].iloc[[position - 1, position]])
        assert woven["transaction_id"][position] == woven["transaction_id"][position - 1]
        assert (after - before).total_seconds() == offset


def test_a_soiled_stream_carries_every_kind_and_every_clean_record(day: pd.DataFrame) -> None:
    dirt = soil(day, rate=0.1, seed=4, kinds=KINDS)
    records = list(weave_records(day, dirt))
    assert {d.kind for d in dirt} == set(KINDS)
    assert len(records) == len(day) + len(dirt)
    assert Counter(records) - Counter(d.payload for d in dirt) == Counter(to_records(day))
    by_kind = {d.kind: d.payload for d in dirt}
    for kind in ("truncated_json", "not_utf8"):
        with pytest.raises(ValueError, match=r"."):
            json.loads(by_kind[kind])
    assert isinstance(json.loads(by_kind["not_an_object"]), list)
    assert b'"amount":NaN' in by_kind["nan_amount"]
    assert not any(LABEL.encode() in record for record in records)


def test_a_duplicate_record_is_equal_byte_for_byte(day: pd.DataFrame) -> None:
    dirt = soil(day, rate=0.01, seed=2, kinds=["duplicate"])
    records = list(to_records(day))
    assert dirt
    assert all(d.payload == records[d.after] for d in dirt)


def test_a_file_refuses_dirt_that_only_a_stream_can_carry(day: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="truncated_json"):
        weave(day, soil(day, rate=0.01, seed=0, kinds=STREAM_KINDS))


def test_equal_seeds_soil_equally_and_a_rate_of_zero_soils_nothing(day: pd.DataFrame) -> None:
    assert [d.payload for d in soil(day, 0.02, 1)] == [d.payload for d in soil(day, 0.02, 1)]
    assert soil(day, 0, 1) == []
    with pytest.raises(BadInput, match="rate of dirty rows"):
        soil(day, 1.5, 1)


def test_the_shipped_sample_is_small_and_holds_both_labels_and_dirty_rows() -> None:
    path = Path(__file__).parents[2] / "data" / "samples" / "ecommerce-sample.csv"
    sample = pd.read_csv(path, dtype=str)
    assert path.stat().st_size < 200_000
    assert list(sample.columns) == list(COLUMNS)
    assert set(sample[LABEL]) == {"0", "1"}
    assert sample["transaction_id"].duplicated().sum() == 2


# What the contract's `validate` says of each kind; None: valid by itself, only its id has been seen before.
REASONS = {
    "missing_id": "id_missing",
    "missing_user": "entity_missing",
    "missing_amount": "amount_missing",
    "bad_timestamp": "timestamp_malformed",
    "impossible_date": "timestamp_malformed",
    "year_one": "timestamp_out_of_range",
    "text_amount": "amount_not_a_number",
    "negative_amount": "amount_negative",
    "zero_amount": "amount_out_of_range",
    "subcent_amount": "amount_precision",
    "absurd_amount": "amount_out_of_range",
    "unknown_device": "category_unknown",
    "unknown_card": "category_unknown",
    "vpn_maybe": "flag_malformed",
    "empty_location": "category_missing",
    "long_location": "category_malformed",
    "duplicate": None,
    "conflict": None,
    "truncated_json": "not_json",
    "not_utf8": "not_json",
    "not_an_object": "not_an_object",
}
# NaN is no JSON at all, but a number in a file.
IN_FILES = {**REASONS, "nan_amount": "amount_not_finite"}
IN_STREAMS = {**REASONS, "nan_amount": "not_json"}


def reason(outcome: Transaction | Rejected) -> str | None:
    return outcome.problems[0].code if isinstance(outcome, Rejected) else None


def test_the_contract_accepts_every_clean_record_and_names_what_is_wrong_with_every_dirty_one(
    day: pd.DataFrame,
) -> None:
    validator = Validator(load_contract("ecommerce"))
    dirt = soil(day, rate=0.1, seed=4, kinds=KINDS)
    assert {reason(validator.decode(record)) for record in to_records(day)} == {None}
    assert {d.kind: reason(validator.decode(d.payload)) for d in dirt} == IN_STREAMS


def test_the_contract_names_what_is_wrong_with_every_dirty_row_of_a_file(day: pd.DataFrame) -> None:
    contract = load_contract("ecommerce")
    dirt = soil(day, rate=0.1, seed=4)
    woven = weave(day, dirt)
    rows = [dict(zip(COLUMNS, cells, strict=True)) for cells in woven.itertuples(index=False, name=None)]
    reasons = [reason(Validator(contract).validate(record_of(contract, row))) for row in rows]
    dirty = {d.after + i + 1: d.kind for i, d in enumerate(dirt)}
    assert all(reasons[at] == IN_FILES[kind] for at, kind in dirty.items())
    assert {reason for at, reason in enumerate(reasons) if at not in dirty} == {None}

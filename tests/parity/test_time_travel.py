"""Law 3: nothing after a moment, and no label known after it, changes what was computed or trained before it."""

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.adapters.inputs.files import load_transactions
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.features.offline import offline_features
from fraudline.transactions.table import TransactionTable, from_transactions
from tests.parity.contracts import Draw, amounts, contracts, draws, transactions
from tests.unit.fitted import SMALL
from tests.unit.retrained import AS_OF, Retrained, frame, plan, retrain, shop

thorough = settings(max_examples=60, deadline=None)


@thorough
@given(contract=contracts(), drawn=draws(), data=st.data())
def test_whatever_comes_later_leaves_the_features_of_a_row_as_they_were(
    contract: Contract, drawn: list[Draw], data: st.DataObject
) -> None:
    made = transactions(contract, drawn)
    cut = data.draw(st.integers(0, len(made) - 1), label="cut")
    choose = data.draw(st.randoms(use_true_random=False))
    choices = amounts(contract)
    later = [
        msgspec.structs.replace(t, amount=choose.choice(choices), label=choose.choice([0, 1, None]))
        for t in made[cut + 1 :]
        if choose.random() < 0.7
    ]
    before = offline_features(from_transactions(contract, made))[: cut + 1]
    after = offline_features(from_transactions(contract, [*made[: cut + 1], *later]))[: cut + 1]
    assert before.tobytes() == after.tobytes()


@thorough
@given(contract=contracts(), drawn=draws(), data=st.data())
def test_a_label_not_known_yet_leaves_the_features_of_a_row_as_they_were(
    contract: Contract, drawn: list[Draw], data: st.DataObject
) -> None:
    table = from_transactions(contract, transactions(contract, drawn))
    shifts = data.draw(st.lists(st.integers(-2, 40), min_size=len(table), max_size=len(table)), label="days late")
    known_at = np.maximum(table.timestamp, table.known_at + np.array(shifts) * DAY)
    table = replace(table, known_at=known_at)
    cut = data.draw(st.integers(0, len(table) - 1), label="cut")
    unknown = known_at > table.effective_time[cut]
    flipped = replace(table, label=np.where(unknown, 1 - np.maximum(table.label, 0), table.label).astype(np.int8))
    assert offline_features(table)[: cut + 1].tobytes() == offline_features(flipped)[: cut + 1].tobytes()


# Retrains as of a day


@pytest.fixture(scope="module")
def transactions_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("in") / "transactions.csv"
    frame().to_csv(path, index=False)
    return path


def landed(*paths: Path) -> TransactionTable:
    return load_transactions(shop(), [str(path) for path in paths]).table


@pytest.fixture(scope="module")
def original(transactions_file: Path) -> Retrained:
    return retrain(landed(transactions_file), plan())


def assert_same_version(retrained: Retrained, original: Retrained) -> None:
    differing = [name for name in original.files if retrained.files.get(name) != original.files[name]]
    assert not differing
    assert retrained.manifest.version == original.manifest.version
    assert set(retrained.files) == set(original.files)


def test_every_candidate_gives_the_same_bytes_twice_picture_and_card_included(transactions_file: Path) -> None:
    first = retrain(landed(transactions_file), plan(), list(SMALL), draw=True)
    second = retrain(landed(transactions_file), plan(), list(SMALL), draw=True)
    assert_same_version(second, first)
    assert {"scorer.json", "model.joblib", "golden.jsonl", "evaluation.png", "model_card.md"} < set(first.files)


@pytest.mark.parametrize("name", ["logistic_smote", "boosted_trees"])
def test_sampling_is_seeded(name: str, transactions_file: Path) -> None:
    table = landed(transactions_file)
    first, second = (retrain(table, plan(), [name]) for _ in range(2))
    assert_same_version(second, first)
    assert retrain(table, plan(seed=1), [name]).manifest.version != first.manifest.version


def test_parquet_and_json_lines_give_the_version_of_the_csv(original: Retrained, tmp_path: Path) -> None:
    rows = frame()
    rows.to_parquet(tmp_path / "t.parquet", index=False)
    rows.to_json(tmp_path / "t.jsonl", orient="records", lines=True, double_precision=15)
    for name in ("t.parquet", "t.jsonl"):
        assert_same_version(retrain(landed(tmp_path / name), plan()), original)


def test_timestamps_as_timestamps_give_the_version_of_their_texts(original: Retrained, tmp_path: Path) -> None:
    rows = frame()
    rows["timestamp"] = pd.to_datetime(rows["timestamp"], utc=True)
    rows.to_parquet(tmp_path / "typed.parquet", index=False)
    assert_same_version(retrain(landed(tmp_path / "typed.parquet"), plan()), original)


def test_the_order_and_the_number_of_files_and_rows_change_nothing(original: Retrained, tmp_path: Path) -> None:
    shuffled = frame().sample(frac=1.0, random_state=3)
    shuffled.iloc[:3000].to_csv(tmp_path / "b.csv", index=False)
    shuffled.iloc[3000:].to_csv(tmp_path / "a.csv", index=False)
    assert_same_version(retrain(landed(tmp_path / "b.csv", tmp_path / "a.csv"), plan()), original)
    assert_same_version(retrain(landed(tmp_path), plan()), original)


def test_identical_copies_and_rows_that_are_no_transactions_change_nothing(original: Retrained, tmp_path: Path) -> None:
    rows = frame()
    bad = rows.iloc[[5, 900]].assign(transaction_id=["X1", "X2"], amount=-1.0)
    pd.concat([bad, rows, rows.iloc[::50]]).to_csv(tmp_path / "t.csv", index=False)
    assert_same_version(retrain(landed(tmp_path / "t.csv"), plan()), original)


def test_labels_that_were_not_known_as_of_the_day_change_nothing(original: Retrained, tmp_path: Path) -> None:
    rows = frame()
    labels = rows["is_fraud"].astype("Int64")
    due = pd.to_datetime(rows["timestamp"], utc=True) + timedelta(days=1)
    late = due > pd.Timestamp(AS_OF, tz="UTC")
    assert 300 < late.sum() < len(rows)
    rows.assign(is_fraud=labels.where(~late, 1 - labels)).to_csv(tmp_path / "flipped.csv", index=False)
    rows.assign(is_fraud=labels.where(~late)).to_csv(tmp_path / "unknown.csv", index=False)
    for name in ("flipped.csv", "unknown.csv"):
        assert_same_version(retrain(landed(tmp_path / name), plan()), original)


def test_transactions_after_the_day_change_nothing(original: Retrained, tmp_path: Path) -> None:
    rows = frame()
    after = pd.to_datetime(rows["timestamp"], utc=True) >= pd.Timestamp(AS_OF, tz="UTC")
    assert after.sum() > 300
    rows[~after].to_csv(tmp_path / "cut.csv", index=False)
    new = rows[after].assign(transaction_id=lambda r: "N" + r["transaction_id"], user_id="U0", amount=7.77)
    pd.concat([new, rows[~after]]).to_csv(tmp_path / "other.csv", index=False)
    for name in ("cut.csv", "other.csv"):
        assert_same_version(retrain(landed(tmp_path / name), plan()), original)


def test_a_label_that_was_known_does_change_the_version(original: Retrained, tmp_path: Path) -> None:
    rows, choose = frame(), random.Random(1)
    rows.loc[choose.randrange(2000, 4000), "is_fraud"] ^= 1
    rows.to_csv(tmp_path / "t.csv", index=False)
    assert retrain(landed(tmp_path / "t.csv"), plan()).manifest.version != original.manifest.version


def test_the_seed_and_the_day_are_part_of_a_version(original: Retrained, transactions_file: Path) -> None:
    table = landed(transactions_file)
    other_day = retrain(table, plan(as_of=AS_OF + timedelta(days=1)))
    assert other_day.manifest.version.startswith("2026-01-20-")
    assert retrain(table, plan(seed=9)).manifest.version != original.manifest.version

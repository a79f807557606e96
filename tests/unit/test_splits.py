"""The sets kept for an audit are those that the version was made of."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudline.adapters.inputs.files import load_transactions
from fraudline.training.challenger import Challenger
from fraudline.training.dataset import prepare
from fraudline.training.folds import folds
from fraudline.training.splits import split_files
from fraudline.transactions.table import TransactionTable
from tests.unit.retrained import frame, plan, retrain, shop


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> TransactionTable:
    path: Path = tmp_path_factory.mktemp("in") / "transactions.csv"
    frame().to_csv(path, index=False)
    table = load_transactions(shop(), [str(path)]).table
    return table.take(table.timestamp < plan().as_of)


def kept(known: TransactionTable, name: str) -> tuple[Challenger, dict[str, pa.Table]]:
    challenger = retrain(known, plan(), [name]).challenger
    files = split_files(challenger, prepare(known, plan()), plan())
    return challenger, {file: pq.read_table(io.BytesIO(data)) for file, data in files.items()}


def test_what_is_kept_is_what_landed_what_was_trained_on_and_what_was_tested_on(known: TransactionTable) -> None:
    challenger, sets = kept(known, "logistic")
    assert set(sets) == {"landed.parquet", "train.parquet", "test.parquet"}
    assert sets["landed.parquet"]["transaction_id"].to_pylist() == known.ids.to_pylist()
    train, test = sets["train.parquet"], sets["test.parquet"]
    assert train.num_rows == challenger.training["transactions"]
    assert sum(train["label"].to_pylist()) == challenger.training["frauds"]
    columns = train.drop_columns(["transaction_id", "label"])
    assert np.column_stack([column.to_numpy() for column in columns]).tobytes() == challenger.train_features.tobytes()
    newest = folds(prepare(known, plan()), plan())[-1]
    tested = (known.timestamp >= newest.test_begin) & (known.timestamp < newest.test_end)
    assert test["transaction_id"].to_pylist() == known.take(tested).ids.to_pylist()


@pytest.mark.parametrize(("name", "more"), [("logistic_smote", True), ("boosted_trees", False)])
def test_what_a_sampler_made_of_the_training_set_is_kept_too(known: TransactionTable, name: str, more: bool) -> None:
    _, sets = kept(known, name)
    label = np.array(sets["train.parquet"]["label"].to_pylist())
    resampled = np.array(sets["resampled.parquet"]["label"].to_pylist())
    # SMOTE adds frauds and keeps the honest rows; boosting keeps the frauds and leaves honest rows out.
    assert (resampled.sum() > label.sum()) == more
    assert ((resampled == 0).sum() < (label == 0).sum()) != more

"""A retrain's challenger beside the champion of the registry, each with the features it was made for."""

from pathlib import Path

import pytest

from fraudline.adapters.files import load_transactions
from fraudline.bundle import load_bundle
from fraudline.contract import Contract, contract_from
from fraudline.table import TransactionTable
from tasks.training import compare
from tests.unit.retrained import Retrained, frame, plan, retrain, shop


def landed(folder: Path, contract: Contract) -> TransactionTable:
    path = folder / "transactions.csv"
    frame().to_csv(path, index=False)
    table = load_transactions(contract, [str(path)]).table
    return table.take(table.timestamp < plan().as_of)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> TransactionTable:
    return landed(tmp_path_factory.mktemp("in"), shop())


@pytest.fixture(scope="module")
def made(table: TransactionTable) -> Retrained:
    return retrain(table, plan())


def test_without_a_champion_the_first_acceptable_model_is_promoted(made: Retrained, table: TransactionTable) -> None:
    assert compare(made.challenger, table, None, plan()).action == "promote"


def test_the_same_model_again_is_not_better_than_itself(made: Retrained, table: TransactionTable) -> None:
    champion = load_bundle(made.files.__getitem__, made.manifest.version)
    decision = compare(made.challenger, table, champion, plan())
    assert decision.action == "reject"
    assert decision.metrics["transactions"] == len(made.challenger.recent_rows)


def test_a_challenger_of_other_features_waits_for_its_profiles(made: Retrained, tmp_path: Path) -> None:
    values = shop().to_json()
    (user,) = values["entities"]
    wider = contract_from({**values, "entities": [{**user, "windows": ["1d", "7d"]}]}, "wider")
    table = landed(tmp_path, wider)
    challenger = retrain(table, plan(wider)).challenger
    champion = load_bundle(made.files.__getitem__, made.manifest.version)
    decision = compare(challenger, table, champion, plan(wider))
    assert decision.action == "shadow"
    assert "features changed" in decision.reason

"""A retrain's challenger beside the champion of the registry, each with the features it was made for."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from fraudline.adapters.inputs.files import load_transactions
from fraudline.adapters.registry import Registry, open_registry
from fraudline.clock import day_start
from fraudline.contract import Contract, contract_from
from fraudline.errors import Tampered
from fraudline.model.bundle import MANIFEST, load_bundle, seal
from fraudline.transactions.table import TransactionTable
from tasks.training import Incumbent, champion, compare
from tests.unit.retrained import AS_OF, Retrained, frame, plan, retrain, shop


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


def crowned(version: Retrained, location: Path) -> Registry:
    registry = open_registry(str(location), version.manifest.contract["name"])
    registry.publish(version.manifest.version, version.files)
    registry.promote(version.manifest.version, "a test", {}, "a test", datetime.now(UTC))
    return registry


def test_the_same_model_again_is_not_called_worse_for_what_the_champion_remembers(
    made: Retrained, table: TransactionTable, tmp_path: Path
) -> None:
    decision = compare(made.challenger, table, champion(crowned(made, tmp_path), plan()), plan())
    assert decision.action == "reject"
    assert "only 0 of the transactions to compare on, 0 of them fraud, are new to the champion" in decision.reason


def test_both_are_compared_on_what_the_champion_has_not_learned_from(
    made: Retrained, table: TransactionTable, tmp_path: Path
) -> None:
    earlier = plan(as_of=AS_OF - timedelta(days=2))
    past = retrain(table, earlier)
    incumbent = champion(crowned(past, tmp_path), plan())
    decision = compare(made.challenger, table, incumbent, plan())
    new = made.challenger.recent.time >= day_start(AS_OF - timedelta(days=2)) - shop().label_delay
    assert decision.metrics["transactions"] == new.sum()
    assert 0 < new.sum() < len(new)


def test_a_challenger_of_other_features_waits_for_its_profiles(made: Retrained, tmp_path: Path) -> None:
    values = shop().to_json()
    (user,) = values["entities"]
    wider = contract_from({**values, "entities": [{**user, "windows": ["1d", "7d"]}]}, "wider")
    table = landed(tmp_path, wider)
    challenger = retrain(table, plan(wider)).challenger
    decision = compare(challenger, table, champion(crowned(made, tmp_path), plan(wider)), plan(wider))
    assert decision.action == "shadow"
    assert "features changed" in decision.reason


def test_a_release_whose_features_are_others_than_the_champions_can_retrain(
    made: Retrained, table: TransactionTable, tmp_path: Path
) -> None:
    older = msgspec.structs.replace(made.manifest, feature_hash="0123456789abcdef")
    manifest, files = seal(older, {name: data for name, data in made.files.items() if name != MANIFEST})
    with pytest.raises(Tampered, match="other features than this release computes"):
        load_bundle(files.__getitem__, manifest.version)
    incumbent = champion(crowned(Retrained(manifest, files, made.challenger), tmp_path), plan())
    assert incumbent == Incumbent(manifest.version, None)
    assert compare(made.challenger, table, incumbent, plan()).action == "shadow"

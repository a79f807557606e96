"""A contract is refused with one sentence that names what is wrong; an accepted one says everything else."""

import copy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import msgspec
import pytest

from fraudline import contract as module
from fraudline.contract import SHIPPED, Contract, contract_from, load_contract
from fraudline.durations import DAY
from fraudline.errors import BadInput
from fraudline.features import constants, definition
from fraudline.features.definition import MAX_FEATURES, feature_set
from fraudline.realtime.config import config_from

ROOT = Path(__file__).parents[2]
Values = dict[str, Any]
Change = Callable[[Values], None]


def values_of(name: str) -> Values:
    return tomllib.loads((ROOT / "data" / "contracts" / f"{name}.toml").read_text(encoding="utf-8"))


def changed(change: Change, name: str = "cards") -> Contract:
    values = copy.deepcopy(values_of(name))
    change(values)
    return contract_from(values, "my.toml")


def setting(*path: str | int, to: object) -> Change:
    """A change that sets one value."""

    def change(values: Values) -> None:
        part: Any = values
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = to

    return change


def adding(table: str, **values: object) -> Change:
    return lambda contract: contract.setdefault(table, []).append(values)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_contract_is_accepted_and_survives_its_bundle(name: str) -> None:
    contract = load_contract(name)
    assert contract.name == name
    embedded = msgspec.json.decode(msgspec.json.encode(contract.to_json()))
    assert contract_from(embedded, "version X") == contract


def test_the_shipped_contracts_say_what_people_were_promised() -> None:
    shop, cards = load_contract("ecommerce"), load_contract("cards")
    assert (shop.label_delay, shop.training_window) == (7 * DAY, 28 * DAY)
    assert (cards.label_delay, cards.training_window) == (7 * DAY, 7 * DAY)
    assert [e.name for e in shop.entities] == ["user"]
    assert [(e.name, e.risk) for e in cards.entities] == [("card", False), ("terminal", True)]
    assert shop.required_columns == (
        *("transaction_id", "timestamp", "amount", "user_id", "device_type", "location", "card_type", "is_vpn"),
    )
    assert shop.known_columns == {*shop.required_columns, "is_fraud", "status"}
    assert shop.timezone == cards.timezone == "UTC"


REFUSED: dict[str, tuple[Change, str]] = {
    "an unknown key": (setting("colour", to="red"), "unknown field `colour`;"),
    "a misspelt key": (setting("trainig", to=1), "unknown field `trainig` (is `training` meant?)"),
    "a misspelt key in a table": (
        setting("entities", 1, "lagg", to="1h"),
        "unknown field `lagg` - at `$.entities[1]` (is `lag` meant?)",
    ),
    "a currency with a point": (setting("amount", "currency", to="Fr."), "Expected 2 to 8 letters, such as CHF"),
    "a column with a control character": (setting("id", "column", to="a\x1b"), "Expected text without control"),
    "a delay in words": (setting("label", "delay", to="5 days"), "such as 12h or 7d - at `$.label.delay`"),
    "an unknown key in a table": (setting("amount", "mox", to=1), "unknown field `mox`"),
    "a missing table": (lambda v: v.pop("amount"), "missing required field `amount`"),
    "a missing column": (lambda v: v["id"].pop("column"), "missing required field `column`"),
    "a text for a number": (setting("amount", "max", to="much"), "Expected `float`, got `str`"),
    "an empty column": (setting("id", "column", to=""), "length >= 1"),
    "a name with a blank": (setting("entities", 0, "name", to="my card"), "a name of small letters"),
    "a name in capitals": (setting("entities", 0, "name", to="Card"), "a name of small letters"),
    "a name that ends in a newline": (setting("entities", 0, "name", to="card\n"), "a name of small letters"),
    "a window of minutes": (setting("entities", 0, "windows", to=["30m"]), "whole hours or days"),
    "a window that ends in a newline": (setting("entities", 0, "windows", to=["1h\n"]), "whole hours or days"),
    "a column used twice": (setting("amount", "column", to="TX_DATETIME"), "column 'TX_DATETIME' is used twice"),
    "the label among the categories": (
        adding("categories", name="label", column="TX_FRAUD"),
        "column 'TX_FRAUD' is used twice",
    ),
    "a name used twice": (adding("flags", name="card", column="x"), "the name 'card' is used twice"),
    "an empty category value": (adding("categories", name="c", column="x", values=[""]), "category 'c' has a value"),
    "a category value too long": (adding("categories", name="c", column="x", values=["x" * 65]), "too long"),
    "a category value of control characters": (
        adding("categories", name="c", column="x", values=["a\tb"]),
        "not printable",
    ),
    "a category value twice": (adding("categories", name="c", column="x", values=["a", "a"]), "lists a value twice"),
    "units that are none": (setting("amount", "minor_units", to=12), "amount.minor_units is 12: use 1, 10, 100"),
    "amounts beyond exact sums": (
        setting("amount", "max", to=2.0**40),
        "min < max <= 2**40 minor units, which are 10,995,116,277.76;",
    ),
    "a maximum that is not a number": (setting("amount", "max", to=float("nan")), "min < max"),
    "a negative minimum": (setting("amount", "min", to=-1.0), "0 <= min"),
    "a minimum above the maximum": (setting("amount", "min", to=2e6), "min < max"),
    "a minimum that is the maximum": (setting("amount", "min", to=load_contract("cards").amount.max), "min < max"),
    "no alerts a day": (setting("alerts", "per_day", to=0), "alerts.per_day is at least 1"),
    "free reviews": (setting("alerts", "review_cost", to=0.0), "alerts.review_cost is above 0"),
    "a review cost that is not a number": (setting("alerts", "review_cost", to=float("nan")), "review_cost is above 0"),
    "reviews of infinite cost": (setting("alerts", "review_cost", to=float("inf")), "review_cost is above 0"),
    "an unknown rule": (setting("alerts", "rule", to="luck"), "Invalid enum value 'luck'"),
    "no entities": (setting("entities", to=[]), "entities is empty"),
    "a partition entity with a lag": (setting("entities", 0, "lag", to="1h"), "'card' partitions the stream"),
    "a partition entity with risk": (setting("entities", 0, "risk", to=True), "'card' partitions the stream"),
    "no windows": (setting("entities", 0, "windows", to=[]), "'card' needs windows in ascending order, such as"),
    "windows in no order": (setting("entities", 0, "windows", to=["7d", "1d"]), "ascending order"),
    "one window under two names": (setting("entities", 0, "windows", to=["24h", "1d"]), "ascending order"),
    "a window of a day and a half": (setting("entities", 0, "windows", to=["36h"]), "over a day are whole days"),
    "a window of a hundred days": (setting("entities", 0, "windows", to=["100d"]), "90 days at most"),
    "a lag beyond the label delay": (setting("entities", 1, "lag", to="8d"), "lag is longer than the label delay"),
    "a lag an hour beyond the label delay": (setting("entities", 1, "lag", to="169h"), "longer than the label delay"),
    "labels within minutes": (setting("label", "delay", to="0h"), "whole hours or days"),
    "a training window of hours": (setting("training", "window", to="23h"), "training.window is at least 1d"),
    "a zone of nowhere": (setting("timezone", to="Mars/Olympus"), "timezone 'Mars/Olympus' is not one"),
    "a zone that is a path": (setting("timezone", to="../../etc/passwd"), "an Area/City of the tz database"),
    "an empty zone": (setting("timezone", to=""), "an Area/City of the tz database"),
    "whatever zone a machine is in": (setting("timezone", to="localtime"), "an Area/City of the tz database"),
    "a zone that some machines lack": (setting("timezone", to="posix/Europe/Paris"), "an Area/City"),
    "a zone with leap seconds": (setting("timezone", to="right/UTC"), "an Area/City of the tz database"),
}


@pytest.mark.parametrize(
    "change",
    [
        setting("entities", 0, "windows", to=["1h", "90d"]),
        setting("entities", 1, "lag", to="168h"),
        setting("amount", "max", to=2.0**40 / 100),
        setting("training", "window", to="1d"),
    ],
)
def test_a_contract_may_go_to_its_very_limits(change: Change) -> None:
    assert changed(change).name == "cards"


def test_a_contract_may_make_as_many_features_as_there_may_be_and_not_one_more() -> None:
    def features(count: int) -> int:
        values = [f"v{number}" for number in range(count)]
        return len(feature_set(changed(adding("categories", name="c", column="x", values=values))).names)

    most = MAX_FEATURES - features(1) + 1
    assert features(most) == MAX_FEATURES
    with pytest.raises(BadInput, match=f"makes over {MAX_FEATURES} features: list fewer values or windows"):
        features(most + 1)


def test_every_area_and_city_is_a_zone() -> None:
    zones = [zone for zone in available_timezones() if "/" in zone]
    assert len(zones) > 400
    for zone in (*zones, "UTC"):
        assert changed(setting("timezone", to=zone)).timezone == zone


def test_a_contract_of_ones_own_is_known_by_its_name_once_it_lies_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the image carries it; flows, command line and function take the same setting then."""
    text = (ROOT / "data/contracts/cards.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('name = "cards"', 'name = "mine"'))
    (tmp_path / "yours.toml").write_text(text)
    monkeypatch.setattr(module, "_FOLDER", tmp_path)
    monkeypatch.setattr(module, "SHIPPED", ("mine", "yours"))
    mine = load_contract("mine")
    assert mine == load_contract(str(tmp_path / "mine.toml"))
    assert config_from({"FRAUDLINE_CONTRACT": "mine"}).contract == mine.name
    with pytest.raises(BadInput, match=r"yours.toml calls itself 'cards': call the file and the contract alike"):
        load_contract("yours")
    with pytest.raises(BadInput, match="no contract 'theirs': name a TOML file or one of mine, yours"):
        load_contract("theirs")


@pytest.mark.parametrize(("change", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_a_contract_is_refused_with_its_reason(change: Change, sentence: str) -> None:
    with pytest.raises(BadInput) as refusal:
        changed(change)
    text = str(refusal.value)
    assert text.startswith("my.toml: ")
    assert sentence in text
    assert text.endswith("correct the contract, see data/contracts/ecommerce.toml")
    assert "\n" not in text.replace("\\n", "")


@pytest.mark.parametrize("name", ["amount", "hour", "is_night", "card_usual", "terminal_run", "terminal_count_1d"])
def test_a_flag_called_like_a_feature_is_refused_where_features_are_made(name: str) -> None:
    contract = changed(adding("flags", name=name, column="x"))
    with pytest.raises(BadInput, match=f"contract 'cards' names feature '{name}' twice: rename"):
        feature_set(contract)


@pytest.mark.parametrize("values", [None, [], "cards", 5, {}])
def test_what_is_no_contract_at_all_is_refused(values: object) -> None:
    with pytest.raises(BadInput, match=r"my\.toml"):
        contract_from(values, "my.toml")


def test_a_contract_that_is_not_there_is_named_with_the_ones_that_are() -> None:
    with pytest.raises(BadInput, match=r"no contract 'ecomerce': name a TOML file or one of cards, ecommerce"):
        load_contract("ecomerce")


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"[id]\n[id]\n"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"mine\.toml' cannot be read as TOML"):
        load_contract(str(path))


def test_a_folder_is_no_contract(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read as TOML"):
        load_contract(str(tmp_path))


def test_a_contract_from_a_file_is_the_same_as_from_its_values(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes((ROOT / "data" / "contracts" / "cards.toml").read_bytes())
    assert load_contract(str(path)) == load_contract("cards")


# The feature hash names the generation of profiles.

OTHER_FEATURES: dict[str, Change] = {
    "a window": setting("entities", 0, "windows", to=["1d", "7d", "14d"]),
    "a lagged entity's window": setting("entities", 1, "windows", to=["2d", "7d", "14d", "30d"]),
    "the lag": setting("entities", 1, "lag", to="2h"),
    "risk": setting("entities", 1, "risk", to=False),
    "the label delay": setting("label", "delay", to="5d"),
    "the time zone": setting("timezone", to="Europe/Rome"),
    "the minor unit": setting("amount", "minor_units", to=1000),
    "a category": adding("categories", name="c", column="x"),
    "a category's values": adding("categories", name="c", column="x", values=["a", "b"]),
    "a flag": adding("flags", name="f", column="x"),
    "an entity's name": setting("entities", 1, "name", to="shop"),
}
SAME_FEATURES: dict[str, Change] = {
    "the description": setting("description", to="other"),
    "the currency": setting("amount", "currency", to="USD"),
    "the alert budget": setting("alerts", "per_day", to=7),
    "the training window": setting("training", "window", to="14d"),
    "the largest amount": setting("amount", "max", to=5.0),
    "a column": setting("entities", 0, "column", to="CARD"),
}


def test_whatever_changes_a_feature_changes_the_feature_hash() -> None:
    hashes = {name: feature_set(changed(change)).hash for name, change in OTHER_FEATURES.items()}
    assert len({*hashes.values(), feature_set(load_contract("cards")).hash}) == len(hashes) + 1, hashes


@pytest.mark.parametrize("change", SAME_FEATURES.values(), ids=SAME_FEATURES.keys())
def test_what_changes_no_feature_keeps_the_generation_of_profiles(change: Change) -> None:
    assert feature_set(changed(change)).hash == feature_set(load_contract("cards")).hash


@pytest.mark.parametrize("constant", sorted(name for name in vars(constants) if name.isupper() and name != "DAY"))
def test_every_number_that_features_depend_on_is_in_the_feature_hash(
    constant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = load_contract("cards")
    features = feature_set(contract)
    monkeypatch.setattr(constants, constant, getattr(constants, constant) + 1)
    assert definition._hash(contract, features.features) != features.hash


@pytest.mark.parametrize("name", SHIPPED)
def test_every_feature_has_its_own_name_a_sentence_and_a_topic(name: str) -> None:
    features = feature_set(load_contract(name)).features
    assert len({feature.name for feature in features}) == len(features)
    assert len({feature.sentence for feature in features}) == len(features)
    for feature in features:
        assert feature.sentence
        assert "{" not in feature.sentence
        assert feature.topic

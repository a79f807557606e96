"""A contract comes from a file that somebody else may have written: nothing in it is executed, and nothing hangs."""

import time
from pathlib import Path
from typing import Any

import pytest

from fraudline.contract import contract_from, load_contract
from fraudline.errors import BadInput
from fraudline.features.definition import MAX_FEATURES, feature_set

CODE = [
    "__import__('os')",
    "__import__",
    "a); import os; (b",
    "x\n def y",
    "a.b",
    "a b",
    "_a",
    "A",
    "ａ",  # a full-width letter, which Python would take for a plain one
    "",
    "a" * 42,
    "user\n",
]
PLACES = [("entities", {"column": "e", "windows": ["1h"]}), ("categories", {"column": "e"}), ("flags", {"column": "e"})]


def with_part(kind: str, part: dict[str, Any]) -> dict[str, Any]:
    values = load_contract("ecommerce").to_json()
    return {**values, kind: [*values[kind], part]}


@pytest.mark.parametrize("name", CODE)
@pytest.mark.parametrize(("kind", "part"), PLACES, ids=[kind for kind, _ in PLACES])
def test_a_name_that_could_be_more_than_a_name_never_comes_near_an_expression(kind: str, part: Any, name: str) -> None:
    with pytest.raises(BadInput, match="correct the contract"):
        contract_from(with_part(kind, {**part, "name": name}), "poisoned.toml")


@pytest.mark.parametrize("window", ["1h or 1", "1h\n", "h", "1", "-1h", "1e9h", "1h1h", "99999d"])
def test_a_window_that_could_be_more_than_a_window_is_refused(window: str) -> None:
    with pytest.raises(BadInput, match="correct the contract"):
        contract_from(with_part("entities", {"name": "x", "column": "e", "windows": [window]}), "poisoned.toml")


def test_values_of_categories_are_told_and_compared_but_never_compiled() -> None:
    value = "x\") or __import__('os').system('touch /tmp/owned') or (\""
    contract = contract_from(with_part("categories", {"name": "c", "column": "e", "values": [value]}), "poisoned.toml")
    expressions = [feature.expression for feature in feature_set(contract).features]
    assert not any("import" in expression for expression in expressions)
    assert "indicator(c_value == 0)" in expressions


@pytest.mark.parametrize("keyword", ["class", "def", "import", "lambda", "none", "true", "exec"])
def test_names_that_mean_something_to_python_mean_nothing_here(keyword: str) -> None:
    for kind, part in PLACES:
        contract = contract_from(with_part(kind, {**part, "name": keyword}), "odd.toml")
        feature_set(contract)


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\nb", "a\x00b", "a\x9bb"])
def test_texts_that_a_terminal_would_act_upon_are_refused(text: str) -> None:
    values = load_contract("ecommerce").to_json()
    for poisoned in (
        {**values, "description": text},
        {**values, "id": {"column": text}},
        {**values, "amount": {**values["amount"], "currency": text}},
    ):
        with pytest.raises(BadInput, match=r"Expected (text without control characters|2 to 8 letters)"):
            contract_from(poisoned, "poisoned.toml")


POISONED = {
    "brackets in brackets": "x = " + "[" * 100_000,
    "tables in tables": "x = " + "{a=" * 100_000,
    "a number of ten thousand digits": "x = " + "9" * 10_000,
    "a key of thousands of parts": ".".join(["a"] * 5_000) + " = 1",
    "a megabyte": "#" * 2**20,
    "binary": "\x00\x01",
}


@pytest.mark.parametrize("text", POISONED.values(), ids=POISONED.keys())
def test_a_file_made_to_break_its_reader_is_refused_in_a_sentence_and_soon(text: str, tmp_path: Path) -> None:
    path = tmp_path / "poisoned.toml"
    path.write_text(text)
    begin = time.perf_counter()
    with pytest.raises(BadInput, match=r"poisoned\.toml"):
        load_contract(str(path))
    assert time.perf_counter() - begin < 10


def test_a_contract_that_never_ends_is_not_read_to_its_end() -> None:
    with pytest.raises(BadInput, match="it has more than 262144 bytes"):
        load_contract("/dev/zero")


def test_more_features_than_a_model_can_hold_are_refused() -> None:
    many = [f"v{number}" for number in range(MAX_FEATURES)]
    contract = contract_from(with_part("categories", {"name": "c", "column": "e", "values": many}), "poisoned.toml")
    with pytest.raises(BadInput, match="makes over 2000 features: list fewer values or windows"):
        feature_set(contract)


def test_a_pattern_that_backtracks_for_ever_does_not() -> None:
    """The patterns of names and durations have no repetition within a repetition."""
    begin = time.perf_counter()
    for text in ("a" * 200_000 + "!", "1" * 200_000 + "h"):
        with pytest.raises(BadInput):
            contract_from(with_part("entities", {"name": text, "column": "e", "windows": [text]}), "poisoned.toml")
    assert time.perf_counter() - begin < 1

"""Suites: kept as JSON that people edit, started from the contract, refused with one sentence where they are wrong."""

import json
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from expectations import load_suite, suite_path, write_draft
from fraudline.contract import SHIPPED, Contract, load_contract
from fraudline.decision import Decision
from fraudline.errors import BadInput
from fraudline.quality.check import check, check_decisions
from fraudline.quality.draft import draft
from fraudline.quality.measures import MEASURES
from fraudline.quality.suite import STAGES, About, Expectation, Suite, decode_suite, encode_suite
from fraudline.transactions.landed import Landed
from fraudline.transactions.table import UNKNOWN


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", SHIPPED)
def test_every_stage_of_a_shipped_contract_has_a_suite_that_began_as_its_draft(name: str, stage: str) -> None:
    contract = load_contract(name)
    kept = decode_suite(suite_path(contract, stage).read_bytes(), name)
    drafted = {expectation.meta.name for expectation in draft(contract, stage).expectations}
    assert drafted <= {expectation.meta.name for expectation in kept.expectations}
    assert all(expectation.meta.why for expectation in kept.expectations)
    assert {expectation.column for expectation in kept.on("window")} <= MEASURES.keys()


def test_a_kept_suite_is_written_as_the_draft_is_so_that_a_review_shows_changes_only() -> None:
    kept = list(suite_path(load_contract("cards"), "landed").parent.parent.glob("*/*.json"))
    assert kept
    for path in kept:
        assert path.read_bytes() == encode_suite(decode_suite(path.read_bytes(), str(path)))


def test_a_contract_without_a_suite_gets_its_draft_and_a_file_goes_before_both(
    contract: Contract, tmp_path: Path
) -> None:
    own = msgspec.structs.replace(contract, name="own_shop")
    assert load_suite(own, "landed") == draft(own, "landed")
    file = tmp_path / "suite.json"
    file.write_bytes(encode_suite(Suite("mine", (), draft(own, "landed").meta)))
    assert load_suite(own, "landed", file).name == "mine"


def test_a_sample_draws_bounds_around_what_it_shows(contract: Contract, landed_clean: Landed) -> None:
    drafted = {e.meta.name: e.kwargs for e in draft(contract, "training", landed_clean).expectations}
    median = np.median(landed_clean.table.amount) / 100
    bounds = drafted["amounts have the usual size"]
    assert bounds["min_value"] < median / 5 < 5 * median < bounds["max_value"]
    assert check(landed_clean, contract, "training", draft(contract, "training", landed_clean)).failures == ()


def test_a_draft_is_written_once_and_never_over_what_a_person_edited(
    contract: Contract, landed_clean: Landed, tmp_path: Path
) -> None:
    file = tmp_path / "suites" / "landed.json"
    assert write_draft(contract, "landed", landed_clean, file) == file
    assert load_suite(contract, "landed", file) == draft(contract, "landed", landed_clean)
    file.write_text("edited")
    with pytest.raises(BadInput, match="exists and may have been edited"):
        write_draft(contract, "landed", landed_clean, file)
    assert file.read_text() == "edited"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no expectation suite"),
        ('{"name": "x", "expectations": []}', "is no expectation suite"),
        ('{"name": "x", "expectations": [], "meta": {"contract": "e", "stage": "lunch"}}', "lunch"),
    ],
)
def test_a_malformed_suite_is_refused_by_name(tmp_path: Path, contract: Contract, text: str, message: str) -> None:
    file = tmp_path / "suite.json"
    file.write_text(text)
    with pytest.raises(BadInput, match=message) as refused:
        load_suite(contract, "landed", file)
    assert str(file) in str(refused.value)


def test_a_suite_that_is_not_there_is_refused(contract: Contract, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_suite(contract, "landed", tmp_path / "none.json")


def test_two_expectations_of_one_name_are_refused(contract: Contract) -> None:
    suite = draft(contract, "landed")
    doubled = msgspec.structs.replace(suite, expectations=suite.expectations * 2)
    with pytest.raises(BadInput, match="two expectations named 'every device_type appears'"):
        decode_suite(encode_suite(doubled), "suite.json")


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        (Expectation("expect_wonders", {"column": "amount"}, About("wonders")), "'wonders' cannot be judged"),
        (
            Expectation("expect_column_values_to_be_between", {"column": "amount", "min_val": 0}, About("slip")),
            "'slip' cannot be judged: min_val: extra fields not permitted; correct it",
        ),
        (
            Expectation("expect_column_values_to_not_be_null", {"column": "shoe_size"}, About("shoes")),
            "'shoes' of suite 'mine' asks for 'shoe_size'",
        ),
        (
            Expectation("expect_column_values_to_be_between", {"column": "luck", "min_value": 0}, About("x", "window")),
            "'x' of suite 'mine' asks for 'luck'",
        ),
    ],
)
def test_an_expectation_that_cannot_be_judged_is_named(
    contract: Contract, landed_clean: Landed, expectation: Expectation, message: str
) -> None:
    suite = Suite("mine", (expectation,), draft(contract, "landed").meta)
    with pytest.raises(BadInput, match=message):
        check(landed_clean, contract, "landed", suite)


def test_a_suite_of_another_contract_or_stage_is_refused(contract: Contract, landed_clean: Landed) -> None:
    with pytest.raises(BadInput, match="is for landed data of contract 'cards'"):
        check(landed_clean, contract, "landed", load_suite(load_contract("cards"), "landed"))
    with pytest.raises(BadInput, match="not for landed"):
        check(landed_clean, contract, "landed", load_suite(contract, "training"))


def test_rows_that_fail_an_expectation_are_all_left_out_of_training_and_stay_history(
    contract: Contract, landed_clean: Landed
) -> None:
    rule = Expectation(
        "expect_column_values_to_be_between",
        {
            "column": "amount",
            "max_value": 20,
            "row_condition": {
                "type": "comparison",
                "column": {"name": "card_type"},
                "operator": "==",
                "parameter": "debit",
            },
        },
        About("debit cards pay little"),
    )
    result = check(landed_clean, contract, "training", Suite("mine", (rule,), draft(contract, "training").meta))
    table = landed_clean.table
    debit = table.categories[2].equal_to("debit")
    expected = np.flatnonzero(debit & (table.amount > 2_000))
    assert len(expected) > 1_000
    assert result.excluded.tolist() == expected.tolist()
    assert result.valid == len(table)
    assert result.passed
    named = [[problem.code for problem in problems] for problems in result.problems_by_position().values()]
    assert set(map(tuple, named)) == {("debit cards pay little",)}


@pytest.mark.parametrize(
    ("type_", "column", "told"),
    [
        ("expect_column_distinct_values_to_be_in_set", "card_type", "with credit, debit"),
        ("expect_column_distinct_values_to_equal_set", "card_type", "without barter and with credit, debit"),
        ("expect_column_distinct_values_to_be_in_set", "user_id", "with U0•••"),
        ("expect_column_most_common_value_to_be_in_set", "user_id", "U0•••"),
    ],
)
def test_values_that_a_column_should_not_show_are_told_and_those_of_people_masked(
    contract: Contract, landed_clean: Landed, type_: str, column: str, told: str
) -> None:
    kwargs = {"column": column, "value_set": ["barter", "prepaid"]}
    suite = msgspec.structs.replace(
        draft(contract, "landed"), expectations=(Expectation(type_, kwargs, About("only these")),)
    )
    result = check(landed_clean, contract, "landed", suite)
    (failure,) = result.critical_failures
    assert failure.seen.startswith(told)
    assert not len(result.excluded)
    assert not set(re.findall(r"U\d{6}", failure.sentence))


def test_a_share_of_failing_rows_is_of_those_that_have_a_value(contract: Contract, landed_clean: Landed) -> None:
    table = landed_clean.table
    label = table.label.copy()
    label[: len(table) // 2] = UNKNOWN
    known = replace(table, label=label, known_at=table.timestamp)
    rule = Expectation(
        "expect_column_values_to_be_between", {"column": "hours_to_label", "min_value": 1}, About("not at once")
    )
    suite = msgspec.structs.replace(draft(contract, "labels"), expectations=(rule,))
    (failure,) = check(known, contract, "labels", suite).failures
    assert failure.observed == 1.0


def test_rows_within_what_an_expectation_tolerates_are_not_left_out(contract: Contract, landed_clean: Landed) -> None:
    about = About("amounts are small")
    rule = Expectation(
        "expect_column_values_to_be_between", {"column": "amount", "max_value": 500, "mostly": 0.9}, about
    )
    result = check(landed_clean, contract, "landed", Suite("mine", (rule,), draft(contract, "landed").meta))
    assert result.expectations[0].observed > 0
    assert len(result.excluded) == 0


def test_every_transaction_has_a_decision_that_is_held_to_its_own_threshold(
    contract: Contract, landed_clean: Landed
) -> None:
    landed = Landed(4, landed_clean.table.take(slice(0, 4)), ())
    ids = landed.table.ids.to_pylist()

    def decision(id_: str, score: float, is_fraud: bool) -> Decision:
        return Decision(
            id_, "stream", score, is_fraud, 0.5, "v1", (), 10, 10, {"user": "U1"}, 100, b"", "p", "", 20, b"d"
        )

    right = {id_: decision(id_, score, score >= 0.5) for id_, score in zip(ids, (0.7, 0.5, 0.2, 0.0), strict=True)}
    suite = load_suite(contract, "decisions")
    assert check_decisions(landed, right, suite).failures == ()
    wrong = {**right, ids[1]: decision(ids[1], 0.5, False)}
    del wrong[ids[3]]
    failed = {o.name: o.positions.tolist() for o in check_decisions(landed, wrong, suite).critical_failures}
    assert failed == {
        "every transaction has its decision": [3],
        "a flag is a score at or above the threshold": [1],
    }


def test_a_suite_is_great_expectations_own_json() -> None:
    from great_expectations.core import ExpectationSuite

    values = json.loads(suite_path(load_contract("ecommerce"), "training").read_bytes())
    suite = ExpectationSuite(**{name: values[name] for name in ("name", "expectations", "meta")})
    assert len(suite.expectations) == len(values["expectations"])
    assert {e.severity.value for e in suite.expectations} == {"critical", "warning"}


def test_the_readme_tells_every_measure_as_it_is() -> None:
    readme = (suite_path(load_contract("cards"), "landed").parent.parent / "README.md").read_text()
    rows = [line for line in readme.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {measure.sentence} | {measure.unit} |" for name, measure in MEASURES.items()]

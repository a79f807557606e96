"""A hundred thousand rows with every kind of dirt: the account balances, each one is found, no good row is taken."""

from collections import Counter
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from fraudline.adapters.inputs.files import load_transactions
from fraudline.adapters.inputs.quarantine import BatchQuarantine
from fraudline.adapters.quality_report import run_quality
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.contract import Contract
from fraudline.quality.draft import draft
from fraudline.quality.suite import About, Expectation, Suite, encode_suite
from fraudline.simulate import FILE_KINDS, Dirt, Population, simulate, soil, weave
from fraudline.transactions.landed import Landed

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
    "nan_amount": "amount_not_finite",
    "subcent_amount": "amount_precision",
    "absurd_amount": "amount_out_of_range",
    "unknown_device": "category_unknown",
    "unknown_card": "category_unknown",
    "vpn_maybe": "flag_malformed",
    "empty_location": "category_missing",
    "long_location": "category_malformed",
    "conflict": "conflicting_id",
}


@pytest.fixture(scope="module")
def planted() -> tuple[pd.DataFrame, list[Dirt]]:
    clean = simulate(Population(users=3_000, seed=3)).head(98_000)
    dirt = soil(clean, 2_000 / len(clean), seed=4)
    return weave(clean, dirt), dirt


@pytest.fixture(scope="module")
def landed(
    contract: Contract, planted: tuple[pd.DataFrame, list[Dirt]], tmp_path_factory: pytest.TempPathFactory
) -> Landed:
    path = tmp_path_factory.mktemp("planted") / "planted.csv"
    planted[0].to_csv(path, index=False)
    return load_transactions(contract, [str(path)])


def test_valid_quarantined_and_duplicates_are_all_rows_exactly(
    landed: Landed, planted: tuple[pd.DataFrame, list[Dirt]]
) -> None:
    frame, dirt = planted
    assert len(frame) == landed.rows == 100_000
    assert len(landed.table) + len(landed.rejects) + landed.duplicates == landed.rows
    assert len(landed.table) == 98_000
    assert landed.duplicates == sum(d.kind == "duplicate" for d in dirt)


def test_every_planted_row_is_found_with_its_reason_and_no_good_row_is_taken(
    landed: Landed, planted: tuple[pd.DataFrame, list[Dirt]]
) -> None:
    _, dirt = planted
    assert {d.kind for d in dirt} == set(FILE_KINDS)
    # A dirty row stands right after its clean one, so each earlier dirty row moves it on by one.
    kinds = {d.after + nth + 1: d.kind for nth, d in enumerate(sorted(dirt, key=lambda d: d.after))}
    expected = {row: REASONS[kind] for row, kind in kinds.items() if kind != "duplicate"}
    assert {reject.row: reject.reason for reject in landed.rejects} == expected


def test_every_refused_row_is_kept_as_it_stands_in_its_file(landed: Landed) -> None:
    (source,) = {reject.source for reject in landed.rejects}
    header, *lines = Path(source).read_text().splitlines()
    assert {reject.header for reject in landed.rejects} == {header}
    assert [reject.raw for reject in landed.rejects] == [lines[reject.row] for reject in landed.rejects]


def test_rows_left_out_of_training_are_listed_with_their_lines_and_come_back_when_the_suite_is_mended(
    landed: Landed, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "suites", FolderObjects(tmp_path / "out")
    monkeypatch.setattr("expectations.loader.FOLDER", folder)
    cheap = Expectation(
        "expect_column_values_to_be_between", {"column": "amount", "max_value": 200}, About("nobody pays more than 200")
    )
    write_suite(folder, contract, cheap)
    result = run_quality(contract, landed, out)
    quarantine = BatchQuarantine(out)
    left_out, refused = quarantine.keys()
    assert (left_out.split("/")[:2], refused.split("/")[0]) == (["excluded", "landed"], "quarantine")
    rows = quarantine.show(left_out)
    _, *lines = Path(rows[0].source).read_text().splitlines()
    assert len(rows) == len(result.excluded) > 100
    assert all(row.raw == lines[row.row] and row.reason == "nobody pays more than 200" for row in rows)
    dear = [row for row in rows if float(row.raw.split(",")[3]) > 300]

    assert quarantine.redrive(left_out, contract).returned == 0
    write_suite(folder, contract, msgspec.structs.replace(cheap, kwargs={"column": "amount", "max_value": 300}))
    mended, again = quarantine.redrive(left_out, contract), quarantine.redrive(left_out, contract)
    assert mended.returned == again.returned_before == len(rows) - len(dear) > 0
    assert again.returned == 0
    assert mended.refused == again.refused == Counter({"nobody pays more than 200": len(dear)})
    assert len(quarantine.history(left_out)) == len(rows) + mended.returned + len(dear)
    assert not list(out.list("redriven/"))


def write_suite(folder: Path, contract: Contract, expectation: Expectation) -> None:
    path = folder / contract.name / "landed.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_suite(Suite("mine", (expectation,), draft(contract, "landed").meta)))


def test_rows_that_a_person_corrects_come_back_once_however_often_they_are_redriven(
    landed: Landed, contract: Contract, planted: tuple[pd.DataFrame, list[Dirt]], tmp_path: Path
) -> None:
    out = FolderObjects(tmp_path / "out")
    result = run_quality(contract, landed, out)
    quarantine = BatchQuarantine(out)
    (key,) = quarantine.keys()
    assert len(quarantine.show(key)) == result.quarantined

    first = quarantine.redrive(key, contract)
    assert first.returned == 0
    assert first.refused == Counter(landed.reasons())

    wrong = b"fridge"
    lines = [line for line in out.get(key).splitlines() if wrong in line]
    out.put(f"corrections/{key.removeprefix('quarantine/')}", b"\n".join(lines).replace(wrong, b"tablet"))
    second, third = quarantine.redrive(key, contract), quarantine.redrive(key, contract)
    assert second.returned == third.returned_before == len(lines) == sum(d.kind == "unknown_device" for d in planted[1])
    assert third.returned == 0
    assert second.refused == third.refused

    attempts = quarantine.history(key)
    assert len(attempts) == result.quarantined + len(lines)
    (source,) = {reject.source for reject in landed.rejects}
    again = load_transactions(contract, [source, str(tmp_path / "out" / "redriven")])
    assert len(again.table) == len(landed.table) + len(lines)
    assert again.rows == len(again.table) + len(again.rejects) + again.duplicates

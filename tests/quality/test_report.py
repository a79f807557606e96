"""What a quality run keeps: a page that needs nothing else, figures for programs, rows for people."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from expectations import load_suite
from fraudline.adapters.inputs.files import load_transactions
from fraudline.adapters.quality_report import run_quality
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.contract import Contract
from fraudline.features.definition import feature_set
from fraudline.features.offline import offline_features
from fraudline.quality.check import check
from fraudline.quality.distributions import distributions
from fraudline.quality.draft import draft
from fraudline.quality.histograms import reference
from fraudline.quality.masking import shown
from fraudline.quality.report import render_report
from fraudline.quality.suite import About, Expectation, Suite
from fraudline.quality.summary import summarise
from fraudline.simulate import soil, weave
from fraudline.transactions.landed import Landed

Read = Callable[[pd.DataFrame], Landed]


@pytest.fixture
def soiled(clean: pd.DataFrame, read: Read) -> Landed:
    part = clean.head(5_000)
    return read(weave(part, soil(part, 0.02, seed=1)))


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_keeps_its_page_figures_and_refused_rows_and_the_same_run_changes_nothing(
    soiled: Landed, contract: Contract, tmp_path: Path
) -> None:
    out = FolderObjects(tmp_path / "out")
    result = run_quality(contract, soiled, out)
    kept = files_in(tmp_path / "out")
    figures = json.loads(kept["quality.json"])
    assert figures["rows"] == 5_100 == figures["valid"] + figures["quarantined"] + figures["duplicates"]
    assert (figures["valid"], figures["passed"]) == (result.valid, True)
    name = figures["name"]
    assert kept.keys() == {
        *(
            "report.html",
            "quality.json",
            f"runs/landed/{name}.html",
            f"runs/landed/{name}.json",
            f"quarantine/{name}.jsonl",
        )
    }
    lines = kept[f"quarantine/{name}.jsonl"].splitlines()
    assert len(lines) == result.quarantined
    run_quality(contract, soiled, out)
    assert files_in(tmp_path / "out") == kept
    run_quality(contract, soiled, out, stage="labels")
    assert files_in(tmp_path / "out").items() >= {item for item in kept.items() if item[0].startswith("runs/")}


def test_a_page_asks_for_nothing_outside_itself(soiled: Landed, contract: Contract) -> None:
    page = render_report(check(soiled, contract, "landed"), soiled).decode()
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)|@import|url\(|<script|https?://", page)
    assert "default-src 'none'" in page


def test_a_page_tells_the_oldest_and_the_newest_time_in_whatever_order_rows_arrived(
    landed_clean: Landed, contract: Contract
) -> None:
    """Of a stream's window it told those of the first and the last that had arrived."""
    arrived = replace(landed_clean, table=landed_clean.table.take(np.roll(np.arange(len(landed_clean.table)), 1_000)))
    span = re.compile(r"Transactions from .+ to .+ UTC")
    pages = [render_report(check(landed, contract, "landed"), landed).decode() for landed in (landed_clean, arrived)]
    spans = [span.findall(page) for page in pages]
    assert spans[0] == spans[1]
    assert len(spans[0]) == 1


def test_the_redrive_on_a_page_names_a_contract_that_can_be_loaded(soiled: Landed, contract: Contract) -> None:
    """A contract of one's own is known by its file, not by the name in it."""
    page = render_report(check(soiled, contract, "landed"), soiled).decode()
    assert f"--contract {contract.name} --at" in page
    own = msgspec.structs.replace(contract, name="shop")
    shop = replace(soiled, table=replace(soiled.table, contract=own))
    page = render_report(check(shop, own, "landed"), shop).decode()
    assert "--contract FILE_OF_THE_CONTRACT --at" in page


def test_no_id_of_a_person_or_transaction_is_on_the_page(contract: Contract, clean: pd.DataFrame, read: Read) -> None:
    part = clean.head(2_000)
    landed = read(weave(part, soil(part, 0.1, seed=1)))
    rule = Expectation("expect_column_values_to_be_between", {"column": "amount", "max_value": 10}, About("cheap"))
    suite = Suite("mine", (rule,), draft(contract, "landed").meta)
    page = render_report(check(landed, contract, "landed", suite), landed).decode()
    assert "cheap" in page
    assert "conflicting_id" in page
    assert not [id_ for id_ in (*part["user_id"], *part["transaction_id"]) if id_ in page]
    assert page.count("U0•••") == 3


def test_what_a_row_holds_is_shown_as_text_and_never_as_markup(
    contract: Contract, clean: pd.DataFrame, read: Read
) -> None:
    evil = "<script>alert(1)</script>"
    part = clean.head(300).assign(device_type=lambda f: f["device_type"].where(f.index > 0, evil))
    landed = read(part)
    page = render_report(check(landed, contract, "landed"), landed).decode()
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_a_failed_page_names_what_failed_why_and_its_first_rows(
    contract: Contract, clean: pd.DataFrame, read: Read
) -> None:
    landed = read(
        clean.head(3_000).assign(is_fraud=1, amount=lambda f: f["amount"].where(f["card_type"] != "prepaid", 6_000))
    )

    result = check(landed, contract, "training", load_suite(contract, "training"))
    page = render_report(result, landed).decode()
    assert ">Failed<" in page
    for outcome in result.failures:
        assert outcome.name in page
        assert outcome.why in page
    assert "card_type prepaid" in page
    assert f"and {len(result.excluded) - 3:,} more" in page


def test_trends_are_drawn_over_earlier_windows_of_the_same_stage(
    contract: Contract, clean: pd.DataFrame, read: Read, tmp_path: Path
) -> None:
    out = FolderObjects(tmp_path / "out")
    for end in (15_000, 20_000, 25_000):
        run_quality(contract, read(clean.iloc[end - 15_000 : end]), out)
    page = out.get("report.html").decode()
    assert "Over the last 3 runs" in page
    assert page.count('class="spark"') >= 5
    run_quality(contract, read(clean.iloc[:15_000]), out, stage="training")
    assert "Over the last" not in out.get("report.html").decode()


def test_a_page_says_over_how_many_runs_its_trends_are(soiled: Landed, contract: Contract) -> None:
    result = check(soiled, contract, "landed")
    earlier = [summarise(result, soiled)] * 40
    page = render_report(result, soiled, earlier).decode()
    assert "Over the last 30 runs" in page
    assert 'over 30 runs"' in page


def test_amounts_and_values_stand_beside_the_training_rows(contract: Contract, landed_clean: Landed) -> None:
    matrix = offline_features(landed_clean.table)
    known = reference(matrix, feature_set(contract).names, matrix[:, 0] / matrix[:, 0].max())
    charts = {chart.name: chart for chart in distributions(landed_clean.table, known)}
    for name in ("amount", "device_type", "card_type"):
        assert charts[name].training == pytest.approx(charts[name].shares)
    assert charts["location"].training is None
    assert sum(charts["location"].shares) == pytest.approx(1.0)


def test_an_empty_window_is_a_failed_run_with_a_page(contract: Contract, landed_clean: Landed) -> None:
    nothing = Landed(0, landed_clean.table.take(slice(0, 0)), ())
    result = check(nothing, contract, "landed")
    assert [outcome.name for outcome in result.critical_failures] == ["there are transactions"]
    assert b"No valid transaction" in render_report(result, nothing)


def test_a_page_of_files_with_rows_of_another_file_names_each_file(
    contract: Contract, clean: pd.DataFrame, tmp_path: Path
) -> None:
    for name, rows in (("one.csv", clean[:500]), ("two.csv", clean[500:1_000])):
        rows.assign(amount=rows["amount"].where(rows.index % 100 > 0, -1)).to_csv(tmp_path / name, index=False)
    landed = load_transactions(contract, [str(tmp_path)])
    page = render_report(check(landed, contract, "landed"), landed).decode()
    assert "one.csv, row 0" in page
    assert str(tmp_path) not in page


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("user_id", "U000123", "U0•••23"),
        ("card_type", "4111111111111111", "41•••11"),
        ("location", "someone@example.com", "so•••om"),
        ("card_type", "barter", "barter"),
        ("amount", "1000000.55", "1000000.55"),
        ("timestamp", "2026-02-30T12:00:00Z", "2026-02-30T12:00:00Z"),
        ("location", None, "(empty)"),
    ],
)
def test_a_cell_is_shown_unless_it_may_tell_who_somebody_is(
    contract: Contract, column: str, value: str | None, told: str
) -> None:
    assert shown(contract, column, value) == told

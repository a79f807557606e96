"""`fraudline quality` as a person meets it: counts, exit codes, and a draft of what to judge by."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from fraudline.cli.app import app
from fraudline.errors import BadInput
from fraudline.quality.suite import decode_suite

RUN = CliRunner()


@pytest.fixture
def orders(clean: pd.DataFrame, tmp_path: Path) -> Callable[[pd.DataFrame], str]:
    def write(frame: pd.DataFrame) -> str:
        path = tmp_path / "orders.csv"
        frame.to_csv(path, index=False)
        return str(path)

    return write


def test_a_table_that_is_fit_for_use_exits_0_and_one_that_is_not_exits_1(
    clean: pd.DataFrame, orders: Callable[[pd.DataFrame], str], tmp_path: Path
) -> None:
    part, out = clean.head(1_000), str(tmp_path / "out")
    fit = RUN.invoke(app, ["quality", "--transactions", orders(part), "--out", out, "--json"])
    assert fit.exit_code == 0
    values = json.loads(fit.stdout)
    assert [values[name] for name in ("rows", "valid", "quarantined", "duplicates")] == [1_000, 1_000, 0, 0]
    doubled = orders(pd.concat([part, part]))
    unfit = RUN.invoke(app, ["quality", "--transactions", doubled, "--out", out, "--json"])
    assert unfit.exit_code == 1
    assert json.loads(unfit.stdout)["duplicates"] == 1_000


def test_a_file_of_which_no_row_is_a_transaction_has_a_report_of_its_own(
    clean: pd.DataFrame, orders: Callable[[pd.DataFrame], str], tmp_path: Path
) -> None:
    words = ["quality", "--transactions", orders(clean.head(50).assign(amount=-1.0)), "--out", str(tmp_path / "out")]
    report = RUN.invoke(app, [*words, "--json"])
    assert report.exit_code == 1
    assert json.loads(report.stdout)["reasons"] == {"amount_negative": 50}
    assert "orders.csv, row 49" not in (tmp_path / "out" / "report.html").read_text()
    assert "orders.csv, row 0: amount -1.0 is not between" in (tmp_path / "out" / "report.html").read_text()


def test_a_suite_is_drafted_from_a_sample_for_a_person_to_edit(
    clean: pd.DataFrame, orders: Callable[[pd.DataFrame], str], tmp_path: Path
) -> None:
    file = tmp_path / "training.json"
    words = ["quality", "suite", "--contract", "ecommerce", "--stage", "training", "--to", str(file)]
    words += ["--transactions", orders(clean)]
    assert RUN.invoke(app, words).exit_code == 0
    suite = decode_suite(file.read_bytes(), str(file))
    assert suite.meta.stage == "training"
    assert f"a sample of {len(clean)} rows" in suite.meta.about
    assert isinstance(RUN.invoke(app, words).exception, BadInput)


@pytest.mark.parametrize("words", [["quality"], ["quality", "suite", "--stage", "lunch"]])
def test_what_is_missing_or_wrong_is_said(words: list[str]) -> None:
    assert isinstance(RUN.invoke(app, words).exception, BadInput)

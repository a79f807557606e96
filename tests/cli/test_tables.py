"""What people copy from a table is whole, in a terminal of 80 columns too."""

import pytest
from rich.console import Console

from fraudline.cli import common

VERSION = "2026-02-18-0123456789ab"
PLACE = "out/try/models/quarantine/a-contract-with-a-long-name-backfill-2026-02-14-2026-02-18.jsonl"


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "out", Console(width=80, markup=False, emoji=False))


def test_what_a_row_is_called_is_in_one_piece(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"version": VERSION, **{f"figure of some length {number}": 0.123456 for number in range(6)}}
    common.print_rows("Versions", [row])
    assert VERSION in capsys.readouterr().out


def test_a_heading_breaks_between_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    common.print_rows("Days", [{f"days_done_before_{number}": VERSION for number in range(4)}])
    lines = capsys.readouterr().out.splitlines()
    heading = [line.split("┃")[1].strip() for line in lines if line.startswith("┃")]
    assert " ".join(heading).strip() == "days done before 0"


def test_a_name_that_is_longer_than_the_terminal_is_folded_and_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    common.print_rows("Quarantine", [{"key": PLACE, "rows": 12, "reasons": "amount_not_positive 12"}])
    told = capsys.readouterr().out
    assert "…" not in told
    folded = "".join(line.split("│")[1].strip() for line in told.splitlines() if line.startswith("│"))
    assert folded == PLACE


def test_a_value_that_is_longer_than_the_terminal_is_folded_and_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    common.print_pairs("Backfill", {"quarantine": PLACE})
    told = capsys.readouterr().out
    assert PLACE in "".join(line.strip() for line in told.splitlines()).replace(" ", "")

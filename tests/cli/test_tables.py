"""What people copy from a table is whole, in a terminal of 80 columns too."""

import pytest
from rich.console import Console

from fraudline.cli import common, models

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
    common.print_rows("Days", [{f"days_done_before_{number}": "2026-02-18" for number in range(6)}])
    heading = capsys.readouterr().out.split("─")[0]
    assert {word.strip() for word in heading.split()} == {"Days", "days", "done", "before", *"012345"}


def test_no_word_is_broken_where_each_has_room(capsys: pytest.CaptureFixture[str]) -> None:
    """Dates of a training window stood as `2026-02-`, `27 to`, `2026-03-` and `27`, a heading as `precisio`, `n`."""
    row = {
        "version": VERSION,
        "champion": True,
        "candidate": "logistic",
        "average precision": 0.8931,
        "trained": "2026-02-27 to 2026-03-27",
        "last action": "rollback",
    }
    common.print_rows("Versions", [row, row])
    told = capsys.readouterr().out
    assert {"2026-02-27", "2026-03-27", "candidate", "precision", "rollback", VERSION} <= set(told.split())
    assert max(map(len, told.splitlines())) <= 80


def test_figures_stay_side_by_side_where_only_headings_have_no_room(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"shard": "shardId-000000000000", **{f"quarantined{number}": 12_345 for number in range(6)}}
    common.print_rows("Shards", [row, row])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines.count(["shardId-000000000000", *["12,345"] * 6]) == 2


def test_in_a_narrow_terminal_rows_stand_one_below_the_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "out", Console(width=60, markup=False, emoji=False))
    row = {"candidate": "boosted_trees *", **{f"expected calibration error {number}": "0.50000" for number in range(5)}}
    common.print_rows("Candidates", [row, row])
    told = capsys.readouterr().out.splitlines()
    assert told[0].strip() == "Candidates, 1 of 2"
    assert sum(line.split() == ["expected", "calibration", "error", "4", "0.50000"] for line in told) == 2


def test_a_name_that_is_longer_than_the_terminal_is_folded_and_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    common.print_rows("Quarantine", [{"key": PLACE, "rows": 12, "reasons": "amount_not_positive 12"}])
    told = capsys.readouterr().out
    assert "…" not in told
    assert PLACE in "".join(line.strip().split("  ")[0] for line in told.splitlines())


def test_a_table_of_a_model_card_is_folded_and_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["Candidate", "Average precision", "ROC AUC", "Card precision", "Precision", "Recall", "Calibration"]
    cells = ["logistic_smote", *["0.8931"] * 6, "of late"]
    lines = [[*columns, "Predicted per fraud"], ["---"] * 8, cells]
    common.out.print(models._card("\n".join(f"| {' | '.join(line)} |" for line in lines)))
    told = capsys.readouterr().out
    assert "…" not in told
    assert told.count("0.8931") == 6


def test_money_and_lists_are_told_as_people_read_them(capsys: pytest.CaptureFixture[str]) -> None:
    common.print_pairs("Backfill", {"money": 11399.35, "score": 0.0965164, "reasons": {"id_missing": 8, "torn": 1}})
    told = " ".join(capsys.readouterr().out.split())
    assert "money 11,399 score 0.09652 reasons id_missing 8, torn 1" in told


def test_a_value_that_is_longer_than_the_terminal_is_folded_and_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    common.print_pairs("Backfill", {"quarantine": PLACE})
    told = capsys.readouterr().out
    assert PLACE in "".join(line.strip() for line in told.splitlines()).replace(" ", "")

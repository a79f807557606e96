"""A slip is answered before anything heavy is imported: that takes seconds, and one tries again at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import PROGRAM, environment_of_a_fresh_machine

RETRAIN = ("retrain", "--as-of", "2026-02-18")
BACKFILL = ("backfill", "-t", "tx.csv", "--out", "b")
WINDOW = ("--start", "2026-02-14", "--end", "2026-02-16")
# Arguments, the exit code, and a word of the sentence.
SLIPS = {
    "a missing file": ((*RETRAIN, "-t", "nofile.csv"), 2, "nofile.csv"),
    "an unknown format": ((*RETRAIN, "-t", "notes.txt"), 2, "notes.txt"),
    "an unknown contract": ((*RETRAIN, "-t", "tx.csv", "-c", "nosuch"), 2, "'nosuch'"),
    "models that are a file": ((*RETRAIN, "-t", "tx.csv", "--models", "tx.csv"), 2, "'tx.csv' is a file"),
    "a day that is still to come": (("retrain", "--as-of", "2099-02-18", "-t", "tx.csv"), 2, "as of 2099-02-18"),
    "no champion yet": ((*BACKFILL, *WINDOW), 3, "no champion"),
    "a start after the end": ((*BACKFILL, "--start", "2026-02-16", "--end", "2026-02-14"), 2, "swap"),
    "a backfill to nowhere": (("backfill", "-t", "tx.csv", *WINDOW), 2, "--name"),
    "a folder that reads like a file": ((*BACKFILL[:3], *WINDOW, "--out", "x.csv"), 2, "--out x.csv"),
    "a backfill of a missing file": ((*BACKFILL, "-t", "nofile.csv", *WINDOW), 2, "nofile.csv"),
    "quality by an unknown contract": (("quality", "-t", "tx.csv", "-c", "nosuch"), 2, "'nosuch'"),
    "quality of a missing file": (("quality", "-t", "nofile.csv"), 2, "nofile.csv"),
}
HEAVY = ("prefect", "sklearn", "great_expectations")


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_answered_without_what_would_do_the_work(slip: str, tmp_path: Path) -> None:
    arguments, code, word = SLIPS[slip]
    for name in ("tx.csv", "notes.txt"):
        (tmp_path / name).write_text("no,transactions\n")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", PROGRAM, *arguments],
        cwd=tmp_path,
        env=environment_of_a_fresh_machine(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (code, "")
    assert word in lines[-1]
    assert lines[-1].startswith("fraudline: ")
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert imported.isdisjoint(HEAVY)

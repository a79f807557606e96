"""What a person sees while a command works on many rows: a real terminal, wide and narrow."""

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.support.command import PROGRAM, Person

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
WORK = """
import time
from fraudline.cli.bars import bar
from tasks.meter import meter
from tasks.progress import say

with bar("Starting"):
    tell = meter("key")
    say("Read 2,000,000 rows from odd[red]name.csv")
    for done in range(0, 2_400_000, 400_000):
        tell("Sorted", done, 2_000_000)
        time.sleep(0.15)
"""


def seen(columns: int, command: list[str], environment: dict[str, str], folder: Path) -> str:
    """All that `command` puts on a terminal of so many columns, its movements left out."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder):
        os.close(theirs)
        told = b""
        while data := _read(ours):
            told += data
    os.close(ours)
    return ESCAPES.sub("", told.decode())


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # Linux's word for: nobody writes any more.
        return b""


@pytest.mark.parametrize("columns", [80, 40])
def test_a_stage_is_counted_in_whole_numbers_and_a_files_name_is_no_markup(columns: int, tmp_path: Path) -> None:
    environment = {**os.environ, "DO_NOT_TRACK": "1", "TERM": "xterm", "COLUMNS": str(columns)}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    told = seen(columns, [sys.executable, "-c", WORK], environment, tmp_path)
    assert re.search(r"Sorted .*1,200,000 of 2,000,000", told)
    # Folded where the line is full.
    assert "odd[red]name.csv" in re.sub(r"\s", "", told)
    # A sentence has no bar, and nothing is cut.
    assert "?" not in told
    assert "…" not in told


def test_nobody_is_told_on_the_terminal_that_anybody_counts_their_runs(tmp_path: Path) -> None:
    """Prefect's client would, on the first terminal that it meets, and send word of it."""
    person = Person(tmp_path / "home", tmp_path)
    person.home.mkdir()
    (tmp_path / "labels.csv").write_text("transaction_id,label,known_at\nT1,1,2026-01-31T00:00:00Z\n")
    environment = {**person.environment, "TERM": "xterm"}
    told = seen(80, [PROGRAM, "labels", "apply", "labels.csv"], environment, tmp_path)
    assert "fraudline: no AWS credentials" in told
    assert "usage data" not in told

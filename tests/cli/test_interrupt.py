"""Ctrl-C in the middle: exit code 130, one sentence, whole files only, and the next run goes on from there."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, model_serializer

from fraudline.cli import app
from tests.support.command import PROGRAM, Person

# The least that the kernel gives a pipe: one page.
PIPE_BYTES = 4096
ROOM = 300
ARGUMENTS = ("backfill", "-t", "tx.csv", "--start", "2026-01-10", "--end", "2026-02-18", "--models", "models")


def test_ctrl_c_in_the_middle_of_a_backfill_leaves_whole_days_and_the_next_run_completes(person: Person) -> None:
    process, drain = _held_up(person, *ARGUMENTS, "--out", "b")
    _wait_until_it_stands_still(person.folder / "b")
    process.send_signal(signal.SIGINT)
    told = drain()
    assert process.wait(timeout=60) == 130
    assert told.splitlines()[-1] == "fraudline: stopped; what was finished is kept, nothing is half-written"
    assert "Traceback" not in told

    done = _days(person.folder / "b")
    assert 0 < len(done) < 39
    assert {path.suffix for path in (person.folder / "b").iterdir()} == {".parquet", ".json"}

    report = person.runs(*ARGUMENTS, "--out", "b", "--json").json
    # The day that was written as the signal came may not have reached the manifest: it is done again.
    assert report["days_done_before"] in (len(done), len(done) - 1)
    person.runs(*ARGUMENTS, "--out", "undisturbed")
    assert _days(person.folder / "b") == _days(person.folder / "undisturbed")


def test_ctrl_c_while_candidates_are_measured_ends_it_at_once_and_starts_no_other(person: Person) -> None:
    """The first of two that follow each other is under way then, beside the trees: neither is waited for."""
    arguments = ("retrain", "-t", "tx.csv", "--as-of", "2026-02-18", "--models", "new")
    with subprocess.Popen(
        [PROGRAM, *arguments], cwd=person.folder, env=person.environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        measured = [line for _, line in zip(range(2), filter(_tells_of_measuring, process.stderr), strict=False)]
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert "Gradient-boosted trees" in "".join(measured)
    assert told == "fraudline: stopped; what was finished is kept, nothing is half-written\n"
    assert not (person.folder / "new").exists()


class Interrupted(BaseModel):
    """Ctrl-C comes while it is serialised."""

    @model_serializer
    def told(self) -> str:
        raise KeyboardInterrupt


def test_ctrl_c_that_a_library_made_an_error_of_its_own_is_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While Great Expectations judged it was told as an unexpected PydanticSerializationError, with exit code 1."""
    monkeypatch.setattr(app, "app", lambda **_: Interrupted().model_dump())
    monkeypatch.setattr(sys, "argv", ["fraudline", "quality"])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "fraudline: stopped; what was finished is kept, nothing is half-written\n"


def _tells_of_measuring(line: str) -> bool:
    return line.startswith("Measuring: ")


def _held_up(person: Person, *arguments: str) -> tuple[subprocess.Popen[bytes], Callable[[], str]]:
    """The command, and how to read what it says: until then it has room to say a few lines and waits in the next."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.write(writing, b"." * (PIPE_BYTES - ROOM))
    process = subprocess.Popen(
        [PROGRAM, *arguments], cwd=person.folder, env=person.environment, stdout=subprocess.DEVNULL, stderr=writing
    )
    os.close(writing)

    def drain() -> str:
        with os.fdopen(reading, "rb") as pipe:
            return pipe.read().lstrip(b".").decode()

    return process, drain


def _wait_until_it_stands_still(folder: Path, seconds: float = 120) -> None:
    """Until days are there and no more come."""
    deadline, seen, since = time.monotonic() + seconds, 0, time.monotonic()
    while time.monotonic() < deadline:
        days = len(list(folder.glob("*.parquet"))) if folder.exists() else 0
        if days != seen:
            seen, since = days, time.monotonic()
        elif seen and time.monotonic() - since > 3:
            return
        time.sleep(0.05)
    raise AssertionError(f"no day was written within {seconds} s")


def _days(folder: Path) -> dict[str, list[float]]:
    return {path.stem: pq.read_table(path)["score"].to_pylist() for path in sorted(folder.glob("*.parquet"))}

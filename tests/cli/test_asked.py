"""The first things that a person asks of the command, and leaving a question with Ctrl-C or the end of the input."""

import json
import os
import pty
import select
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.command import PROGRAM, environment_of_a_fresh_machine

ROOT = Path(__file__).parents[2]
CTRL_C, CTRL_D = b"\x03", b"\x04"


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    environment = environment_of_a_fresh_machine(tmp_path)
    done = subprocess.run([PROGRAM, "--version"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert done.stderr == ""


def test_a_status_of_nothing_says_once_what_is_missing(tmp_path: Path) -> None:
    environment = environment_of_a_fresh_machine(tmp_path) | {"AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run(
        [PROGRAM, "status", "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    *parts, credentials = json.loads(done.stdout)["problems"]
    assert parts == [
        "the Prefect server is not there",
        "the worker is not there",
        "the deployments are not there",
    ]
    assert credentials.startswith("no AWS credentials for this deployment: ")


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D], ids=["ctrl-c", "ctrl-d"])
@pytest.mark.parametrize(
    ("arguments", "question"),
    [(("forget", "bob"), b"Erase the id everywhere?"), (("forget",), b"The id to forget")],
    ids=["a confirmation", "an id"],
)
def test_who_leaves_a_question_has_stopped_the_command(
    arguments: tuple[str, ...], question: bytes, key: bytes, tmp_path: Path
) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execve(PROGRAM, [PROGRAM, *arguments], environment_of_a_fresh_machine(tmp_path))
    told = b""
    # The blank comes once the terminal no longer echoes: what was typed before that is thrown away.
    while b": " not in told.partition(question)[2]:
        told += os.read(terminal, 1024)
    told = _pressed(terminal, key)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    assert told.endswith(b"fraudline: stopped; what was finished is kept, nothing is half-written\r\n")


def _pressed(terminal: int, key: bytes) -> bytes:
    """What is told from the key on, until the other side closes, which Linux tells as an error.

    A key that comes just before Python begins to wait for one is lost, and is pressed again, as people do.
    """
    told = b""
    for _ in range(20):
        os.write(terminal, key)
        while select.select([terminal], [], [], 3.0)[0]:
            try:
                told += os.read(terminal, 1024)
            except OSError:
                os.close(terminal)
                return told
    raise AssertionError(f"the question was not left: {told!r}")

"""Who finds a stack and who stops it: its folder's lock says whether one runs, whatever the file in it says."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fraudline.errors import BadInput, NotReady, Unavailable
from fraudline.local.processes import Process, choose_port
from fraudline.local.stack import Plan, Running, Stack, _state, find, running_stack, stop

RUNNING = Running(os.getpid(), "http://127.0.0.1:4200", {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
# Holds a folder until it is told to end, and then takes its time.
HOLDER = """
import os, signal, sys, threading, time
from pathlib import Path
from fraudline.local.stack import Running, _state
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
with _state(Path(sys.argv[1])) as tell:
    tell(Running(os.getpid(), "http://127.0.0.1:1", {}))
    ended.wait(60)
    time.sleep(1)
    Path(sys.argv[1], "ended").touch()
"""


def test_what_runs_is_found_while_it_runs_and_not_before_or_after(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"no stack runs from .*: start one with `fraudline up`"):
        find(tmp_path)
    with _state(tmp_path) as tell:
        with pytest.raises(NotReady, match="is not up yet"):
            find(tmp_path)
        tell(RUNNING)
        assert find(tmp_path) == find(tmp_path) == RUNNING
    with pytest.raises(NotReady, match="no stack runs from"):
        find(tmp_path)


def test_a_file_that_a_killed_stack_has_left_is_no_stack(tmp_path: Path) -> None:
    with _state(tmp_path) as tell:
        tell(RUNNING)
        left = (tmp_path / "stack.json").read_bytes()
    (tmp_path / "stack.json").write_bytes(left)
    with pytest.raises(NotReady, match="no stack runs from"):
        find(tmp_path)
    shorter = Running(1, "u", {})
    with _state(tmp_path) as tell:
        with pytest.raises(NotReady, match="is not up yet"):
            find(tmp_path)
        tell(shorter)
        assert find(tmp_path) == shorter


def test_a_second_stack_in_the_same_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with _state(tmp_path) as tell:
        tell(RUNNING)
        with pytest.raises(BadInput, match=r"a stack runs from .* already: stop it"), _state(tmp_path):
            pass
        assert find(tmp_path) == RUNNING


def test_stopping_waits_until_nothing_is_left(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)])
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                assert find(tmp_path).pid == holder.pid
                break
            except NotReady:
                time.sleep(0.05)
        stop(tmp_path)
        assert (tmp_path / "ended").exists()
        assert holder.wait(30) == 0
        with pytest.raises(NotReady):
            stop(tmp_path)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()


def test_a_part_that_ends_by_itself_is_named(tmp_path: Path) -> None:
    with (
        Process("the one", [sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path / "1.log") as one,
        Process("the other", [sys.executable, "-c", ""], {}, tmp_path / "2.log") as other,
    ):
        other.wait(30)
        stack = Stack(RUNNING, (one, other))
        with pytest.raises(Unavailable, match=r"the other has ended by itself: see .*2\.log"):
            stack.watch(lambda: False)
        stack.watch(lambda: True)
        looks = iter((False, True))
        Stack(RUNNING, (one,)).watch(lambda: next(looks))


def test_a_port_that_cannot_be_used_is_said_before_anything_is_made(tmp_path: Path) -> None:
    port = choose_port()
    for plan, problem in (
        (Plan(tmp_path / "stack", port, port), f"port {port} cannot be both"),
        (Plan(tmp_path / "stack", port, 70_000), "port 70000"),
    ):
        with pytest.raises(BadInput, match=problem), running_stack(plan, print):
            pass
    assert list(tmp_path.iterdir()) == []

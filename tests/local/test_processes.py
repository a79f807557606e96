"""Whatever happens to the one who started them, child processes and their children go with it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fraudline.errors import BadInput, Unavailable
from fraudline.local import processes
from fraudline.local.processes import GRACE_SECONDS, HOST, Process, answers, choose_port

# A server that starts a child of its own and writes both pids where we read them.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".partial", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".partial", sys.argv[1])
time.sleep(600)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FAMILY
PARENT = """
import sys, time
from pathlib import Path
from fraudline.local.processes import Process
folder = Path(sys.argv[1])
with Process("family", [sys.executable, "-c", sys.argv[2], str(folder / "pids")], {}, folder / "log"):
    time.sleep(600)
"""


def pids_in(folder: Path) -> list[int]:
    wait_until((folder / "pids").exists)
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def gone(pids: list[int]) -> bool:
    return not any(map(runs, pids))


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        # It may go between two looks, too.
        return False


def family(tmp_path: Path, program: str = FAMILY, grace: float = GRACE_SECONDS) -> Process:
    return Process("family", [sys.executable, "-c", program, str(tmp_path / "pids")], {}, tmp_path / "log", grace)


def test_stopping_ends_the_process_and_its_children(tmp_path: Path) -> None:
    with family(tmp_path) as process:
        pids = pids_in(tmp_path)
        assert process.is_running()
    wait_until(lambda: gone(pids), seconds=2)
    process.stop()


@pytest.mark.parametrize("program", [STUBBORN, STUBBORN.replace('(600)"])', '(600)"], start_new_session=True)')])
def test_a_process_that_does_not_listen_is_killed(tmp_path: Path, program: str) -> None:
    """With its children, those of a session of their own included."""
    process = family(tmp_path, program, grace=0.5)
    pids = pids_in(tmp_path)
    process.stop()
    wait_until(lambda: gone(pids))


def test_what_a_process_has_started_ends_with_it_when_it_ends_by_itself(tmp_path: Path) -> None:
    """A Prefect worker gives each run a session of its own."""
    program = FAMILY.replace('(600)"])', '(600)"], start_new_session=True)').replace("\ntime.sleep(600)", "")
    process = family(tmp_path, program)
    pids = pids_in(tmp_path)
    assert process.wait(30) == 0
    wait_until(lambda: gone(pids))


def test_a_signal_to_whoever_guards_a_process_ends_it_and_its_children(tmp_path: Path) -> None:
    process = family(tmp_path)
    pids = pids_in(tmp_path)
    os.kill(process.pid, signal.SIGTERM)
    process.wait(30)
    wait_until(lambda: gone(pids))


def test_a_guard_that_does_not_answer_is_killed_with_what_it_guards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_KILL_SECONDS", 0.5)
    process = family(tmp_path, grace=0.1)
    pids = pids_in(tmp_path)
    os.kill(process.pid, signal.SIGSTOP)
    process.stop()
    assert not process.is_running()
    wait_until(lambda: gone(pids))


def test_a_process_has_the_environment_it_is_given_and_adds_to_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "ours")
    code = "import os; print(os.environ.get('SECRET'), os.environ.get('GIVEN'))"
    for number in range(2):
        with Process("it", [sys.executable, "-c", code], {"GIVEN": str(number)}, tmp_path / "log") as process:
            process.wait(30)
    assert (tmp_path / "log").read_text() == "None 0\nNone 1\n"


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_process_goes_with_its_parent_however_that_ends(tmp_path: Path, blow: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), FAMILY], stderr=subprocess.DEVNULL)
    pids = pids_in(tmp_path)
    parent.send_signal(blow)
    parent.wait(20)
    wait_until(lambda: gone(pids))


def test_a_forked_child_of_ours_does_not_keep_a_process_alive(tmp_path: Path) -> None:
    process = family(tmp_path)
    pids = pids_in(tmp_path)
    fork = os.fork()
    if fork == 0:
        time.sleep(60)
        os._exit(0)
    try:
        started = time.monotonic()
        process.stop()
        assert time.monotonic() - started < 5
        wait_until(lambda: gone(pids), seconds=2)
    finally:
        os.kill(fork, signal.SIGKILL)
        os.waitpid(fork, 0)


@pytest.mark.parametrize(("grace", "is_kept"), [(30.0, True), (0.2, False)])
def test_a_process_has_its_grace_to_write_down_what_it_holds(tmp_path: Path, grace: float, is_kept: bool) -> None:
    kept, ready = tmp_path / "kept", tmp_path / "ready"
    code = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n    time.sleep(2)\n    pathlib.Path(sys.argv[1]).touch()\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\npathlib.Path(sys.argv[2]).touch()\ntime.sleep(60)\n"
    )
    with Process("it", [sys.executable, "-c", code, str(kept), str(ready)], {}, tmp_path / "log", grace) as process:
        process.wait_until(ready.exists, seconds=20)
    assert kept.exists() is is_kept


def test_a_process_that_ends_at_once_is_said_with_its_last_words(tmp_path: Path) -> None:
    code = "print('the disk is full'); raise SystemExit(3)"
    with (
        pytest.raises(Unavailable, match=r"the shop ended as soon as it was started: see .*the disk is full"),
        Process("the shop", [sys.executable, "-c", code], {}, tmp_path / "log") as process,
    ):
        process.wait_until(lambda: False, seconds=20)
    assert process.wait() == 3


def test_a_process_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    process = family(tmp_path)
    pids = pids_in(tmp_path)
    with pytest.raises(Unavailable, match="family is not ready after 0 s"):
        process.wait_until(lambda: False, seconds=0.2)
    wait_until(lambda: gone(pids), seconds=2)


def test_a_taken_port_is_said_and_a_free_one_is_found() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(BadInput, match=f"port {port} on {HOST} cannot be used"):
            choose_port(port)
        free = choose_port()
    assert choose_port(free) == free
    with pytest.raises(BadInput, match="port 70000"):
        choose_port(70_000)


def test_nobody_there_is_no_answer() -> None:
    assert not answers(f"http://{HOST}:{choose_port()}/")

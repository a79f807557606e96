"""Runs a command as long as whoever started it lives: `python guard.py SECONDS COMMAND...`, standard input a pipe.

A byte on the pipe, or its end, stops the command and all it started; it has so many seconds to end by itself. The end
comes when the process at the other end does, in whatever way, SIGKILL included. It works alike on Linux and macOS, and
needs no pid files.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence

_PR_SET_CHILD_SUBREAPER = 36


def guard(command: Sequence[str], grace: float) -> int:
    """Run `command` in our process group until it ends (its exit code) or is to be stopped."""
    if sys.platform == "linux":
        # What the command leaves behind becomes ours: a Prefect worker gives each run a session of its own.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    stopping = threading.Event()
    stopper = threading.Thread(target=_stop_on_input, args=(child, grace, stopping), daemon=True)
    stopper.start()
    code = child.wait()
    if stopping.is_set():
        stopper.join()
    _kill(_descendants())
    return code


def _stop_on_input(child: "subprocess.Popen[bytes]", grace: float, stopping: threading.Event) -> None:
    os.read(sys.stdin.fileno(), 1)
    stopping.set()
    # Told now: once the command has ended, what it started is no longer known to be its own everywhere.
    started = _descendants()
    child.terminate()
    try:
        child.wait(grace)
    finally:
        _kill({*started, *_descendants()})
        # Whatever is left of our process group, ourselves included.
        os.killpg(os.getpgid(0), signal.SIGKILL)


def _descendants() -> set[int]:
    """The processes that we, or any of them, have started and that still run."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False).stdout  # nosec B607
    parents = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found: set[int] = set()
    family = {os.getpid()}
    while family:
        family = {pid for pid, parent in parents if parent in family}
        found |= family
    return found


def _kill(processes: Iterable[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(guard(sys.argv[2:], float(sys.argv[1])))

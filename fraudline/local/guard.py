"""Runs a command as long as whoever started it lives: `python guard.py COMMAND...`, standard input a pipe.

A byte on the pipe, or its end, stops the command and all it started. The end comes when the process at the
other end does, in whatever way, SIGKILL included. It works alike on Linux and macOS, and needs no pid files.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

GRACE_SECONDS = 8.0  # shorter than the patience of who stops us (`processes.STOP_SECONDS`)


def guard(command: Sequence[str]) -> int:
    """Run `command` in our process group until it ends (its exit code) or is to be stopped."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    stopping = threading.Event()
    stopper = threading.Thread(target=_stop_on_input, args=(child, stopping), daemon=True)
    stopper.start()
    code = child.wait()
    if stopping.is_set():
        stopper.join()
    return code


def _stop_on_input(child: "subprocess.Popen[bytes]", stopping: threading.Event) -> None:
    os.read(sys.stdin.fileno(), 1)
    stopping.set()
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    finally:
        # Whatever is left of our process group, ourselves included.
        os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1:]))

"""Servers as child processes that leave nothing behind: on 127.0.0.1, logged to a file, gone when we are."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from fraudline.errors import BadInput, Unavailable
from fraudline.local import guard

HOST = "127.0.0.1"
GRACE_SECONDS = 8.0
_KILL_SECONDS = 7.0
_POLL_SECONDS = 0.05
_LOG_LINES = 3


class Process:
    """A running child process with everything it starts; use it as a context manager or call `stop`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        grace: float = GRACE_SECONDS,
    ) -> None:
        """Start `command` with exactly `environment`; what it prints goes to the end of `log`.

        `grace` is how long it may take to end, in seconds, before it is killed.
        """
        self.name = name
        self.log = log
        self._grace = grace
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(grace), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process group of everything this process started."""
        return self._guard.pid

    def is_running(self) -> bool:
        return self._guard.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready()`; `Unavailable` with the log's end if that takes too long or it ends first."""
        deadline = time.monotonic() + seconds
        while self.is_running() and time.monotonic() < deadline:
            if ready():
                return
            time.sleep(_POLL_SECONDS)
        what = f"is not ready after {seconds:.0f} s" if self.is_running() else "ended as soon as it was started"
        self.stop()
        raise Unavailable(f"{self.name} {what}: see {self.log}{self._last_words()}")

    def wait(self, seconds: float | None = None) -> int:
        """Wait until the process ends by itself; its exit code. `subprocess.TimeoutExpired` if that takes longer."""
        return self._guard.wait(seconds)

    def stop(self) -> None:
        """End the process and all it has started; fine if it has ended already."""
        if not self.is_running():
            return
        try:
            # The byte counts even where a forked child of ours still holds the pipe open.
            self._guard.communicate(b"q", timeout=self._grace + _KILL_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._guard.wait()

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        words = " | ".join(line.strip() for line in lines[-_LOG_LINES:] if line.strip())
        return f" ({words})" if words else ""


def choose_port(port: int | None = None) -> int:
    """`port` if nothing listens there, or a free one; `BadInput` if it is taken."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port or 0))
        except (OSError, OverflowError) as error:
            raise BadInput(
                f"port {port} on {HOST} cannot be used ({error}): stop what listens there or name another"
            ) from None
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """True if a GET of `url` succeeds now."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # nosec B310 # our own addresses
            return bool(response.status < 300)
    except (urllib.error.URLError, OSError):
        return False

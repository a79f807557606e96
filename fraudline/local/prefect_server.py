"""A Prefect server as a child process on 127.0.0.1, its database in a folder of its own."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fraudline.local.processes import HOST, Process, answers, choose_port

START_SECONDS = 120.0


@dataclass(frozen=True)
class PrefectServer:
    """A server that runs or still starts: its API, and what programs must have in their environment to use it."""

    api: str
    home: Path
    process: Process

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PREFECT_API_URL": self.api,
            "PREFECT_HOME": str(self.home),
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }

    def wait(self) -> None:
        """Wait until it answers; `Unavailable` if it does not."""
        self.process.wait_until(lambda: answers(f"{self.api}/health"), START_SECONDS)


@contextmanager
def running_prefect_server(directory: Path, port: int | None = None) -> Iterator[PrefectServer]:
    """A server for the time of the block, on `port` or a free one; it writes below `directory` only."""
    with starting_prefect_server(directory, port) as server:
        server.wait()
        yield server


@contextmanager
def starting_prefect_server(directory: Path, port: int | None = None) -> Iterator[PrefectServer]:
    """The same, for those who have other things to do until it answers."""
    chosen, home = choose_port(port), (directory / "prefect").resolve()
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(chosen)]
    api = f"http://{HOST}:{chosen}/api"
    environment = {**os.environ, **_settings(home, api)}
    with Process("the Prefect server", command, environment, directory / "prefect.log") as process:
        yield PrefectServer(api, home, process)


def _settings(home: Path, api: str) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api,
        "PREFECT_UI_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Thousands of task events one by one would keep SQLite busy.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    }

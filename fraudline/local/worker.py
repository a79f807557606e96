"""A Prefect worker as a child process, which starts each run as a process of its own."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fraudline.local.processes import Process

POOL = "fraudline"


@contextmanager
def running_worker(directory: Path, variables: Mapping[str, str]) -> Iterator[Process]:
    """A worker of the pool for the time of the block; its runs see `variables` and inherit our environment."""
    environment = {
        **os.environ,
        **variables,
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_WORKER_QUERY_SECONDS": "5",
    }
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    with Process("the Prefect worker", command, environment, directory / "worker.log") as process:
        yield process

"""The bridge from the local Prefect server's automations to the emulator's SNS, as a child process."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudline.adapters.automations import apply, told_at
from fraudline.adapters.notifier import address
from fraudline.local.processes import Process, answers, choose_port

START_SECONDS = 30.0


@contextmanager
def running_notifier(directory: Path) -> Iterator[Process]:
    """The bridge for the time of the block, and the server's automations telling it.

    Automations that people have sent elsewhere are left as they are.
    """
    port = choose_port()
    command = [sys.executable, "-c", "from fraudline.cli import main; main()", "notifier", "--port", str(port)]
    with Process("the notifier", command, os.environ, directory / "notifier.log") as process:
        process.wait_until(lambda: answers(address(port)), START_SECONDS)
        told = told_at()
        if told is None or told.endswith("/sns"):
            apply(address(port))
        yield process

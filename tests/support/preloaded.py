"""`fraudline` and `prefect` without their import time: one process imports all of it once and forks for each command.

A command sees what it would see in a process of its own: arguments, folder, variables, and files as standard streams.
Run as a program, this is that process; requests come as JSON lines, exit codes go back.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STREAMS = ("stdin", "stdout", "stderr")


class Preloaded:
    """The process that forks."""

    def __init__(self, process: "subprocess.Popen[str]", scratch: Path) -> None:
        self._process = process
        self._scratch = scratch

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        stdin: bytes = b"",
        program: str = "fraudline",
    ) -> tuple[int, bytes, bytes]:
        """Exit code, standard output, standard error."""
        files = {name: self._scratch / name for name in STREAMS}
        files["stdin"].write_bytes(stdin)
        request = {
            "command": [program, *arguments],
            "folder": str(folder),
            "environment": dict(environment),
            "files": {name: str(path) for name, path in files.items()},
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return code, files["stdout"].read_bytes(), files["stderr"].read_bytes()


@contextmanager
def preloaded(scratch: Path, environment: Mapping[str, str], prefix: Sequence[str] = ()) -> Iterator[Preloaded]:
    """The process for the time of the block; `prefix` goes before its command line."""
    command = [*prefix, sys.executable, __file__]
    with subprocess.Popen(
        command, env=dict(environment), cwd=scratch, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Preloaded(process, scratch)


def _serve() -> None:
    import flows.backfill
    import flows.retrain  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


def _become(request: Mapping[str, Any]) -> None:
    """Be the command and end."""
    from prefect.context import refresh_global_settings_context

    for number, name in enumerate(STREAMS):
        flags = os.O_RDONLY if name == "stdin" else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(request["files"][name], flags), number)
    sys.stdin = os.fdopen(0)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # Prefect reads its variables as it is imported.
    refresh_global_settings_context()
    sys.argv = request["command"]
    code: Any = 1
    try:
        _entry(sys.argv[0])()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _entry(program: str) -> Callable[[], object]:
    """What the installed program calls."""
    if program == "prefect":
        from prefect.cli import app

        return app
    from fraudline.cli import main

    return main


if __name__ == "__main__":
    _serve()

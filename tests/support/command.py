"""`fraudline` as a person runs it: a process of its own, an empty home, nothing started beforehand."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.preloaded import Preloaded

PROGRAM = str(Path(sys.executable).with_name("fraudline"))
# How this machine reaches a package index, and what it trusts there: `package-lambda` asks pip for wheels.
_INDEX = ("PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# Long enough for a demo beside other work.
SECONDS = 840


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with --json, all of it: a command that failed has its words in the error."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The last line on standard error, which must be all that is said of a failure."""
        told = [line for line in self.err.splitlines() if line.startswith("fraudline: ")]
        assert len(told) == 1, self.err
        assert self.err.endswith(told[0] + "\n"), self.err
        assert "Traceback" not in self.err, self.err
        return told[0].removeprefix("fraudline: ")


@dataclass(frozen=True)
class Person:
    """Somebody at a shell: a home, a folder to work in, and what forks commands without their import time, if any."""

    home: Path
    folder: Path
    forks: Preloaded | None = None

    def runs(self, *arguments: str, stdin: bytes = b"", **variables: str) -> Finished:
        """`fraudline` with these arguments and further variables, to its end."""
        environment = self.environment | variables
        if self.forks:
            code, out, err = self.forks.run(arguments, self.folder, environment, stdin)
        else:
            command = [PROGRAM, *arguments]
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
                input=stdin,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
            code, out, err = done.returncode, done.stdout, done.stderr
        return Finished(code, out.decode(), err.decode())

    @property
    def environment(self) -> dict[str, str]:
        return environment_of_a_fresh_machine(self.home)


def environment_of_a_fresh_machine(home: Path) -> dict[str, str]:
    """A path, a home, and how a package index is reached."""
    index = {name: value for name, value in os.environ.items() if name.upper().startswith(_INDEX)}
    return {**index, "PATH": os.defpath, "HOME": str(home)}


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below, hidden ones too, with its size and when it was written (ns)."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    } | {str(path.relative_to(folder)): (0, 0) for path in folder.rglob("*") if path.is_dir()}

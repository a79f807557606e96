"""Starts kinesis-local (npm), the emulator that reshards as Kinesis does: closed shards end and name their children.

It is slow: keep a test below a thousand records. It is installed once, below the ignored `out/`, from a lock file
with the package's hash.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudline.local.processes import HOST, Process, answers, choose_port

VERSION = "0.6.2"
START_SECONDS = 60.0
_PINNED = Path(__file__).with_name("kinesis-local")
_FOLDER = Path(__file__).parents[2] / "out" / f"kinesis-local-{VERSION}"
# How long it pretends that creating, splitting and merging takes.
_DURATION = "50ms"


class NotInstallable(Exception):
    """There is no Node.js here, or npm could not install the package."""


@contextmanager
def running_kinesis(directory: Path) -> Iterator[str]:
    """The endpoint of a Kinesis with no streams, for the time of the block; it logs below `directory`."""
    program = _installed()
    plain, tls = choose_port(), choose_port()
    environment = {
        "PATH": os.environ["PATH"],
        "KINESIS_MOCK_CERT_PATH": str(program.with_name("server.json")),
        "KINESIS_MOCK_PLAIN_PORT": str(plain),
        "KINESIS_MOCK_TLS_PORT": str(tls),
        "LOG_LEVEL": "WARN",
        "SHARD_LIMIT": "500",
        "CREATE_STREAM_DURATION": _DURATION,
        "SPLIT_SHARD_DURATION": _DURATION,
        "MERGE_SHARDS_DURATION": _DURATION,
        "UPDATE_SHARD_COUNT_DURATION": _DURATION,
    }
    command = ["node", "--require", str(_PINNED / "localhost.cjs"), str(program)]
    with Process("kinesis-local", command, environment, directory / "kinesis-local.log") as process:
        endpoint = f"http://{HOST}:{plain}"
        process.wait_until(lambda: answers(f"{endpoint}/healthcheck"), START_SECONDS)
        yield endpoint


def _installed() -> Path:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotInstallable("Node.js (node and npm) is not installed")
    program = Path("node_modules") / "kinesis-local" / "main.js"
    if not (_FOLDER / program).exists():
        _install()
    return _FOLDER / program


def _install() -> None:
    """Install beside the folder and move it there: another test run may be doing the same."""
    _FOLDER.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER.parent) as temporary:
        target = Path(temporary) / "installed"
        shutil.copytree(_PINNED, target)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        result = subprocess.run(command, cwd=target, capture_output=True, text=True, timeout=120, check=False)
        if result.returncode:
            raise NotInstallable(f"npm cannot install kinesis-local {VERSION}: {result.stderr.strip()[-300:]}")
        if not _FOLDER.exists():
            target.rename(_FOLDER)

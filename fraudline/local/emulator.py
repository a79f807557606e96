"""The embedded AWS: ministack as a child process on 127.0.0.1, from an environment of its own.

ministack pins botocore exactly, so it does not live in ours. It runs Lambda functions as child processes on
its own interpreter; their environment starts from its own, so it gets a clean one.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fraudline.errors import NotReady
from fraudline.local.processes import GRACE_SECONDS, HOST, Process, answers, choose_port

START_SECONDS = 60.0
# It writes down all it holds as it ends; killed earlier, it would have lost that.
KEEP_SECONDS = 120.0
_PROGRAM = Path(".venv-emulator") / "bin" / "ministack"
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True)
class Emulator:
    """A running emulator: where it listens and what programs must have in their environment to use it."""

    endpoint: str
    process: Process

    @property
    def environment(self) -> dict[str, str]:
        """AWS's own variables, complete: nothing of a real account is left to be used by mistake."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "fraudline",
            "AWS_SECRET_ACCESS_KEY": "local",  # nosec B105 # opens nothing but the emulator
            "AWS_SESSION_TOKEN": "",  # nosec B105 # none
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def running_emulator(directory: Path, port: int | None = None, keep_data: bool = False) -> Iterator[Emulator]:
    """An emulator for the time of the block, on `port` or a free one.

    It writes below `directory` only: its log, temporary files and, with `keep_data`, what it holds when it is
    stopped (not when it is killed).
    """
    program = emulator_program()
    chosen = choose_port(port)
    (directory / "tmp").mkdir(parents=True, exist_ok=True)
    environment = _environment(directory.resolve(), chosen, keep_data)
    grace = KEEP_SECONDS if keep_data else GRACE_SECONDS
    with Process("the AWS emulator", [str(program)], environment, directory / "emulator.log", grace) as process:
        emulator = Emulator(f"http://{HOST}:{chosen}", process)
        process.wait_until(lambda: answers(f"{emulator.endpoint}/_ministack/health"), START_SECONDS)
        yield emulator


def emulator_program(root: Path | None = None) -> Path:
    """The installed ministack below `root`, by default this checkout; `NotReady` where it is not installed."""
    program = (root or Path(__file__).parents[2]) / _PROGRAM
    if not program.exists():
        raise NotReady(f"the AWS emulator is not installed ({program} is missing): run `make setup`")
    return program


def emulator_python() -> str:
    """The version of the interpreter that Lambda functions run on here, such as "3.11"."""
    python = emulator_program().with_name("python")
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", show], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def environment_of(variables: Mapping[str, str]) -> Iterator[None]:
    """This process's environment with `variables`, and no other AWS variable, for the time of the block.

    A profile or an endpoint of a single service would win over what the emulator says.
    """
    before = dict(os.environ)
    for name in _aws_names():
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in {*_aws_names(), *variables}:
            os.environ.pop(name, None)
        concerned = {name for name in before if name.startswith("AWS_") or name in variables}
        os.environ.update({name: before[name] for name in concerned})


def _aws_names() -> list[str]:
    return [name for name in os.environ if name.startswith("AWS_")]


def _environment(directory: Path, port: int, keep_data: bool) -> dict[str, str]:
    settings = {
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "TMPDIR": str(directory / "tmp"),
        # Two servers that would listen on every address.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
    }
    if keep_data:
        settings |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(directory / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(directory / "s3"),
        }
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | settings

"""Debian's PostgreSQL for the time of a test, on 127.0.0.1, below a folder of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudline.local.processes import HOST, Process, choose_port

USER = "prefect"
START_SECONDS = 30.0


def programs() -> Path | None:
    """Where initdb and postgres are: Debian keeps them off the path."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (str(versions[-1]) if versions else None)
    return Path(found).resolve().parent if found else None


@contextmanager
def running_postgres(directory: Path) -> Iterator[str]:
    """The URL of an empty database, as Prefect's server takes it."""
    bin_, port = programs(), choose_port()
    assert bin_ is not None
    # PostgreSQL refuses to run as root, and another user cannot read a test's folder.
    with tempfile.TemporaryDirectory(prefix="postgres-") as home:
        become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if become:
            shutil.chown(home, "postgres")
        data = f"{home}/data"
        initdb = [*become, str(bin_ / "initdb"), "--auth=trust", f"--username={USER}", data]
        subprocess.run(initdb, check=True, capture_output=True, cwd=home)
        options = ["-h", HOST, "-p", str(port), "-k", home, "-c", "fsync=off"]
        command = [*become, str(bin_ / "postgres"), "-D", data, *options]
        psql = ["psql", "-h", HOST, "-p", str(port), "-U", USER, "postgres", "-c"]
        with Process("PostgreSQL", command, {"PATH": os.environ["PATH"]}, directory / "postgres.log") as process:
            process.wait_until(lambda: _works([*psql, "SELECT 1"]), START_SECONDS)
            subprocess.run([*psql, f"CREATE DATABASE {USER}"], check=True, capture_output=True)
            yield f"postgresql+asyncpg://{USER}@{HOST}:{port}/{USER}"


def _works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0

"""A second opinion on the configurations, from checkov."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import INFRA, run

CHECKOV = "checkov==3.3.30"


def test_every_skip_says_why() -> None:
    lines = (INFRA / ".checkov.yaml").read_text().splitlines()
    skips = [number for number, line in enumerate(lines) if re.match(r"\s*- CKV", line)]
    assert skips
    for number in skips:
        reasons = (lines[n] for n in range(number - 1, 0, -1) if n not in skips)
        assert next(reasons).strip().startswith("#"), lines[number]


@pytest.mark.long
def test_checkov_finds_nothing_but_the_justified_in_prod(tmp_path: Path) -> None:
    checkov = _checkov(tmp_path / "checkov")
    options = ["--config-file", str(INFRA / ".checkov.yaml"), "--skip-download", "--compact", "--quiet"]
    done = run([checkov, "-d", str(INFRA), "--var-file", str(INFRA / "prod.tfvars"), *options], INFRA)
    assert done.returncode == 0, done.stdout + done.stderr


def _checkov(folder: Path) -> str:
    """The program, in an environment of its own: its pins fit no other."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = run([str(folder / "bin" / "pip"), "install", "--quiet", CHECKOV], folder)
    if install.returncode != 0:
        pytest.skip(f"{CHECKOV} cannot be installed here: it is left out")
    return str(folder / "bin" / "checkov")

"""import-linter's contracts name every module they are about, and are kept."""

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.architecture.layout import core_modules

ROOT = Path(__file__).parents[2]


def contracts() -> dict[str, dict[str, list[str]]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["name"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}


def test_the_contract_on_the_core_names_every_module_of_the_core() -> None:
    named = set(contracts()["The core knows no Prefect, no AWS and nothing of the shell"]["source_modules"])
    # A package stands for all in it.
    core = {".".join(name.split(".")[:2]) for name in core_modules()}
    assert core - named == set(), "name these in pyproject.toml, or put them into a ring around the core"
    assert named - core == set()


def test_every_contract_on_imports_is_kept() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]

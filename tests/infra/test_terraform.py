"""The configurations are well-formed: checked by Terraform, with the provider or against its schema."""

import shutil
from pathlib import Path

import pytest

from .conftest import INFRA, VARIABLES, need_terraform, need_terraform_check, run

CONFIGURATIONS = [INFRA, INFRA / "bootstrap"]


def test_everything_is_formatted_as_terraform_formats_it() -> None:
    done = run([need_terraform(), "fmt", "-check", "-recursive", "-diff"], INFRA)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("directory", CONFIGURATIONS, ids=lambda directory: directory.name)
def test_it_is_valid_and_keeps_its_rules_against_the_schema_of_the_provider(directory: Path) -> None:
    var_file = ["--var-file", "dev.tfvars"] if directory == INFRA else []
    done = run([need_terraform_check(), str(directory), *var_file], directory, **VARIABLES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("directory", CONFIGURATIONS, ids=lambda directory: directory.name)
def test_it_is_valid_and_keeps_its_rules_with_the_real_provider(directory: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(INFRA, tmp_path / "infra") / directory.relative_to(INFRA)  # init writes beside the files
    init = run([need_terraform(), "init", "-backend=false", "-input=false"], copy)
    if init.returncode != 0:
        pytest.skip("the AWS provider cannot be downloaded here; the check against its schema stands in for it")
    for command in ("validate", "test"):
        done = run([need_terraform(), command], copy, **VARIABLES)
        assert done.returncode == 0, done.stdout + done.stderr

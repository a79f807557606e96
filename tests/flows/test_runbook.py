"""docs/runbook.md: a section for everything that can wake somebody, and no command that does not exist."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer
from botocore import xform_name
from botocore.session import Session

from fraudline.adapters.automations import NOTICES
from fraudline.cli.app import app
from fraudline.settings import Settings
from tests.support.pipeline import ROOT

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def commands(program: str) -> list[str]:
    """The lines of all shell blocks that call a program."""
    lines = (line.strip() for block in _BLOCK.findall(RUNBOOK) for line in block.splitlines())
    return [line for line in lines if line.startswith(program + " ")]


def inner(program: str) -> Iterator[str]:
    """Commands in the text between backticks."""
    yield from (text for text in re.findall(r"`([^`\n]+)`", RUNBOOK) if text.startswith(program + " "))


def headings() -> set[str]:
    return {line.lstrip("# ") for line in RUNBOOK.splitlines() if line.startswith("## ")}


def test_every_alarm_of_terraform_has_a_section() -> None:
    text = (ROOT / "infra/modules/observability/main.tf").read_text()
    alarms = re.findall(r'^\s+"([a-z-]+)" = \{', text, re.MULTILINE)
    assert len(alarms) > 10
    assert set(alarms) - headings() == set()


def test_every_notice_of_the_prefect_server_has_a_section() -> None:
    assert {notice.name for notice in NOTICES} - headings() == set()


def test_every_link_within_leads_somewhere() -> None:
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings()}
    links = set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK))
    assert links
    assert links - anchors == set()


@pytest.mark.parametrize("line", sorted({*commands("fraudline"), *inner("fraudline")}))
def test_our_commands_and_their_options_exist(line: str) -> None:
    words = shlex.split(line)[1:]
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    # Raises what a person would be told.
    command.make_context(line, words)


@cache
def _help(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "prefect", *words, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize("line", sorted(commands("prefect")))
def test_prefects_commands_and_their_options_exist(line: str) -> None:
    words = [word for word in shlex.split(line)[1:] if word != "--no-prompt"]
    # Most commands have a group; one has none, one has two.
    path = words[:1] if words[0] == "deploy" else words[:3] if "schedule" in words else words[:2]
    shown = _help(*path)
    options = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help"}
    assert {option for option in options if option not in shown} == set()


def aws_calls() -> set[str]:
    """Calls to AWS, also those whose answer a line keeps or passes on."""
    lines = (line.strip() for block in _BLOCK.findall(RUNBOOK) for line in block.splitlines())
    return {*commands("aws"), *(call for line in lines for call in re.findall(r"\$\((aws [^()]+)\)", line))}


@pytest.mark.parametrize("line", sorted(aws_calls()))
def test_the_calls_to_aws_exist(line: str) -> None:
    service, operation, *words = shlex.split(line)[1:]
    if (service, operation) == ("logs", "tail"):
        # The command line's own, made of several calls.
        return
    model = Session().get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    members = model.operation_model(operations[operation]).input_shape.members
    options = {word.removeprefix("--").removeprefix("no-") for word in words if word.startswith("--")}
    assert options - {xform_name(member, "-") for member in members} <= {"force-new-deployment", "query", "output"}


def test_a_variable_is_a_setting_or_is_set_in_a_line_above() -> None:
    known = set(Settings.model_construct().to_environment())
    used: set[str] = set()
    for line in "\n".join(_BLOCK.findall(RUNBOOK)).splitlines():
        named = set(re.findall(r"\$\{?([A-Z_]+)", line))
        assert named - known == set(), line
        used |= named
        known |= set(re.findall(r"^\s*(?:export )?([A-Z_]+)=", line))
    assert used


def test_deployments_named_are_those_of_prefect_yaml() -> None:
    import yaml

    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    known = {f"{d['entrypoint'].rpartition(':')[2].replace('_', '-')}/{d['name']}" for d in declared}
    named = {shlex.split(line)[3] for line in commands("prefect") if line.startswith("prefect deployment run")}
    assert named
    assert named <= known

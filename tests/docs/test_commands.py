"""Every command in the documents exists, with its options; those marked to be run, run."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from fraudline.cli.app import app, spread
from tests.docs.reading import ROOT, blocks, commands, documents, text_of
from tests.support.command import PROGRAM, environment_of_a_fresh_machine

COMMANDS = typer.main.get_command(app)
CALLS = [pytest.param(words, id=f"{document}: {' '.join(words)[:60]}") for document, words in commands("fraudline")]
MADE = [pytest.param(words, id=f"{document}: make {' '.join(words)}") for document, words in commands("make")]
RUN = [block for document in documents() for block in blocks(document) if block.is_run]


@pytest.mark.parametrize("words", CALLS)
def test_a_command_in_the_documents_exists_with_its_options(words: list[str]) -> None:
    command, options = _resolved([word for word in words if word != "--debug"])
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert options <= known | {"--help"}


@pytest.mark.parametrize("words", [param for param in CALLS if "--" in str(param.values[0])])
def test_a_whole_command_in_the_documents_is_understood(words: list[str]) -> None:
    """Required options are there and values are of their types; a span that only names options is not a whole one."""
    command, options = _resolved([word for word in words if word != "--debug"])
    required = [parameter for parameter in command.params if parameter.required and parameter.opts[0].startswith("-")]
    if options & {"--help", "--version", "--forever"} or not all(
        options & set(parameter.opts) for parameter in required
    ):
        return
    arguments = spread([word for word in words if word != "--debug"])
    while arguments and _is_group_word(arguments[0]):
        arguments = arguments[1:]
    command.make_context("fraudline", arguments)


@pytest.mark.parametrize("words", MADE)
def test_a_target_in_the_documents_exists(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    variables = set(re.findall(r"\$\((?:if \$\()?(\w+)", makefile)) | set(re.findall(r"^(\w+) [?:]?=", makefile, re.M))
    for word in words:
        name, is_variable, _ = word.partition("=")
        assert name in (variables if is_variable else targets), word


def test_the_readme_lists_every_command_and_no_other() -> None:
    listed = re.findall(r"^\| `fraudline ([\w-]+)` \|", text_of("README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS.commands)


def test_the_readme_shows_the_demos_own_checks() -> None:
    shown = re.findall(r"^ ✓  (.+?)  +\S", text_of("README.md"), re.MULTILINE)
    made = re.findall(r'_result\(\s*f?"([^"]+)"', (ROOT / "fraudline" / "demo" / "evidence.py").read_text())
    assert shown == made


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.document)
def test_a_block_that_is_to_be_run_runs(block: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = environment_of_a_fresh_machine(home)
    environment["PATH"] = f"{Path(PROGRAM).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["sh", "-e"], input=block.text, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _resolved(words: list[str]) -> tuple[Any, set[str]]:
    """The command that the words name, and the options they give it."""
    command: Any = COMMANDS
    for word in words:
        if word.startswith("-") or not hasattr(command, "commands"):
            break
        assert word in command.commands, f"there is no command {word!r}"
        command = command.commands[word]
    return command, {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}


def _is_group_word(word: str) -> bool:
    groups = {name for name, command in COMMANDS.commands.items() if hasattr(command, "commands")}
    inner = {name for group in groups for name in COMMANDS.commands[group].commands}
    return word in COMMANDS.commands or word in inner

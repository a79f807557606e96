"""What the tests themselves call `fraudline` with, read from their source: commands, and the options given to each."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import typer

from fraudline.cli.app import app
from tests.docs.reading import ROOT

COMMANDS: Any = typer.main.get_command(app)
# Functions of tests that run what they are given, and lists that begin with the program.
RUNNERS = {"runs", "run", "fraudline", "asked", "invoke"}
PROGRAMS = {"PROGRAM", "program"}


class Invoked(NamedTuple):
    """A command (`models list`) with the options it is given, by their long names."""

    command: str
    options: frozenset[str]

    def covers(self, other: "Invoked") -> bool:
        return self.command == other.command and self.options >= other.options


def invoked(words: Iterable[str]) -> Invoked:
    """What a command line calls; `KeyError` naming a command or an option that there is not."""
    command, path, given = COMMANDS, [], list(words)
    while given and hasattr(command, "commands") and not given[0].startswith("-"):
        path.append(given.pop(0))
        command = command.commands[path[-1]]
    long = {name: max(p.opts, key=len) for p in command.params for name in (*p.opts, *p.secondary_opts)}
    told = {word.partition("=")[0] for word in given if word.startswith("-") and word != "-"}
    return Invoked(" ".join(path), frozenset(long[name] for name in told - {"--help", "--debug"}))


@cache
def calls_of_tests() -> frozenset[Invoked]:
    """Every call that the tests make of the program."""
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.name != "test_bad_input.py"]
    return frozenset(invoked(words) for path in files for words in _calls(ast.parse(path.read_text())))


def literals(file: str) -> list[list[str]]:
    """The texts in each list, tuple and call of a file, in their order."""
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.List, ast.Tuple, ast.Call)
    return [list(_texts(node, {})) for node in ast.walk(tree) if isinstance(node, kinds)]


def _calls(tree: ast.Module) -> Iterator[list[str]]:
    shared = _assigned(tree.body)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            inside = list(ast.walk(function))
            named = shared | _assigned(inside)
            for node in filter(_runs, inside):
                words = list(_texts(node, named))
                if words and words[0] in COMMANDS.commands:
                    yield words


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, ast.AST]:
    """What names stand for."""
    assigned = (node for node in nodes if isinstance(node, ast.Assign))
    pairs = [(name, node.value) for node in assigned for name in node.targets]
    kinds = (ast.Constant, ast.List, ast.Tuple)
    return {name.id: value for name, value in pairs if isinstance(name, ast.Name) and isinstance(value, kinds)}


def _runs(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return _name(node.func) in RUNNERS
    return isinstance(node, ast.List) and bool(node.elts) and _name(node.elts[0]) in PROGRAMS


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _texts(node: ast.AST, named: dict[str, ast.AST]) -> Iterator[str]:
    """The constant texts of a sequence or of a call's arguments, and of sequences in it; names are looked up."""
    if isinstance(node, ast.Starred):
        node = node.value
    if isinstance(node, ast.Name):
        # A name that is made of itself is looked up once.
        named = dict(named)
        node = named.pop(node.id, node)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    parts = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.List | ast.Tuple) else []
    for part in parts:
        if not isinstance(part, ast.Call):
            yield from _texts(part, named)

"""The core decides by its arguments alone: it reads no environment and no clock."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.architecture.layout import core_modules

ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv"}
CLOCKS = {
    *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "datetime.now", "datetime.utcnow"),
    *("datetime.today", "date.today", "datetime.datetime.now", "datetime.date.today", "Timestamp.now"),
}
# Great Expectations phones home unless told not to before it is imported; nothing is read.
ALLOWED = {("fraudline.quality.engine", "os.environ")}


def source_of(module: str) -> ast.Module:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def names_used(tree: ast.Module) -> Iterator[str]:
    """Dotted names as written, and `module.name` for each `from module import name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden_in(module: str, tree: ast.Module) -> set[str]:
    used = {name for name in names_used(tree) if name in ENVIRONMENT | CLOCKS}
    return {name for name in used if (module, name) not in ALLOWED}


@pytest.mark.parametrize(
    "source", ["import os\nos.environ['X']", "from os import getenv", "x = datetime.now(UTC)", "from time import time"]
)
def test_a_look_at_the_environment_or_the_clock_would_be_found(source: str) -> None:
    assert forbidden_in("fraudline.training", ast.parse(source))


@pytest.mark.parametrize("module", core_modules())
def test_the_core_reads_neither_the_environment_nor_a_clock(module: str) -> None:
    assert forbidden_in(module, source_of(module)) == set()


@pytest.mark.parametrize("module", core_modules())
def test_the_core_opens_no_connection_and_starts_no_process(module: str) -> None:
    imported = {name.split(".")[0] for name in _imports(source_of(module))}
    assert imported.isdisjoint({"socket", "http", "requests", "httpx", "urllib3", "subprocess", "threading"})


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module

"""Which of fraudline's own modules the function needs: everything its handler imports, and what that imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

ENTRY = "fraudline.realtime.handler"
_ROOT = Path(__file__).parents[2]


def function_sources() -> dict[str, bytes]:
    """The sources by their path in the package, such as `fraudline/realtime/handler.py`."""
    needed: dict[str, bytes] = {}
    waiting = [ENTRY]
    while waiting:
        path = _path(waiting.pop())
        if path is None or str(path) in needed:
            continue
        needed[str(path)] = source = (_ROOT / path).read_bytes()
        waiting += _imports(ast.parse(source))
        waiting += [".".join(parent.parts) for parent in path.parents if parent.parts]
    return dict(sorted(needed.items()))


def _path(module: str) -> Path | None:
    """A module's file, or None if the name is that of something inside one."""
    base = Path(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if (_ROOT / path).is_file()), None)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Names of fraudline's that a module imports, wherever in it; some are modules, some are things in one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("fraudline"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fraudline"):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)

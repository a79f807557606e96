"""The demo's frame: start the stack, take the steps one after the other, and check what is there at the end."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from fraudline.contract import load_contract
from fraudline.demo.data import make_data, read_given, split
from fraudline.errors import BadInput
from fraudline.local.emulator import environment_of, running_emulator
from fraudline.local.prefect_server import running_prefect_server

CONTRACT = "ecommerce"
MARK = ".fraudline-demo"


def run_demo(out: Path, data: Path | None) -> dict[str, Any]:
    """Everything, below `out`; returns the summary that is also in `summary.json` there."""
    console = Console(stderr=True)
    seconds: dict[str, float] = {}
    contract = load_contract(CONTRACT)
    given = None
    if data:
        # Before anything is emptied or started: a file that is none must cost nobody anything.
        with _step(console, "read transactions", seconds):
            given = read_given(_outside(data, out), contract)
    _empty(out)
    with ExitStack() as stack:
        with _step(console, "start the embedded stack", seconds):
            emulator = stack.enter_context(running_emulator(out / "stack"))
            server = stack.enter_context(running_prefect_server(out / "stack"))
            variables = emulator.environment | server.environment
            stack.enter_context(environment_of(variables))
        with _step(console, "split off the last day" if given else "make transactions", seconds):
            files = split(given, contract, out) if given else make_data(out)
        story = _prepare(console, contract, files, out, seconds, stack, variables)
        return _conclude(console, story, seconds, server.api)


def _prepare(
    console: Console,
    contract: Any,
    files: Any,
    out: Path,
    seconds: dict[str, float],
    stack: ExitStack,
    variables: dict[str, str],
) -> Any:
    # Only now, for what they import reads the environment as it is loaded.
    from fraudline.demo import steps
    from fraudline.local.resources import create_resources
    from fraudline.settings import load_settings

    with _step(console, "create stream, tables, buckets and alerts", seconds):
        settings = create_resources(load_settings(contract=CONTRACT))
        stack.enter_context(environment_of(variables | settings.to_environment()))
        story = steps.Story(contract, settings, files, out)
        steps.upload(story)
    journey: tuple[tuple[str, Callable[[Any], None]], ...] = (
        ("retrain", steps.retrain),
        ("warm profiles up", steps.warm_up),
        ("package, deploy and ask the Lambda", steps.deploy_function),
        ("send the last day to the stream", steps.send),
        ("score the stream", steps.score_stream),
        ("backfill", steps.backfill),
        ("data quality", steps.data_quality),
    )
    for name, take in journey:
        with _step(console, name, seconds):
            take(story)
    return story


def _conclude(console: Console, story: Any, seconds: dict[str, float], api: str) -> dict[str, Any]:
    from fraudline.demo.evidence import check, gather
    from fraudline.demo.summary import summarise

    with _step(console, "check", seconds):
        evidence = gather(story)
        checks = check(story, evidence)
    summary = summarise(story, evidence, checks, seconds)
    (story.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


@contextmanager
def _step(console: Console, name: str, seconds: dict[str, float]) -> Iterator[None]:
    """A live line while the step runs, a line with its time when it is done."""
    begin = time.monotonic()
    with ExitStack() as stack:
        if console.is_terminal:
            status = stack.enter_context(console.status(name))
            stack.enter_context(_telling(lambda sentence: status.update(f"{name}: {sentence}")))
        yield
    seconds[name] = round(time.monotonic() - begin, 1)
    console.print(f"[green]✓[/] {name} [dim]{seconds[name]} s[/]", highlight=False)


@contextmanager
def _telling(listener: Callable[[str], None]) -> Iterator[None]:
    from tasks.progress import listening

    with listening(listener):
        yield


def _outside(data: Path, out: Path) -> Path:
    if out.resolve() in data.resolve().parents:
        raise BadInput(f"{data} lies in {out}, which is emptied first: move it, or name another folder with --out")
    return data


def _empty(out: Path) -> None:
    """An empty folder; one that is not a demo's is left alone."""
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise BadInput(f"{out} holds files that are no demo's: name another folder with --out, or empty it")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARK).touch()

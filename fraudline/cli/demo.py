"""`fraudline demo`."""

from pathlib import Path
from typing import Annotated

import typer

from fraudline.cli.common import JsonOption, print_json
from fraudline.errors import FraudlineError


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    data: Annotated[
        Path | None, typer.Option(help="A CSV in the ecommerce contract; else transactions are made.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where everything goes; emptied first.")] = Path("out/demo"),
    json: JsonOption = False,
) -> None:
    """The whole pipeline on an embedded stack: retrain, Lambda, stream, backfill, data quality, and its own checks."""
    from fraudline.demo import run_demo
    from fraudline.demo.tables import show

    summary = run_demo(out, data)
    if json:
        print_json(summary)
    else:
        show(summary, out)
    failed = [check["name"] for check in summary["checks"] if not check["ok"]]
    if failed:
        raise FraudlineError(f"the demo's own check failed: {', '.join(failed)}; see {out}/summary.json")

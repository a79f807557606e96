"""`fraudline package-lambda`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fraudline.cli.common import JsonOption, print_json, print_pairs, working


def register(app: typer.Typer) -> None:
    app.command("package-lambda")(package_lambda)


def package_lambda(
    out: Annotated[Path, typer.Option(help="The zip to write.")],
    python: Annotated[str, typer.Option(help="The function's Python: 3.11, 3.12 or 3.13.")] = "3.11",
    arch: Annotated[str, typer.Option(help="x86_64 or arm64.")] = "x86_64",
    bundle: Annotated[
        Path | None, typer.Option(help="A version's folder to bake in; else the champion is fetched.")
    ] = None,
    trees: Annotated[bool, typer.Option("--trees", help="Add what a champion of boosted trees needs.")] = False,
    json: JsonOption = False,
) -> None:
    """Make the real-time function's zip: the scorer's code and its one library, the same bytes every time."""
    with working("Packaging"):
        from fraudline.realtime.packaging import package_lambda as package

        report = package(out, python, arch, bundle, trees)
    if json:
        print_json(asdict(report))
    else:
        print_pairs("Package", asdict(report))

"""`fraudline score`."""

import sys
from typing import Annotated

import typer

from fraudline.cli.common import ContractOption, ModelsOption


def register(app: typer.Typer) -> None:
    app.command()(score)


def score(
    file: Annotated[
        typer.FileBinaryRead, typer.Argument(help="JSON lines, one transaction each; - for standard input.")
    ],
    model: Annotated[str, typer.Option(help="champion, or a version.")] = "champion",
    models: ModelsOption = "models",
    contract: ContractOption = "ecommerce",
) -> None:
    """Score JSON lines through the real-time code, one answer a line; earlier lines are history for later ones."""
    import msgspec

    from fraudline.adapters.registry import open_registry
    from fraudline.contract import load_contract
    from fraudline.model.bundle import load_bundle
    from fraudline.realtime.lines import score_lines

    registry = open_registry(models, load_contract(contract).name)
    version = registry.resolve(model)
    bundle = load_bundle(registry.read(version).__getitem__, version)
    for answer in score_lines(bundle, file):
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        # Whoever writes lines one by one waits for the answer to each.
        sys.stdout.buffer.flush()

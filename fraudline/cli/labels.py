"""`fraudline labels apply` and `fraudline materialize`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from fraudline.cli.common import JsonOption, print_json, print_pairs, run_flow, working
from fraudline.cli.status import use_stack

app = typer.Typer(help="What was found of transactions, into the label store.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="labels")
    parent.command()(materialize)


@app.command()
def apply(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders or s3:// prefixes with transaction_id, label, known_at; an empty label withdraws."
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Append the labels of files to the store: late, corrected and withdrawn ones, each once however often."""
    use_stack()
    with working("Starting"):
        from flows.ingest_labels import IngestLabelsRequest, ingest_labels

        result = run_flow(ingest_labels, IngestLabelsRequest(labels=files))
    if json:
        print_json(asdict(result))
    else:
        print_pairs("Labels", {name: value for name, value in asdict(result).items() if value is not None})


def materialize(
    now: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%dT%H:%M:%SZ"], help="The present (UTC); by default it is.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Build the profiles of lagged entities (terminals, devices) from all that has landed; every hour in production."""
    use_stack()
    with working("Starting"):
        from flows.materialize import MaterializeRequest
        from flows.materialize import materialize as flow

        moment = now.replace(tzinfo=UTC) if now else datetime.now(UTC)
        result = run_flow(flow, MaterializeRequest(now=moment))
    if json:
        print_json(asdict(result))
    else:
        print_pairs("Materialize", asdict(result))

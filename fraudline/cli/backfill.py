"""`fraudline backfill`."""

from dataclasses import asdict
from typing import Annotated

import typer

from fraudline.cli.bars import bar
from fraudline.cli.common import (
    ContractOption,
    JsonOption,
    ModelsOption,
    TransactionsOption,
    parse_date,
    print_json,
    print_pairs,
    run_flow,
)


def register(app: typer.Typer) -> None:
    app.command()(backfill)


def backfill(
    transactions: TransactionsOption,
    start: Annotated[str, typer.Option(help="The first day to score (UTC).")],
    end: Annotated[str, typer.Option(help="The day after the last one to score.")],
    out: Annotated[str, typer.Option(help="FILE.parquet, or a folder: one file a day and a manifest, resumable.")],
    model: Annotated[str, typer.Option(help="champion, or a version.")] = "champion",
    models: ModelsOption = "models",
    contract: ContractOption = "ecommerce",
    quarantine: Annotated[str | None, typer.Option(help="Where rejected rows go; by default with the models.")] = None,
    dask: Annotated[
        str | None, typer.Option(help="A Dask scheduler, tcp://host:port, whose workers see the files and the output.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Score the transactions of past days with any version, exactly as it would have scored them then.

    Earlier rows of the input are history. Nothing online is read or changed.
    """
    first, last = parse_date(start, "--start"), parse_date(end, "--end")
    with bar("Starting"):
        from flows.backfill import BackfillRequest
        from flows.backfill import backfill as flow

        request = BackfillRequest(
            contract=contract,
            transactions=transactions,
            start=first,
            end=last,
            model=model,
            models=models,
            quarantine=quarantine or models,
            out=out,
            dask=dask,
        )
        result = run_flow(flow, request)
    if json:
        print_json(asdict(result))
    else:
        print_pairs("Backfill", asdict(result))

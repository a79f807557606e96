"""`fraudline backfill`."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from fraudline.cli.bars import bar
from fraudline.cli.checks import checked_input, checked_registry
from fraudline.cli.common import (
    DeploymentContractOption,
    JsonOption,
    ModelsOption,
    contract_or_deployments,
    parse_date,
    print_json,
    print_pairs,
    print_rows,
    run_flow,
)
from fraudline.cli.status import use_stack
from fraudline.errors import BadInput


def register(app: typer.Typer) -> None:
    app.command()(backfill)


def backfill(
    start: Annotated[str, typer.Option(help="The first day to score (UTC).")],
    end: Annotated[str, typer.Option(help="The day after the last one to score.")],
    transactions: Annotated[
        list[str] | None,
        typer.Option(
            "--transactions",
            "-t",
            help="A .csv, .jsonl or .parquet file, a folder, or s3://...; repeatable. By default all that has landed.",
        ),
    ] = None,
    stream_from: Annotated[
        str | None, typer.Option(help="Also what the stream keeps since then, such as 2026-01-31T12:00:00Z.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="A folder or s3://bucket/prefix: one file a day and a manifest, resumable; {version} in it stands for"
            " the model's. Or one FILE.parquet."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Into the decisions table, under the origin backfill#NAME; resumable.")
    ] = None,
    compare_to: Annotated[
        str | None, typer.Option(help="record (the stream's decisions), a version, or another backfill's output.")
    ] = None,
    report: Annotated[str, typer.Option(help="Where the comparison's page goes.")] = "out/backfill-diff",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    model: Annotated[str, typer.Option(help="champion, or a version.")] = "champion",
    models: ModelsOption = "models",
    contract: DeploymentContractOption = "",
    quarantine: Annotated[str | None, typer.Option(help="Where rejected rows go; by default with the models.")] = None,
    dask: Annotated[
        str | None, typer.Option(help="A Dask scheduler, tcp://host:port, whose workers see the files and the output.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Score the transactions of past days with any version, exactly as it would have scored them then.

    Earlier rows of the input are history, with the labels in their own column. Nothing online is read or changed.
    """
    from fraudline.backfill.decisions import check_outputs, check_window

    first, last = parse_date(start, "--start"), parse_date(end, "--end")
    since = _moment(stream_from) if stream_from else None
    check_window(first, last)
    check_outputs(out, name)
    stored = any("://" in place for place in (out or "", compare_to or ""))
    if name or since or stored or compare_to == "record" or not transactions:
        use_stack()
    contract = contract_or_deployments(contract)
    version = checked_registry(models, checked_input(contract, transactions or [])).resolve(model)
    with bar("Starting"):
        from flows.backfill import BackfillRequest
        from flows.backfill import backfill as flow

        request = BackfillRequest(
            contract=contract,
            transactions=transactions or [],
            stream_from=since,
            start=first,
            end=last,
            model=version,
            models=models,
            quarantine=quarantine or models,
            out=out,
            name=name,
            compare_to=compare_to,
            reports=report,
            dry_run=dry_run,
            dask=dask,
        )
        result = run_flow(flow, request)
    values = asdict(result)
    if json:
        print_json(values)
    else:
        _print(values)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"--stream-from {text!r} is no time: write it as 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None:
        raise BadInput(f"--stream-from {text!r} has no zone: write it as 2026-01-31T12:00:00Z")
    return moment


def _print(values: dict[str, Any]) -> None:
    compared, plan = values.pop("compared"), values.pop("plan")
    print_pairs("Would be done" if plan else "Backfill", {k: v for k, v in values.items() if v is not None})
    if plan:
        print_rows("Days", plan)
    if compared:
        print_pairs(f"Against {compared.pop('against')}", compared)

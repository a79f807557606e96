"""`fraudline quality`, and `fraudline quality suite`, which drafts what it judges by."""

from typing import Annotated, Any

import typer

from fraudline.cli.checks import checked_input
from fraudline.cli.common import (
    ContractOption,
    JsonOption,
    print_json,
    print_pairs,
    print_rows,
    working,
)
from fraudline.errors import BadInput

CRITICAL = 1

app = typer.Typer(invoke_without_command=True)
FilesOption = Annotated[
    list[str] | None,
    typer.Option("--transactions", "-t", help="A .csv, .jsonl or .parquet file, a folder, or s3://...; repeatable."),
]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="quality")


@app.callback()
def quality(
    context: typer.Context,
    transactions: FilesOption = None,
    out: Annotated[str, typer.Option(help="Where the report goes: a folder or s3://bucket/prefix.")] = "out/quality",
    contract: ContractOption = "ecommerce",
    json: JsonOption = False,
) -> None:
    """Judge files against the contract and the expectations, and write report.html; exits 1 on a critical failure."""
    if context.invoked_subcommand:
        return
    if not transactions:
        raise BadInput("no transactions given: name a file, a folder or an s3:// prefix with --transactions")
    from fraudline.adapters.storage.objects import open_objects

    definition, objects = checked_input(contract, transactions), open_objects(out)
    with working("Judging"):
        from fraudline.adapters.inputs.files import read_transactions
        from fraudline.adapters.quality_report import REPORT, run_quality
        from tasks.progress import say

        landed = read_transactions(
            definition, transactions, lambda source, rows: say(f"Read {rows:,} rows from {source}")
        )
        say(f"Judging {landed.rows:,} rows against the expectations")
        result = run_quality(definition, landed, objects)
    report = f"{objects.location}/{REPORT}"
    if json:
        print_json(_values(result, report))
    else:
        _print(result, report)
    if result.critical_failures:
        raise typer.Exit(CRITICAL)


@app.command()
def suite(
    contract: ContractOption = "ecommerce",
    stage: Annotated[str, typer.Option(help="landed, training, labels or decisions.")] = "landed",
    transactions: FilesOption = None,
    to: Annotated[str | None, typer.Option(help="The file; by default expectations/<contract>/<stage>.json.")] = None,
) -> None:
    """Draft a suite of expectations from a contract and, better, a sample of transactions, for a person to edit."""
    from expectations import write_draft
    from fraudline.contract import load_contract
    from fraudline.quality.suite import STAGES

    if stage not in STAGES:
        raise BadInput(f"--stage {stage!r} is none: use one of {', '.join(STAGES)}")
    definition = load_contract(contract)
    path = write_draft(definition, stage, _sample(definition, transactions), to)
    typer.echo(f"Wrote {path}: edit it as you see fit.")


def _sample(contract: Any, transactions: list[str] | None) -> Any:
    if not transactions:
        return None
    from fraudline.adapters.inputs.files import load_transactions

    return load_transactions(contract, transactions)


def _values(result: Any, report: str) -> dict[str, Any]:
    return {
        "rows": result.rows,
        "valid": result.valid,
        "quarantined": result.quarantined,
        "duplicates": result.duplicates,
        "excluded_from_training": len(result.excluded),
        "reasons": result.reasons,
        "passed": result.passed,
        "critical_failures": [outcome.sentence for outcome in result.critical_failures],
        "expectations": [
            {
                "name": o.name,
                "column": o.column,
                "severity": o.severity,
                "success": o.success,
                "failed_rows": o.failed_rows,
            }
            for o in result.expectations
        ],
        "report": report,
    }


def _print(result: Any, report: str) -> None:
    if result.reasons:
        print_rows("Quarantined", [{"reason": reason, "rows": rows} for reason, rows in result.reasons.items()])
    if result.failures:
        rows = [{"expectation": o.sentence, "severity": o.severity, "rows": o.failed_rows} for o in result.failures]
        print_rows("Expectations that failed", rows)
    counts = {name: getattr(result, name) for name in ("rows", "valid", "quarantined", "duplicates")}
    print_pairs("Quality", {**counts, "left out of training": len(result.excluded), "report": report})

"""`fraudline score-stream` and `fraudline warm-up`."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from fraudline.cli.common import (
    JsonOption,
    parse_date,
    print_json,
    print_pairs,
    print_rows,
    run_flow,
    working,
)
from fraudline.cli.status import use_stack
from fraudline.errors import Unavailable

# A stream with nothing new is not asked again at once.
IDLE_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    app.command("score-stream")(score_stream)
    app.command("warm-up")(warm_up)


def score_stream(
    model: Annotated[str, typer.Option(help="champion, or a version.")] = "champion",
    seconds: Annotated[float, typer.Option(min=1, help="End after so many seconds, between two batches.")] = 60.0,
    records: Annotated[int, typer.Option(min=1, help="End a shard after so many records.")] = 100_000,
    forever: Annotated[bool, typer.Option("--forever", help="Slice after slice until stopped (systemd, ECS).")] = False,
    json: JsonOption = False,
) -> None:
    """Poll shards under leases and score micro-batches until caught up; names of resources come from FRAUDLINE_*."""
    use_stack()
    with working("Starting"):
        from flows.score_stream import ScoreStreamRequest
        from flows.score_stream import score_stream as flow
        from tasks.stopping import stop_flag

        request = ScoreStreamRequest(model=model, seconds=seconds, records=records)
        with stop_flag() as stop:
            report = run_flow(flow, request)
            while forever and not stop():
                if not report.read:
                    time.sleep(IDLE_SECONDS)
                report = run_flow(flow, request)
    values = {
        "read": report.read,
        "scored": report.scored,
        "quarantined": sum(report.quarantined.values()),
        "duplicates": report.duplicates,
        "alerts": report.alerts,
        "reasons": report.quarantined,
        "lag_seconds": report.lag_seconds,
        "flags": report.flags,
        "seconds": report.seconds,
    }
    if json:
        print_json(values)
    else:
        from tasks.streaming import drain_rows

        print_rows("Shards", drain_rows(report.drains))
        print_pairs(
            "Stream", {name: values[name] for name in ("read", "scored", "quarantined", "duplicates", "alerts")}
        )
    failed = [drain.message for drain in report.drains if drain.ended == "unavailable"]
    if failed:
        raise Unavailable(failed[0])


def warm_up(
    transactions: Annotated[
        list[str],
        typer.Option(
            "--transactions", "-t", help="Files with the past before the stream; none: those that have landed."
        ),
    ] = [],  # noqa: B006  # typer copies it
    before: Annotated[str, typer.Option(help="Count their transactions before this day (UTC); by default today.")] = "",
    contract: Annotated[
        str, typer.Option("--contract", "-c", help="Whose features; by default FRAUDLINE_CONTRACT.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Build the profiles of a contract's features, from a past in files and from all that the stream has archived."""
    given: dict[str, Any] = {"transactions": transactions}
    if before:
        given["before"] = parse_date(before, "--before")
    if contract:
        given["contract"] = contract
    use_stack()
    with working("Starting"):
        from flows.warm_up import WarmUpRequest
        from flows.warm_up import warm_up as flow

        built = run_flow(flow, WarmUpRequest(**given))
    if json:
        print_json(asdict(built))
    else:
        print_pairs("Profiles", asdict(built))

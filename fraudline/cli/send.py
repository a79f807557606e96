"""`fraudline send`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fraudline.cli.common import ContractOption, JsonOption, print_json, print_pairs, working


def register(app: typer.Typer) -> None:
    app.command()(send)


def send(
    transactions: Annotated[Path, typer.Option("--transactions", "-t", help="A .csv, .jsonl or .parquet file.")],
    stream: Annotated[str | None, typer.Option(help="The stream; by default FRAUDLINE_STREAM.")] = None,
    rate: Annotated[float | None, typer.Option(help="Records a second at most.")] = None,
    contract: ContractOption = "ecommerce",
    json: JsonOption = False,
) -> None:
    """Send a file's rows to the stream, as they are and without their label, each keyed by its first entity."""
    with working("Sending"):
        from fraudline.adapters.clients import client
        from fraudline.adapters.outgoing import outgoing
        from fraudline.adapters.producer import Producer
        from fraudline.contract import load_contract
        from fraudline.settings import load_settings
        from tasks.progress import say

        producer = Producer(client("kinesis"), stream or load_settings().stream)
        records = outgoing(load_contract(contract), transactions)
        report = producer.send(records, rate, lambda sent: say(f"Sent {sent:,} records to {producer.stream}"))
    if json:
        print_json(asdict(report))
    else:
        print_pairs(f"Sent to {producer.stream}", asdict(report))

"""`fraudline send`."""

from collections.abc import Callable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from fraudline.cli.common import (
    DeploymentContractOption,
    JsonOption,
    contract_or_deployments,
    print_json,
    print_pairs,
    working,
)
from fraudline.cli.status import use_stack

_EVERY = 1000


def register(app: typer.Typer) -> None:
    app.command()(send)


def send(
    transactions: Annotated[
        list[Path], typer.Option("--transactions", "-t", help="A .csv, .jsonl or .parquet file; repeatable.")
    ],
    stream: Annotated[str | None, typer.Option(help="The stream; by default FRAUDLINE_STREAM.")] = None,
    rate: Annotated[float | None, typer.Option(help="Records a second at most.")] = None,
    contract: DeploymentContractOption = "",
    json: JsonOption = False,
) -> None:
    """Send the rows of files to the stream, as they are and without their label, each keyed by its first entity."""
    use_stack()
    with working("Sending"):
        from fraudline.adapters.aws.clients import client
        from fraudline.adapters.stream.outgoing import outgoing
        from fraudline.adapters.stream.producer import Producer
        from fraudline.contract import load_contract
        from fraudline.settings import load_settings

        producer = Producer(client("kinesis"), stream or load_settings().stream)
        definition = load_contract(contract_or_deployments(contract))
        # Each file is looked for before the first is sent.
        records = chain.from_iterable([outgoing(definition, path) for path in transactions])
        report = producer.send(records, rate, _telling(producer.stream))
    if json:
        print_json(asdict(report))
    else:
        print_pairs(f"Sent to {producer.stream}", asdict(report))


def _telling(stream: str) -> Callable[[int], None]:
    """Tells at every further thousand how many records were sent so far; a call may take a single one."""
    from tasks.progress import say

    sent = 0

    def tell(taken: int) -> None:
        nonlocal sent
        before, sent = sent, sent + taken
        if sent // _EVERY > before // _EVERY:
            say(f"Sent {sent:,} records to {stream}")

    return tell

"""What commands share: options, dates, output as tables or JSON, progress on the terminal, and running a flow."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fraudline.errors import BadInput
from fraudline.printable import printable

# What is shown was often written by strangers: no text is markup.
out = Console(markup=False, emoji=False)
err = Console(stderr=True, markup=False, emoji=False)

ContractOption = Annotated[
    str, typer.Option("--contract", "-c", help="A shipped contract (ecommerce, cards) or a TOML file.")
]
TransactionsOption = Annotated[
    list[str],
    typer.Option("--transactions", "-t", help="A .csv, .jsonl or .parquet file, a folder, or s3://...; repeatable."),
]
ModelsOption = Annotated[str, typer.Option("--models", help="The registry: a folder or s3://bucket/prefix.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")]


def parse_date(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{option} {text!r} is not a date: write it as 2026-01-31") from error


def print_json(values: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(values, indent=2, default=str))


def print_pairs(title: str, pairs: Mapping[str, Any]) -> None:
    table = Table(title=printable(title), show_header=False, title_justify="left", box=None)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in pairs.items():
        table.add_row(Text(name, "bold"), _shown(value))
    out.print(table)


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(title=printable(title), title_justify="left")
    for number, column in enumerate(rows[0] if rows else ()):
        # Folded, never cut: an id that does not fit is still one to copy.
        justify: Literal["left", "right"] = "right" if isinstance(rows[0][column], int | float | Decimal) else "left"
        # What a row is called stands first: it stays in one piece where there is room for it.
        whole = number == 0 and max(len(_shown(row[column])) for row in rows) <= out.width // 2
        table.add_column(column, justify=justify, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    out.print(table)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


@contextmanager
def working(sentence: str) -> Iterator[None]:
    """A live line on standard error that tells what a flow is doing.

    Where standard error is no terminal, each sentence is a line of its own.
    """
    from tasks.progress import listening

    if not err.is_terminal:
        with listening(lambda text: err.print(text, highlight=False)):
            yield
        return
    with err.status(sentence) as status, listening(lambda text: status.update(Text(text))):
        yield


def run_flow(flow: Any, *args: Any, **kwargs: Any) -> Any:
    """Run a flow in this process: recorded where a Prefect API is configured, as plain functions where none is."""
    from prefect.settings import get_current_settings

    if os.environ.get("PREFECT_API_URL") or get_current_settings().api.url:
        return flow(*args, **kwargs)
    return flow.fn(*args, **kwargs)

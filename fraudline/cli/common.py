"""What commands share: options, dates, output as tables or JSON, progress on the terminal, and running a flow."""

import json
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fraudline.errors import BadInput, FraudlineError, Unavailable
from fraudline.printable import printable

# What is shown was often written by strangers: no text is markup.
out = Console(markup=False, emoji=False)
err = Console(stderr=True, markup=False, emoji=False)
# Columns of a table are so far apart.
_BETWEEN = 2
# A version is in one piece; a longer word, such as a digest or a key, may be broken.
_LONGEST_WORD = 24
# Prefect has no class of its own for this.
_NO_SERVER = "Failed to reach API"

# A shell that is pointed at a deployment means the contract of that deployment.
ContractOption = Annotated[
    str,
    typer.Option(
        "--contract", "-c", envvar="FRAUDLINE_CONTRACT", help="A shipped contract (ecommerce, cards) or a TOML file."
    ),
]
# Where a command may work on the stack that runs here, that stack's contract is known only once its options are read.
DeploymentContractOption = Annotated[
    str,
    typer.Option(
        "--contract", "-c", help="A shipped contract (ecommerce, cards) or a TOML file; by default the deployment's."
    ),
]
TransactionsOption = Annotated[
    list[str],
    typer.Option("--transactions", "-t", help="A .csv, .jsonl or .parquet file, a folder, or s3://...; repeatable."),
]
ModelsOption = Annotated[str, typer.Option("--models", help="The registry: a folder or s3://bucket/prefix.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")]


def contract_or_deployments(contract: str) -> str:
    """The contract that was named, else that of the deployment: of the stack in use, or FRAUDLINE_CONTRACT."""
    from fraudline.settings import load_settings

    return contract or load_settings().contract


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
    """A table as wide as the terminal at most; a row's pairs one below the other where else words would be broken.

    A heading may be broken for it: its figures stay side by side.
    """
    first = rows[0] if rows else {}
    columns = [[column.replace("_", " "), *(_shown(row[column]) for row in rows)] for column in first]
    room = out.width - _BETWEEN * len(columns) - 1
    words = [_longest_word(texts) for texts in columns]
    if sum(words) > room:
        words = [_longest_word(texts[1:]) for texts in columns]
    if sum(words) > room:
        for number, row in enumerate(rows, start=1):
            print_pairs(f"{title}, {number} of {len(rows)}" if len(rows) > 1 else title, row)
        return
    table = Table(title=printable(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for texts, value, width in zip(columns, first.values(), _widths(columns, words, room), strict=True):
        justify: Literal["left", "right"] = "right" if isinstance(value, int | float | Decimal) else "left"
        # Folded, never cut: an id that does not fit is still one to copy.
        table.add_column(texts[0], justify=justify, overflow="fold", width=width)
    for cells in list(zip(*columns, strict=True))[1:]:
        table.add_row(*cells)
    out.print(table)


def _longest_word(texts: Sequence[str]) -> int:
    return min(max((cell_len(word) for text in texts for word in text.split()), default=0), _LONGEST_WORD)


def _widths(columns: Sequence[Sequence[str]], words: list[int], room: int) -> list[int]:
    """Of each column its longest text; where that is more than there is room for, the widest give, down to words."""
    widths = [max(map(cell_len, texts)) for texts in columns]
    # What a row is called stands first: it stays in one piece where there is room for it.
    least = [widths[0] if widths[0] + sum(words[1:]) <= room else words[0], *words[1:]] if widths else []
    while sum(widths) > room:
        breakable = [index for index, width in enumerate(widths) if width > least[index]]
        widths[max(breakable, key=widths.__getitem__)] -= 1
    return widths


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < math.inf else f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items()) or "none"
    return "none" if value is None else printable(str(value))


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
    if not names_server():
        return flow.fn(*args, **kwargs)
    with _without_traces():
        try:
            return flow(*args, **kwargs)
        except RuntimeError as error:
            if not str(error).startswith(_NO_SERVER):
                raise
            raise Unavailable(
                f"the Prefect server did not answer ({error}): start it, or unset PREFECT_API_URL to run without one"
            ) from error


@contextmanager
def _without_traces() -> Iterator[None]:
    """Prefect shows on the terminal where an error came from; of ours a sentence is told. The run's log keeps both."""
    terminals = logging.getLogger().handlers
    for terminal in terminals:
        terminal.addFilter(_is_news)
    try:
        yield
    finally:
        for terminal in terminals:
            terminal.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], FraudlineError))


def names_server() -> bool:
    """Whether a Prefect server is configured, by the environment or by a profile of Prefect's own."""
    from prefect.settings import get_current_settings

    return bool(os.environ.get("PREFECT_API_URL") or get_current_settings().api.url)

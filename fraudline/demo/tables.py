"""The demo's summary as tables for people; imports nothing of the stack."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SHOWN = ("rows_in", "scored", "quarantined", "duplicates", "frauds", "frauds_caught", "alerts")


def show(summary: dict[str, Any], out: Path) -> None:
    console = Console()
    console.print(_pairs("The streamed day", summary, SHOWN))
    console.print(_counts("Quarantined, by reason", summary["reasons"]))
    console.print(_counts("Average precision of each candidate", summary["candidates"]))
    console.print(_counts("Seconds", summary["seconds"]))
    checks = Table(title="Checks", title_justify="left")
    for column in ("", "check", "seen"):
        checks.add_column(column)
    for check in summary["checks"]:
        checks.add_row("[green]✓[/]" if check["ok"] else "[red]✗[/]", check["name"], check["detail"])
    console.print(checks)
    console.print(f"Champion {summary['champion']} ({summary['decision']})", highlight=False)
    for name, place in summary["reports"].items():
        console.print(f"  {name}: {place}", highlight=False)
    console.print(f"  everything: {out}/summary.json", highlight=False)


def _pairs(title: str, values: dict[str, Any], names: tuple[str, ...]) -> Table:
    return _counts(title, {name.replace("_", " "): values[name] for name in names})


def _counts(title: str, values: dict[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    for name, value in values.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.4g}")
    return table

"""`fraudline replay`."""

from typing import Annotated, Any

import typer

from fraudline.cli.common import JsonOption, out, print_json, print_pairs
from fraudline.cli.status import use_stack
from fraudline.printable import printable

DIFFERS = 1
ASK_SECONDS = 30.0


def register(app: typer.Typer) -> None:
    app.command()(replay)


def replay(
    transaction_id: Annotated[str, typer.Argument(help="The transaction's id.")],
    origin: Annotated[str, typer.Option(help="Whose decision: stream, realtime or backfill#NAME.")] = "stream",
    models: Annotated[
        str | None, typer.Option(help="The registry: a folder or s3://bucket/prefix; by default the models bucket.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a recorded decision again, bit for bit: from its features, by the version that made it.

    Exits 1 and names the fields where the two differ.
    """
    replayed = _replayed(transaction_id, origin, models)
    values = _values(replayed)
    if json:
        print_json(values)
    else:
        _print(values)
    if replayed.differing:
        raise typer.Exit(DIFFERS)


def _replayed(transaction_id: str, origin: str, models: str | None) -> Any:
    use_stack()
    from fraudline.adapters.aws.backoff import within
    from fraudline.adapters.aws.dynamodb import DynamoDB
    from fraudline.adapters.aws.json_calls import AwsJson
    from fraudline.adapters.registry import open_registry
    from fraudline.adapters.replays import replay_recorded
    from fraudline.adapters.tables.decisions import Decisions
    from fraudline.contract import load_contract
    from fraudline.settings import load_settings

    settings = load_settings()
    contract = load_contract(settings.contract)
    decisions = Decisions(DynamoDB(AwsJson("dynamodb")), settings.decisions_table, contract)
    registry = open_registry(models or f"s3://{settings.models_bucket}", contract.name)
    return replay_recorded(decisions, registry, transaction_id, origin, within(ASK_SECONDS))


def _values(replayed: Any) -> dict[str, Any]:
    from fraudline.clock import format_micros
    from fraudline.quality.masking import mask

    stored = replayed.stored
    return {
        "transaction": stored.transaction_id,
        "origin": stored.origin,
        "event time": format_micros(stored.event_time),
        "scored at": format_micros(stored.scored_at),
        **{name: mask(id_) for name, id_ in stored.entities.items()},
        "equal": not replayed.differing,
        "differs in": list(replayed.differing),
        "stored": _decided(stored),
        "recomputed": _decided(replayed.recomputed),
    }


def _decided(decision: Any) -> dict[str, Any]:
    return {
        "model_version": decision.model_version,
        "score": decision.score,
        "threshold": decision.threshold,
        "is_fraud": decision.is_fraud,
        "reasons": list(decision.reasons),
    }


def _print(values: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    shown = ("transaction", "origin", "event time", "scored at", "equal", "differs in", "stored", "recomputed")
    entities = {name: id_ for name, id_ in values.items() if name not in shown}
    print_pairs("Decision", {**{name: values[name] for name in shown[:4]}, **entities})
    table = Table(title_justify="left")
    for column in ("", "stored", "recomputed", ""):
        table.add_column(column, overflow="fold")
    for name, stored in values["stored"].items():
        mark = Text("differs", "red") if name in values["differs in"] else Text("equal", "green")
        table.add_row(Text(name, "bold"), _text(stored), _text(values["recomputed"][name]), mark)
    out.print(table)
    if values["equal"]:
        out.print("The same, bit for bit.", style="green")
    else:
        out.print(f"Differs in {', '.join(values['differs in'])}.", style="red")


def _text(value: Any) -> str:
    """Whole: a float's shortest text tells all its bits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "\n".join(map(printable, value)) if isinstance(value, list) else printable(str(value))

"""`fraudline review`, `fraudline review show ID`, `fraudline review verdict ID fraud|legitimate`."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer

from fraudline.adapters.whoami import whoami
from fraudline.cli.common import JsonOption, out, parse_date, print_json, print_pairs, print_rows
from fraudline.cli.status import use_stack

app = typer.Typer(help="The review queue: today's alerts, one alert, a verdict.", invoke_without_command=True)
IdArgument = Annotated[str, typer.Argument(help="The transaction's id.")]
ASK_SECONDS = 30.0
RECENT = 10


class Found(StrEnum):
    fraud = "fraud"
    legitimate = "legitimate"
    withdrawn = "withdrawn"


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="review")


@app.callback()
def queue(
    context: typer.Context,
    day: Annotated[str | None, typer.Option(help="The day the alerts were raised (UTC); by default today.")] = None,
    most: Annotated[int, typer.Option(help="Show so many.", min=1)] = 20,
    reviewed: Annotated[bool, typer.Option("--reviewed", help="Those too that have a verdict.")] = False,
    json: JsonOption = False,
) -> None:
    """Alerts that wait for a verdict, the largest expected loss first."""
    if context.invoked_subcommand:
        return
    from fraudline.adapters.aws.backoff import within
    from fraudline.review import waiting

    chosen = parse_date(day, "--day") if day else datetime.now(UTC).date()
    review, units = _review()
    alerts = review.alerts(chosen.isoformat(), within(ASK_SECONDS))
    verdicts = review.verdicts(alerts, within(ASK_SECONDS))
    undecided = waiting(alerts, verdicts)
    left = alerts if reviewed else undecided
    rows = [_row(alert, verdicts) for alert in left[:most]]
    if json:
        print_json({"day": chosen, "alerts": len(alerts), "reviewed": len(alerts) - len(undecided), "queue": rows})
    elif rows:
        # The first reason is the strongest; `show` has them all.
        short = [{**_with_money(row, units), "reasons": row["reasons"].partition(";")[0]} for row in rows]
        if not reviewed:
            short = [{name: value for name, value in row.items() if name != "verdict"} for row in short]
        print_rows(f"{len(left)} of {len(alerts)} alerts of {chosen}", short)
    else:
        out.print(f"No alert of {chosen} waits for a verdict.")


@app.command()
def show(transaction_id: IdArgument, json: JsonOption = False) -> None:
    """One alert: why it was flagged, what was found, and what the user did before."""
    from fraudline.adapters.aws.backoff import within

    review, units = _review()
    alert = review.alert(transaction_id, within(ASK_SECONDS))
    verdicts = review.verdicts([alert], within(ASK_SECONDS))
    history = [_decision(decision, units) for decision in review.recent(alert, RECENT, within(ASK_SECONDS))]
    pairs = {
        **_row(alert, verdicts),
        "time": _time(alert.event_time),
        **alert.entities,
        "model": alert.model_version,
    }
    if json:
        print_json({"alert": pairs, "history": history})
        return
    print_pairs("Alert", _with_money(pairs, units))
    print_rows("The latest transactions scored of the same user", [_with_money(row, units) for row in history])


@app.command()
def verdict(
    transaction_id: IdArgument,
    found: Annotated[Found, typer.Argument(help="What it turned out to be.")],
    note: Annotated[str, typer.Option(help="Why, for whoever asks later.")] = "",
    by: Annotated[str | None, typer.Option(help="Who says so; by default you.")] = None,
) -> None:
    """Record what a flagged transaction turned out to be: from now on it is its label, and retrain learns from it.

    `withdrawn` takes back what was recorded before.
    """
    from fraudline.adapters.aws.backoff import within
    from fraudline.adapters.clock import now_micros
    from fraudline.labels import Verdict
    from fraudline.transactions.table import UNKNOWN

    label = {Found.fraud: 1, Found.legitimate: 0, Found.withdrawn: UNKNOWN}[found]
    given = Verdict(label, now_micros(), by or whoami(), note)
    review, _ = _review()
    review.decide(transaction_id, given, within(ASK_SECONDS))
    out.print(f"{transaction_id} is {found.value}, says {given.by}.")


def _review() -> tuple[Any, int]:
    """The queue, and how many of the contract's minor units make one of its currency's."""
    use_stack()
    from fraudline.adapters.review_queue import review_queue
    from fraudline.contract import load_contract
    from fraudline.settings import load_settings

    settings = load_settings()
    contract = load_contract(settings.contract)
    return review_queue(settings, contract), contract.amount.minor_units


def _row(alert: Any, verdicts: dict[str, Any]) -> dict[str, Any]:
    given = verdicts.get(alert.transaction_id, ())
    return {
        "transaction": alert.transaction_id,
        "expected loss": round(alert.expected_loss, 2),
        "amount": alert.amount,
        "score": alert.score,
        "reasons": "; ".join(alert.reasons),
        "verdict": "; ".join(map(_verdict, given)),
    }


def _with_money(row: dict[str, Any], units: int) -> dict[str, Any]:
    """For people: sums to the last minor unit."""
    decimals = len(str(units)) - 1
    sums = [name for name in ("expected loss", "amount") if name in row]
    return {**row, **{name: Decimal(f"{row[name]:.{decimals}f}") for name in sums}}


def _decision(decision: Any, units: int) -> dict[str, Any]:
    return {
        "transaction": decision.transaction_id,
        "time": _time(decision.event_time),
        "amount": decision.amount / units,
        "score": decision.score,
        "flagged": decision.is_fraud,
    }


def _verdict(verdict: Any) -> str:
    words = {1: "fraud", 0: "legitimate"}.get(verdict.label, "withdrawn")
    return f"{words} ({verdict.by}, {_time(verdict.known_at)}{', ' + verdict.note if verdict.note else ''})"


def _time(micros: int) -> str:
    from fraudline.clock import from_micros

    return f"{from_micros(micros):%Y-%m-%dT%H:%M:%SZ}"

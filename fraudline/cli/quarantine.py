"""`fraudline quarantine list|show|redrive`: what was refused, and the way back."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from fraudline.cli.common import ContractOption, JsonOption, out, print_json, print_pairs, print_rows
from fraudline.cli.status import use_stack

app = typer.Typer(
    help="Refused rows of files and records of the stream: see why, mend, send again.", no_args_is_help=True
)
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at", help="Where a retrain or quality run put its rows; by default the stream's quarantine bucket."
    ),
]
KeyArgument = Annotated[str, typer.Argument(help="A key from `fraudline quarantine list`.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="quarantine")


@app.command("list")
def list_(at: AtOption = None, json: JsonOption = False) -> None:
    """The objects that hold refused rows, oldest first, with how many each holds and why."""
    store = _store(at)
    rows = [{"key": key, **_account(store.show(key))} for key in (store.keys() if at else store.list())]
    if json:
        print_json({"objects": rows})
    elif rows:
        print_rows("Quarantine", rows)
    else:
        out.print("Nothing is in quarantine.")


@app.command()
def show(key: KeyArgument, at: AtOption = None, json: JsonOption = False) -> None:
    """The refused rows of one object: what is wrong with each, and its content as it came."""
    rows = [_shown(reject) for reject in _store(at).show(key)]
    if json:
        print_json({"rows": rows})
    else:
        print_rows(key, rows)


@app.command()
def redrive(
    key: KeyArgument, at: AtOption = None, contract: ContractOption = "ecommerce", json: JsonOption = False
) -> None:
    """Try an object's rows again under the contract of now; twice changes nothing more.

    Records of the stream are sent to it again. Rows of files come back as `redriven/...` beside their quarantine,
    mended by `corrections/...` where a person has put them.
    """
    result = _redriven(key, at, contract)
    values = {**asdict(result), "refused": dict(result.refused)}
    if json:
        print_json(values)
    else:
        print_pairs(f"Redrive of {key}", values)


def _redriven(key: str, at: str | None, contract: str) -> Any:
    from fraudline.contract import load_contract

    definition, store = load_contract(contract), _store(at)
    if at:
        return store.redrive(key, definition)
    from fraudline.adapters.clients import client
    from fraudline.adapters.producer import Producer
    from fraudline.adapters.tombstones import erased_people
    from fraudline.settings import load_settings
    from fraudline.validation import Validator

    settings = load_settings()
    producer = Producer(client("kinesis"), settings.stream)
    return store.redrive(key, Validator(definition), producer, erased_people(settings, definition))


def _store(at: str | None) -> Any:
    from fraudline.adapters.objects import open_objects

    if not at or "://" in at:
        use_stack()
    if at:
        from fraudline.adapters.batch_quarantine import BatchQuarantine

        return BatchQuarantine(open_objects(at))
    from fraudline.adapters.quarantine import Quarantine
    from fraudline.settings import load_settings

    return Quarantine(open_objects(f"s3://{load_settings().quarantine_bucket}"))


def _account(rejects: Any) -> dict[str, Any]:
    from collections import Counter

    reasons = Counter(reject.reason for reject in rejects)
    return {"rows": len(rejects), "reasons": ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())}


def _shown(reject: Any) -> dict[str, Any]:
    problems = "; ".join(f"{problem.field} {problem.message}".strip() for problem in reject.problems)
    where = f"{reject.source}:{reject.row}" if hasattr(reject, "row") else reject.position
    raw = reject.raw if isinstance(reject.raw, str) else reject.raw.decode("utf-8", "backslashreplace")
    return {"where": where, "reason": reject.reason, "problems": problems, "content": raw}

"""`fraudline quarantine list|show|redrive`: what was refused, and the way back."""

from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from fraudline.cli.common import (
    DeploymentContractOption,
    JsonOption,
    contract_or_deployments,
    out,
    print_json,
    print_pairs,
    print_rows,
)
from fraudline.cli.status import use_stack
from fraudline.errors import BadInput
from fraudline.quality.places import REFUSED

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
    key: Annotated[
        str,
        typer.Argument(
            help="A key from `fraudline quarantine list`; of the stream also how several begin: stream/2026-01-31."
        ),
    ],
    at: AtOption = None,
    contract: DeploymentContractOption = "",
    json: JsonOption = False,
) -> None:
    """Try the rows of an object, or of several, again under the contract of now; twice changes nothing more.

    Records of the stream are sent to it again. Rows of files come back as `redriven/...` beside their quarantine,
    mended by `corrections/...` where a person has put them: name that file, too, wherever you name yours.
    """
    results = _redriven(key, at, contract)
    counts = [field.name for field in fields(results[0]) if field.name != "refused"]
    values: dict[str, Any] = {name: sum(getattr(result, name) for result in results) for name in counts}
    values["refused"] = dict(sum((result.refused for result in results), Counter[str]()))
    if at and key.startswith(REFUSED) and (values["returned"] or values["returned_before"]):
        values["came_back_in"] = f"{at.rstrip('/')}/{key.replace(REFUSED, 'redriven/', 1)}"
    if json:
        print_json(values)
    else:
        print_pairs(f"Redrive of {key}", values)


def _redriven(key: str, at: str | None, contract: str) -> list[Any]:
    """What became of each object."""
    from fraudline.contract import load_contract
    from fraudline.settings import load_settings

    store = _store(at)
    # Asked for now: the store may be that of the stack which runs here.
    settings = load_settings()
    definition = load_contract(contract_or_deployments(contract))
    if at:
        return [store.redrive(key, definition)]
    from fraudline.adapters.aws.clients import client
    from fraudline.adapters.stream.producer import Producer
    from fraudline.adapters.tables.tombstones import erased_people
    from fraudline.transactions.validation import Validator

    keys = [key] if key.endswith(".jsonl") else _beginning_with(key, store)
    producer, erased = Producer(client("kinesis"), settings.stream), erased_people(settings, definition)
    validator = Validator(definition)
    return [store.redrive(one, validator, producer, erased) for one in keys]


def _beginning_with(prefix: str, store: Any) -> list[str]:
    """The keys of several objects, in the order in which their records came."""
    found = [key for key in store.list() if key.startswith(prefix)]
    if not found:
        raise BadInput(f"no object's key begins with {prefix!r}: take one from `fraudline quarantine list`")
    return found


def _store(at: str | None) -> Any:
    if not at or "://" in at:
        use_stack()
    elif not Path(at).exists():
        raise BadInput(f"there is no folder {at}: name the one where the run put its rows")
    if at:
        from fraudline.adapters.inputs.quarantine import BatchQuarantine
        from fraudline.adapters.storage.guarded import open_guarded

        # What a person puts there may be older than an erasure.
        return BatchQuarantine(open_guarded(at))
    from fraudline.adapters.storage.objects import open_objects
    from fraudline.adapters.stream.quarantine import Quarantine
    from fraudline.settings import load_settings

    return Quarantine(open_objects(f"s3://{load_settings().quarantine_bucket}"))


def _account(rejects: Any) -> dict[str, Any]:
    reasons = Counter(reject.reason for reject in rejects)
    return {"rows": len(rejects), "reasons": ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())}


def _shown(reject: Any) -> dict[str, Any]:
    problems = "; ".join(f"{problem.field} {problem.message}".strip() for problem in reject.problems)
    where = f"{reject.source}:{reject.row}" if hasattr(reject, "row") else reject.position
    raw = reject.raw if isinstance(reject.raw, str) else reject.raw.decode("utf-8", "backslashreplace")
    return {"where": where, "reason": reject.reason, "problems": problems, "content": raw}

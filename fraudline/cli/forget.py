"""`fraudline forget`: a person's ids become random ones in every store."""

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from fraudline.cli.common import JsonOption, out, print_json, print_pairs, print_rows, run_flow, working
from fraudline.cli.status import use_stack
from fraudline.errors import BadInput

STANDARD_INPUT = "-"


def register(app: typer.Typer) -> None:
    app.command()(forget)


def forget(
    user: Annotated[
        str | None,
        typer.Argument(help="The id to forget; - reads it from standard input, none asks for it (no shell keeps it)."),
    ] = None,
    entity: Annotated[
        str | None, typer.Option(help="Whose id it is, by the contract's name for it; by default the first entity.")
    ] = None,
    folder: Annotated[
        list[str] | None,
        typer.Option(help="A folder with copies of transactions (backfills, downloads) to sweep, too; repeatable."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Nobody new: sweep for all who are erased, as every night.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: it cannot be taken back.")] = False,
    json: JsonOption = False,
) -> None:
    """Replace a person's id by a random one everywhere, for good; rows stay, so that past training stays repeatable.

    Needs FRAUDLINE_ERASURE_KEY. Run again after a stop it goes on; run twice it changes nothing more. Exits 1 if
    something still tells of the person at the end.
    """
    if again and (user or entity or folder):
        raise BadInput("--again names nobody: leave it out, or the id, --entity and --folder")
    use_stack()
    if again:
        _sweep(json)
        return
    id_ = _asked(user)
    if not yes:
        _confirm()
    _forget(id_, entity, folder or [], json)


def _asked(user: str | None) -> str:
    if user is None and not sys.stdin.isatty():
        raise BadInput("no id: name it, or give - and write it to standard input")
    told = typer.prompt("The id to forget", hide_input=True) if user is None else user
    id_ = sys.stdin.readline().rstrip("\r\n") if told == STANDARD_INPUT else told
    if not id_:
        raise BadInput("the id is empty: name the one to forget")
    return str(id_)


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise BadInput("nothing was changed: erasing cannot be taken back, add --yes where nobody can be asked")
    if not typer.confirm("This cannot be taken back. Erase the id everywhere?"):
        raise BadInput("nothing was changed")


def _forget(id_: str, entity: str | None, folders: list[str], json: bool) -> None:
    with working("Starting"):
        from fraudline.adapters.erasure import forgetting
        from fraudline.contract import load_contract
        from fraudline.settings import load_settings
        from tasks.progress import say

        settings = load_settings()
        contract = load_contract(settings.contract)
        of = forgetting.deployment(settings, contract, folders)
        # Not as a flow run: Prefect would keep what it is given.
        receipt = forgetting.forget(of, entity or contract.partition_entity.name, id_, say)
        place = forgetting.keep(receipt, settings.reports_bucket)
    if json:
        print_json({**_told(receipt), "receipt": place})
    else:
        _print(receipt, place)


def _sweep(json: bool) -> None:
    with working("Starting"):
        from flows.forget import ForgetRequest
        from flows.forget import forget as flow

        result = run_flow(flow, ForgetRequest())
    if json:
        print_json(asdict(result))
    else:
        print_pairs("Forget again", asdict(result))


def _told(receipt: Any) -> dict[str, Any]:
    import msgspec

    return dict(msgspec.to_builtins(receipt))


def _print(receipt: Any, place: str) -> None:
    if not receipt.changed:
        out.print("Nothing was kept under this id. Its tombstone stands, for what may still come.")
    told = _told(receipt)
    print_rows("Erased", told["stores"])
    print_pairs("Until when it is still held elsewhere", told["expires"])
    print_pairs("Receipt", {"person (keyed hash)": receipt.person, "kept at": place})

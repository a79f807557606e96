"""`fraudline status`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from fraudline.cli.common import JsonOption, err, out, print_json, print_pairs, print_rows

UNHEALTHY = 1
DEFAULT_STACK = Path("out/stack")


def register(app: typer.Typer) -> None:
    app.command()(status)


def status(
    stack: Annotated[Path, typer.Option(help="The stack to ask, if one runs from there.")] = DEFAULT_STACK,
    json: JsonOption = False,
) -> None:
    """The parts, shard lag, champion, last runs and what waits for people; exits 1 where a part is missing.

    Of the stack that `fraudline up` runs here, or else of the deployment that AWS_*, PREFECT_* and FRAUDLINE_* name.
    """
    use_stack(stack)
    from fraudline.local.status import status as ask
    from fraudline.settings import load_settings

    told = ask(load_settings())
    if json:
        print_json(told)
    else:
        _print(told)
    if not told["healthy"]:
        raise typer.Exit(UNHEALTHY)


def use_stack(stack: Path = DEFAULT_STACK) -> None:
    """Let this process use the stack that runs from the folder, if there is one and nothing else is named."""
    from fraudline.errors import NotReady
    from fraudline.local.stack import find

    if os.environ.get("PREFECT_API_URL") or os.environ.get("AWS_ENDPOINT_URL"):
        return
    try:
        running = find(stack)
    except NotReady as missing:
        err.print(f"{missing}. Asking the deployment that AWS_* and PREFECT_* name", highlight=False)
        return
    # A profile or an endpoint of a single service would win over what the stack says.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(running.environment)
    err.print(f"Using the stack in {stack}, {running.ui}", highlight=False)


def _print(told: dict[str, Any]) -> None:
    out.print("Healthy" if told["healthy"] else "Not healthy", style="green" if told["healthy"] else "red")
    for problem in told["problems"]:
        out.print(f"- {problem}", highlight=False)
    print_pairs("Parts", told["parts"])
    nobody = "none yet" if told["parts"]["AWS"] else "not known"
    print_pairs("Today", {"champion": told["champion"] or nobody, **(told["waiting"] or {})})
    if told["shards"]:
        print_rows("Shards", told["shards"])
    if told["runs"]:
        print_rows("Last runs", told["runs"])

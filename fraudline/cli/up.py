"""`fraudline up` and `fraudline down`."""

import math
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from fraudline.cli.common import err, out, print_pairs
from fraudline.cli.status import DEFAULT_STACK
from fraudline.errors import BadInput

OutOption = Annotated[Path, typer.Option(help="Where the stack keeps its state and its logs.")]


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(down)
    app.command("env")(environment)


def up(
    rate: Annotated[
        float, typer.Option(help="Sample transactions a second, of contract ecommerce; 0 for none.", min=0.0)
    ] = 2.0,
    port: Annotated[int, typer.Option(help="Where the Prefect UI listens.")] = 4200,
    aws_port: Annotated[int, typer.Option("--aws-port", help="Where the AWS emulator listens.")] = 4566,
    stack: OutOption = DEFAULT_STACK,
) -> None:
    """Run the whole pipeline on this machine until Ctrl-C or `fraudline down`: emulator, Prefect, worker, traffic.

    Everything listens on 127.0.0.1 only. What it holds is there again at the next start. With a contract of your own
    in FRAUDLINE_CONTRACT nothing is sent and nothing trained: `fraudline send` and `fraudline retrain` do.
    """
    if not math.isfinite(rate):
        raise BadInput(f"--rate {rate} is no number of transactions a second: give one such as 2, or 0 for none")
    _settle_contract()
    from fraudline.local.stack import Plan, running_stack
    from tasks.stopping import stop_flag

    with running_stack(Plan(stack, port, aws_port, rate), lambda text: err.print(text, highlight=False)) as running:
        out.print(f"Up. The Prefect UI: {running.running.ui}")
        print_pairs("Logs", {part.name: part.log for part in running.parts})
        out.print("`fraudline status` shows how it is doing; Ctrl-C or `fraudline down` ends it.", highlight=False)
        with stop_flag() as stop:
            running.watch(stop)
    err.print("Down.")


def _settle_contract() -> None:
    """A contract in a file has to be found by the worker, too, which works in another folder."""
    from fraudline.contract import SHIPPED, load_contract
    from fraudline.settings import load_settings

    name = load_settings().contract
    load_contract(name)
    if name not in SHIPPED:
        os.environ["FRAUDLINE_CONTRACT"] = str(Path(name).resolve())


def down(stack: OutOption = DEFAULT_STACK) -> None:
    """End the stack that `fraudline up` started; its state stays for the next start."""
    from fraudline.local.stack import stop

    stop(stack)
    out.print("Down.")


def environment(stack: OutOption = DEFAULT_STACK) -> None:
    """The variables that point a shell at the running stack: `eval "$(fraudline env)"`."""
    from fraudline.local.stack import find

    for name, value in sorted(find(stack).environment.items()):
        typer.echo(f"export {name}={shlex.quote(value)}")

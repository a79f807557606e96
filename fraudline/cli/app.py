"""The command's frame: errors become one sentence and an exit code, Ctrl-C leaves nothing half-written."""

import os
import sys
import traceback
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from fraudline.cli import (
    automations,
    backfill,
    cost,
    demo,
    forget,
    labels,
    models,
    package,
    quality,
    quarantine,
    replay,
    retrain,
    review,
    score,
    send,
    simulate,
    status,
    stream,
    up,
)
from fraudline.errors import BadInput, FraudlineError, Unavailable
from fraudline.printable import printable

app = typer.Typer(
    name="fraudline",
    help="Fraud detection where the score is the same everywhere: retrain, stream, backfill and Lambda.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (
    *(demo, up, status, simulate, retrain, backfill, replay, quality, models),
    *(send, stream, score, quarantine, labels, review, forget, automations, package, cost),
):
    module.register(app)

INTERRUPTED = 130
PATH_OPTIONS = ("--transactions", "-t")


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(metadata.version("fraudline"))
        raise typer.Exit


@app.callback()
def frame(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the package's version and end.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """Fraud detection where the score is the same everywhere: retrain, stream, backfill and Lambda."""


def main() -> None:
    """Run the command line; `--debug` anywhere shows tracebacks."""
    # Prefect's client tells its makers of each first use on a terminal, unless this is set.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    debug = "--debug" in sys.argv
    arguments = spread([argument for argument in sys.argv[1:] if argument != "--debug"])
    try:
        # Not standalone: Typer would draw boxes around misuse and end without a word on Ctrl-C.
        code = app(args=arguments, standalone_mode=False)
    except FraudlineError as error:
        _fail(str(error), error.exit_code, debug)
    except typer.TyperException as misuse:
        if not misuse.format_message():
            # No command was named: the help is on the screen already.
            sys.exit(BadInput.exit_code)
        _fail(_in_a_sentence(misuse), BadInput.exit_code, debug)
    except (KeyboardInterrupt, typer.Abort):
        # Typer's own is what a prompt makes of Ctrl-C and of the end of the input.
        code = INTERRUPTED
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        what = f"{error.filename} cannot be used: {error.strerror}" if error.filename else str(error)
        _fail(f"{what}; look at its path, owner and mode", Unavailable.exit_code, debug)
    except Exception as error:
        if not _is_ctrl_c(error):
            _fail(f"unexpected {type(error).__name__}: {error}; run again with --debug for the whole story", 1, debug)
        code = INTERRUPTED
    if code == INTERRUPTED:
        _fail("stopped; what was finished is kept, nothing is half-written", INTERRUPTED, debug=False)
    sys.exit(code)


def _is_ctrl_c(error: BaseException | None) -> bool:
    """Pydantic, and so Great Expectations, makes an error of its own of what stops it."""
    return isinstance(error, KeyboardInterrupt) or (error is not None and _is_ctrl_c(error.__cause__))


def _in_a_sentence(misuse: typer.TyperException) -> str:
    """What Typer says of an unknown option, a missing one or a value that is none, and where to read on."""
    words = " ".join(misuse.format_message().split()).rstrip(".")
    context = getattr(misuse, "ctx", None)
    return f"{words}; see `{context.command_path if context else app.info.name} --help`"


def spread(arguments: list[str]) -> list[str]:
    """One option for several paths, as shells expand `*.parquet`, made one option each.

    >>> spread(["quality", "--transactions", "a.csv", "b.csv", "--json"])
    ['quality', '--transactions', 'a.csv', '--transactions', 'b.csv', '--json']
    """
    result: list[str] = []
    paths = False
    for argument in arguments:
        if paths and not argument.startswith("-") and result[-1] not in PATH_OPTIONS:
            result.append(PATH_OPTIONS[0])
        elif argument.startswith("-"):
            paths = argument in PATH_OPTIONS
        result.append(argument)
    return result


def _fail(sentence: str, code: int, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"fraudline: {printable(sentence)}\n")
    sys.exit(code)

"""The command's frame: errors become one sentence and an exit code, Ctrl-C leaves nothing half-written."""

import sys
import traceback

import typer

from fraudline.cli import backfill, demo, models, package, quality, retrain, score, send, simulate, stream
from fraudline.errors import FraudlineError

app = typer.Typer(
    name="fraudline",
    help="Fraud detection where the score is the same everywhere: retrain, stream, backfill and Lambda.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (simulate, retrain, backfill, quality, models, send, stream, score, package, demo):
    module.register(app)

INTERRUPTED = 130
PATH_OPTIONS = ("--transactions", "-t")


def main() -> None:
    """Run the command line; `--debug` anywhere shows tracebacks."""
    debug = "--debug" in sys.argv
    arguments = spread([argument for argument in sys.argv[1:] if argument != "--debug"])
    try:
        app(args=arguments, standalone_mode=True)
    except FraudlineError as error:
        _fail(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        _fail("stopped; what was finished is kept, nothing is half-written", INTERRUPTED, debug)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        _fail(f"unexpected {type(error).__name__}: {error}; run again with --debug for the whole story", 1, debug)


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


def _fail(sentence: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"fraudline: {sentence}\n")
    sys.exit(code)

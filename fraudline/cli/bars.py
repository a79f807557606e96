"""A bar on standard error for commands that work on many rows: how far, how fast, how long yet."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from fraudline.cli.common import err, working


@contextmanager
def bar(sentence: str) -> Iterator[None]:
    """What a flow says and how far it is; where standard error is no terminal, its sentences line by line."""
    if not err.is_terminal:
        with working(sentence):
            yield
        return
    from tasks.meter import metering
    from tasks.progress import listening

    columns = (BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), *columns, console=err, transient=True) as progress:
        line = progress.add_task(sentence, total=None)
        stages: dict[str, int] = {}

        def moved(what: str, done: int, total: int) -> None:
            if what not in stages:
                stages[what] = progress.add_task(what, total=None)
            progress.update(stages[what], completed=done, total=total or None)  # type: ignore[arg-type]

        with listening(lambda text: progress.update(line, description=text)), metering(moved):
            yield


class _Speed(TextColumn):
    """Rows a second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")

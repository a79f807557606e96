"""A live line on standard error for commands that work on many rows, and a bar for each long stage below it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.spinner import Spinner
from rich.table import Column
from rich.text import Text

from fraudline.cli.common import err, working

_PER_SECOND = 10
# Columns of a terminal that has room for how fast and how long yet.
_ROOMY = 72


@contextmanager
def bar(sentence: str) -> Iterator[None]:
    """What a flow says, and how far, how fast and how long yet each of its stages is.

    Where standard error is no terminal, its sentences line by line.
    """
    if not err.is_terminal:
        with working(sentence):
            yield
        return
    from tasks.meter import metering
    from tasks.progress import listening

    said = Spinner("dots", Text(sentence))
    columns: list[ProgressColumn] = [_Told(lambda stage: stage.description), BarColumn(), _Told(_count)]
    if err.width >= _ROOMY:
        columns += [_Told(_speed), TimeRemainingColumn(table_column=Column(no_wrap=True))]
    bars = Progress(*columns, console=err)
    stages: dict[str, int] = {}

    def moved(what: str, done: int, total: int) -> None:
        if what not in stages:
            stages[what] = bars.add_task(what, total=None)
        bars.update(stages[what], completed=done, total=total or None)  # type: ignore[arg-type]

    with (
        Live(Group(said, bars), console=err, transient=True, refresh_per_second=_PER_SECOND),
        listening(lambda text: said.update(text=Text(text))),
        metering(moved),
    ):
        yield


class _Told(TextColumn):
    """What `words` make of a stage, in one piece: in a narrow terminal the bar gives way. It is no markup."""

    def __init__(self, words: Callable[[Task], str]) -> None:
        super().__init__("")
        self._words = words

    def render(self, task: Task) -> Text:
        return Text(self._words(task))


def _count(stage: Task) -> str:
    return f"{stage.completed:,.0f}" + (f" of {stage.total:,.0f}" if stage.total else "")


def _speed(stage: Task) -> str:
    return f"{stage.speed:,.0f}/s" if stage.speed else ""

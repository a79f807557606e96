"""What a flow is doing, in a sentence: to the terminal where one listens, else to the run's log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect import get_run_logger

from fraudline.printable import printable
from tasks.steps import in_flow_run

Say = Callable[[str], None]
_listener: ContextVar[Say | None] = ContextVar("listener", default=None)


def say(sentence: str) -> None:
    sentence, listener = printable(sentence), _listener.get()
    if listener:
        listener(sentence)
    elif in_flow_run():
        get_run_logger().info(sentence)


@contextmanager
def listening(listener: Say) -> Iterator[None]:
    """Within the block, sentences go to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)

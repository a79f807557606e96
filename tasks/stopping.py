"""A flag that SIGTERM and Ctrl-C raise, so that work ends between two batches and leases are given back."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Blocks nest (a loop of slices around a slice): a signal that ends the inner one is meant for the outer one, too.
_raised_together: list[threading.Event] = []


@contextmanager
def stop_flag() -> Iterator[Callable[[], bool]]:
    """Whether to stop; within the block the two signals ask for it instead of breaking in.

    Outside the main thread, where Python allows no handlers, signals go on meaning what they meant.
    """
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping.is_set
        return

    def ask(number: int, frame: FrameType | None) -> None:
        for flag in _raised_together:
            flag.set()

    _raised_together.append(stopping)
    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping.is_set
    finally:
        _raised_together.remove(stopping)
        for number, handler in before.items():
            signal.signal(number, handler)

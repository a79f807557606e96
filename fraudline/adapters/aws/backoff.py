"""Waiting between attempts: full jitter, and no longer than there is time for.

Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fraudline.errors import Unavailable

_FIRST_SECONDS = 0.05
_MOST_SECONDS = 5.0


def never() -> bool:
    """The stop of work that only its limits end."""
    return False


@dataclass(frozen=True)
class Deadline:
    """Until when (monotonic seconds) a call may be tried again; not at all once `stop` says so."""

    at: float
    stop: Callable[[], bool] = never

    def leaves(self, seconds: float) -> bool:
        """Whether there is time for a pause of so many seconds."""
        return time.monotonic() + seconds < self.at and not self.stop()


def within(seconds: float) -> Deadline:
    """The deadline so many seconds from now."""
    return Deadline(time.monotonic() + seconds)


def attempts(thing: str, deadline: Deadline) -> Iterator[int]:
    """Attempt numbers, a pause before each but the first; `Unavailable`, naming `thing`, when time is up."""
    number = 0
    while True:
        yield number
        pause = random.uniform(0, min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** min(number, 10)))
        if not deadline.leaves(pause):
            raise Unavailable(f"{thing} refused or did not answer in time: look at its throttles and its health")
        time.sleep(pause)
        number += 1

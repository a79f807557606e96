"""Waiting between attempts: full jitter, and no longer than there is time for.

Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

import random
import time
from collections.abc import Iterator

from fraudline.errors import Unavailable

_FIRST_SECONDS = 0.05
_MOST_SECONDS = 5.0


def attempts(thing: str, deadline: float) -> Iterator[int]:
    """Attempt numbers, a pause before each but the first; `Unavailable` once `deadline` (monotonic) is reached."""
    number = 0
    while True:
        yield number
        ceiling = min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** min(number, 10))
        pause = random.uniform(0, ceiling)
        if time.monotonic() + pause >= deadline:
            raise Unavailable(f"{thing} refused or did not answer in time: look at its throttles and its health")
        time.sleep(pause)
        number += 1

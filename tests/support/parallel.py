"""Races: the same work by many threads at the same moment."""

import threading
from collections.abc import Callable

from fraudline.errors import FraudlineError


def in_parallel(work: Callable[[int], object], times: int) -> dict[int, object]:
    """What `work` answers (or raises) to each number below `times`, all started at the same moment."""
    results: dict[int, object] = {}
    start = threading.Barrier(times)

    def run(me: int) -> None:
        start.wait()
        try:
            results[me] = work(me)
        except FraudlineError as error:
            results[me] = error

    threads = [threading.Thread(target=run, args=(me,)) for me in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results

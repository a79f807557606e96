"""The decisions table as the target of a backfill."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec
import pyarrow.compute as pc

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.backfill.named import Hold
from fraudline.adapters.backfill.partitions import Done
from fraudline.adapters.tables.decisions import Decisions
from fraudline.backfill.decisions import cuts, rows_of
from fraudline.backfill.past import Partition, ScoredDay
from fraudline.model.bundle import Bundle

WRITE_SECONDS = 300.0
_THREADS = 4
# Enough that a kernel call's fixed cost does not tell, and few enough that they need little memory.
_ROWS_AT_ONCE = 2000
_WRITTEN_AT_ONCE = 250


class DecisionTarget:
    """Writes days under the origin of a named backfill; a day is done once all its decisions are there.

    A transaction that the input has lost since an earlier run keeps the decision of that run. `check` raises where a
    day must not be written (any more): it is asked before, and again before the day is noted.
    """

    def __init__(
        self, decisions: Decisions, hold: Hold, bundle: Bundle, check: Callable[[], None] = lambda: None
    ) -> None:
        self._decisions = decisions
        self._hold = hold
        self._bundle = bundle
        self._check = check
        self._threads = ThreadPoolExecutor(_THREADS, "backfill")

    def missing(self, parts: Sequence[Partition]) -> list[Partition]:
        """Those not done yet, or done from other input."""
        return self._hold.missing(parts)

    def write(self, day: ScoredDay) -> None:
        self._check()
        writes: set[Future[None]] = set()
        for some in self._chunks(day):
            self._hold.check()
            writes.add(self._threads.submit(self._decisions.write_items, some, within(WRITE_SECONDS)))
            if len(writes) > _THREADS:
                writes = _after_one(writes)
        while writes:
            writes = _after_one(writes)
        alerts = pc.sum(day.decisions["is_fraud"]).as_py() or 0
        self._check()
        self._hold.note(day.part.day, Done(day.part.fingerprint, day.decisions.num_rows, alerts))

    def close(self, complete: bool) -> None:
        """Nothing is left to do: each day is noted as soon as it is written."""
        self._threads.shutdown(cancel_futures=True)

    def _chunks(self, day: ScoredDay) -> Iterator[list[msgspec.Raw]]:
        begun_at = self._hold.begun_at
        expires_at = self._decisions.expires_at(begun_at)
        for part in cuts(day, _ROWS_AT_ONCE):
            rows = rows_of(part, self._bundle, self._hold.origin, begun_at, expires_at)
            for begin in range(0, len(rows), _WRITTEN_AT_ONCE):
                yield rows[begin : begin + _WRITTEN_AT_ONCE]


def _after_one(writes: set[Future[None]]) -> set[Future[None]]:
    """Those still under way once one has ended, raising what it raised."""
    ended, under_way = wait(writes, return_when=FIRST_COMPLETED)
    for write in ended:
        write.result()
    return under_way

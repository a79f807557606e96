"""A slice of stream scoring: take a fair share of the shards, drain them for a bounded time, give them back, report."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace

from fraudline.adapters.stream.deps import StreamDeps
from fraudline.adapters.stream.draining import CLOSED, EXPIRED, GONE, DrainReport, Limits, OnBatch, drain
from fraudline.adapters.tables.leases import Lease
from fraudline.stream import TRIM_HORIZON, Shard, timestamp_in

_RETRY_SECONDS = 0.5
# Rounds for which shards are left to workers that wait for their share.
_COURTESY = 3
_OBJECTS_OF_A_BATCH = 50_000


@dataclass(frozen=True)
class SliceReport:
    """The drains of a slice in the order they ended; a shard may have several."""

    drains: tuple[DrainReport, ...]
    seconds: float

    @property
    def read(self) -> int:
        return sum(report.read for report in self.drains)

    @property
    def scored(self) -> int:
        return sum(report.scored for report in self.drains)

    @property
    def duplicates(self) -> int:
        return sum(report.duplicates for report in self.drains)

    @property
    def alerts(self) -> int:
        return sum(report.alerts for report in self.drains)

    @property
    def quarantined(self) -> dict[str, int]:
        """Refused records by reason."""
        return dict(sum((Counter(report.quarantined) for report in self.drains), Counter[str]()))

    @property
    def lag_seconds(self) -> dict[str, float]:
        """By shard, as of its last drain."""
        return {report.shard: report.lag_seconds for report in self.drains}

    @property
    def flags(self) -> dict[str, tuple[str, ...]]:
        """What somebody must look at, by shard."""
        return {report.shard: report.flags for report in self.drains if report.flags}


def run_slice(
    deps: StreamDeps,
    limits: Limits,
    on_progress: OnBatch = lambda account: None,
    start: str = TRIM_HORIZON,
    on_drain: Callable[[DrainReport], None] = lambda report: None,
) -> SliceReport:
    """Drain this worker's share of the shards until all are caught up, or `limits` or `deps.leases.stop` end it.

    `deps` comes from `fraudline.adapters.stream.deps.stream_deps(settings, bundle, worker_id)`. `on_progress` is called
    with the `Account` of each finished batch, from several threads. `start` is the checkpoint that shards get which
    nobody has read yet: `TRIM_HORIZON` or `at_timestamp(...)` (for LATEST, that of now). If a drain raises, the others
    go on to their ends, and the first error is raised then; `on_drain` is called with the report of each that ended.
    """
    begin = time.monotonic()
    try:
        slice_ = _Slice(deps, limits, on_progress, start, begin + limits.seconds)
        with rarer_collections():
            drains: list[DrainReport] = []
            for report in slice_.drains():
                drains.append(report)
                on_drain(report)
        return SliceReport(tuple(drains), time.monotonic() - begin)
    finally:
        deps.leases.report_gone()


@contextmanager
def rarer_collections() -> Iterator[None]:
    """A batch makes tens of thousands of objects and drops them all; looking for cycles among them costs a tenth."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_OF_A_BATCH, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Slice:
    """A slice under way."""

    def __init__(
        self,
        deps: StreamDeps,
        limits: Limits,
        on_batch: OnBatch,
        start: str,
        ends_at: float,
    ) -> None:
        self._deps = deps
        self._limits = limits
        self._on_batch = on_batch
        self._start = start
        self._ends_at = ends_at
        self._done: set[str] = set()
        self._waited = 0

    def drains(self) -> Iterator[DrainReport]:
        """Round after round: closing a shard makes way for its children."""
        while not self._is_over():
            self._deps.leases.report_waiting()
            shards = self._shards()
            leases = self._sync(shards)
            for lease in self._gone(leases, shards):
                del leases[lease.shard]
                if not lease.closed:
                    # Whatever was left of it has expired with it.
                    yield DrainReport(lease.shard, GONE, flags=(EXPIRED,))
            ready = ready_to_drain(leases, shards)
            if mine := self._share(ready):
                yield from self._drain_all(mine, shards)
                self._waited = 0
            elif self._may_come_by_more(ready):
                time.sleep(_RETRY_SECONDS)
                self._waited += 1
            else:
                return

    def _is_over(self) -> bool:
        return self._deps.leases.stop() or time.monotonic() >= self._ends_at

    def _sync(self, shards: Mapping[str, Shard]) -> dict[str, Lease]:
        """The group's leases, with rows made for new shards."""
        leases = self._deps.leases.rows()
        new = [shard for shard in shards.values() if shard.id not in leases]
        for shard in new:
            self._deps.leases.create(shard, first_checkpoint(shard, leases, self._start))
        return self._deps.leases.rows() if new else leases

    def _gone(self, leases: Mapping[str, Lease], shards: Mapping[str, Shard]) -> list[Lease]:
        """The leases of shards that the stream no longer lists, retired; one that somebody holds may be read yet."""
        unlisted = [lease for lease in leases.values() if lease.shard not in shards and not self._is_held(lease)]
        # A shard that began after it was listed, and that another worker has given a row, is listed by now.
        listed = self._shards() if unlisted else shards
        return [lease for lease in unlisted if lease.shard not in listed and self._deps.leases.retire(lease)]

    def _shards(self) -> dict[str, Shard]:
        return {shard.id: shard for shard in self._deps.stream.shards(self._deps.leases.deadline())}

    def _share(self, ready: Sequence[Lease]) -> list[Lease]:
        """The leases to take now: free ones, the longest unseen first, up to a fair share with those done before.

        What others leave lying all the same is taken after a while: they may be dead.
        """
        free = sorted((lease for lease in self._undone(ready) if not self._is_held(lease)), key=_seen_through)
        if self._waited >= _COURTESY:
            return free
        done = sum(lease.shard in self._done for lease in ready)
        return free[: max(0, self._fair(ready) - done)]

    def _fair(self, ready: Sequence[Lease]) -> int:
        return -(-len(ready) // len(self._deps.leases.workers(ready)))

    def _may_come_by_more(self, ready: Sequence[Lease]) -> bool:
        """Whether shards lie free, or others hold what should be ours: a dead one's leases expire, a slice ends."""
        undone = self._undone(ready)
        are_free = not all(map(self._is_held, undone))
        return are_free or (bool(undone) and len(self._done) < self._fair(ready))

    def _undone(self, ready: Sequence[Lease]) -> list[Lease]:
        return [lease for lease in ready if lease.shard not in self._done]

    def _is_held(self, lease: Lease) -> bool:
        return lease.is_held(self._deps.leases.now())

    def _drain_all(self, leases: Sequence[Lease], shards: Mapping[str, Shard]) -> Iterator[DrainReport]:
        with ThreadPoolExecutor(self._limits.shards_at_a_time) as pool:
            draining = [pool.submit(self._drain, lease, shards[lease.shard]) for lease in leases]
            for drained in as_completed(draining):
                # One shard's error, raised at the end, hides nothing of the others.
                if drained.exception() or not (report := drained.result()):
                    continue
                if report.ended != CLOSED:
                    self._done.add(report.shard)
                yield report
        for drained in draining:
            drained.result()

    def _drain(self, lease: Lease, shard: Shard) -> DrainReport | None:
        """Acquired only when a thread is free: a lease that waits in line would expire."""
        if self._is_over() or not (acquired := self._deps.leases.acquire(lease)):
            return None
        limits = replace(self._limits, seconds=self._ends_at - time.monotonic())
        return drain(self._deps, acquired, shard, limits, self._on_batch)


def _seen_through(lease: Lease) -> int:
    return lease.seen_through


def first_checkpoint(shard: Shard, leases: Mapping[str, Lease], start: str) -> str:
    """Where a shard without a row is read from: `start`, unless it is a child of shards that the group reads.

    All that such a child holds is new, for it began when its parents ended; but a parent that is itself read from a
    time on, and has no record since, leaves that time to the child.
    """
    parents = [leases[parent].checkpoint for parent in shard.parents if parent in leases]
    if not parents:
        return start
    return next((checkpoint for checkpoint in parents if timestamp_in(checkpoint) is not None), TRIM_HORIZON)


def ready_to_drain(leases: Mapping[str, Lease], shards: Mapping[str, Shard]) -> list[Lease]:
    """Leases of open shards whose parents are done: an entity's events in a child follow those in its parent.

    A parent that the stream no longer lists and that we never had a row for cannot be read by anybody.
    """

    def is_done(parent: str) -> bool:
        return leases[parent].closed if parent in leases else parent not in shards

    return [
        lease
        for lease in leases.values()
        if not lease.closed and lease.shard in shards and all(map(is_done, lease.parents))
    ]

"""Draining one shard for a bounded time or number of records, batch by batch, and the report of it."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from fraudline.adapters.stream.batches import BatchWorker, Steps
from fraudline.adapters.stream.deps import StreamDeps
from fraudline.adapters.stream.kinesis import Page
from fraudline.adapters.tables.leases import Lease
from fraudline.archive import Account
from fraudline.durations import DAY
from fraudline.errors import LostRace, Unavailable
from fraudline.features.definition import feature_set
from fraudline.stream import Batch, Intent, Record, Shard

# Why a drain ended.
CAUGHT_UP = "caught_up"
RECORDS = "records"
TIME = "time"
STOPPED = "stopped"
CLOSED = "shard_closed"
GONE = "shard_gone"
LOST = "lost_lease"
UNAVAILABLE = "unavailable"
# The shard is on the profiles of another champion's features; the next slice takes that champion.
OUTDATED = "outdated"
# What somebody must look at: records may have expired unread; records wait and nothing moves.
EXPIRED = "expired"
STUCK = "stuck"
# A lease is renewed when a third of its term has passed without a batch.
_RENEW_AFTER = 1 / 3
# Kinesis keeps records at least for so long (microseconds).
_SHORTEST_RETENTION = DAY

OnBatch = Callable[[Account], None]


@dataclass(frozen=True)
class Limits:
    """How much a slice may do. It ends at the first bound or when it has caught up, always between two batches.

    `records` is for each shard. From a lag of `stuck_seconds` on, a shard on which nothing moves is called stuck.
    """

    records: int = 100_000
    seconds: float = 60.0
    batch_records: int = 500
    batch_bytes: int = 4 << 20
    shards_at_a_time: int = 4
    stuck_seconds: float = 300.0


@dataclass(frozen=True)
class DrainReport:
    """What became of one shard's records in the batches that this drain finished.

    `read` = `scored` + `duplicates` + all that `quarantined` counts by reason. `lag_seconds` is the age of the oldest
    record that waits (0: none does), asked for independently of what Kinesis says of itself. `seconds` is by step.
    """

    shard: str
    ended: str
    read: int = 0
    scored: int = 0
    duplicates: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    alerts: int = 0
    batches: int = 0
    replayed: int = 0
    lag_seconds: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    message: str = ""


def drain(deps: StreamDeps, lease: Lease, shard: Shard, limits: Limits, on_batch: OnBatch) -> DrainReport:
    """Work off an acquired lease until a limit, the shard's tip or end, or `deps.leases.stop`; then release it.

    A lost lease and an outage end the drain and are told in the report; anything else that goes wrong is raised.
    """
    work = _Work(deps, lease, shard, limits, on_batch)
    try:
        return work.report(work.until_done())
    except LostRace as lost:
        return work.report(LOST, str(lost))
    except Unavailable as outage:
        # Give the lease back rather than spin: the next slice may be luckier.
        return work.report(UNAVAILABLE, str(outage))
    finally:
        work.release()


class _Work:
    """One drain under way."""

    def __init__(self, deps: StreamDeps, lease: Lease, shard: Shard, limits: Limits, on_batch: OnBatch) -> None:
        self._deps = deps
        self._lease = lease
        self._shard = shard
        self._limits = limits
        self._on_batch = on_batch
        self._steps = Steps(deps.fault)
        self._workers: dict[str, BatchWorker] = {}
        self._generation = feature_set(deps.bundle.contract).hash
        self._reader = deps.stream.reader(shard, lease.checkpoint)
        self._ends_at = time.monotonic() + limits.seconds
        self._renew_at = 0.0
        self._totals: Counter[str] = Counter()
        self._quarantined: Counter[str] = Counter()
        self._lag_seconds = 0.0
        self._flags: set[str] = set()
        self._keep()

    def until_done(self) -> str:
        """Why it ended."""
        self._watch_retention()
        while not (ended := self._bound() or self._step()):
            pass
        if ended != CLOSED:
            self._measure_lag(ended)
        return ended

    def report(self, ended: str, message: str = "") -> DrainReport:
        totals = self._totals
        return DrainReport(
            shard=self._shard.id,
            ended=ended,
            read=totals["read"],
            scored=totals["scored"],
            duplicates=totals["duplicates"],
            quarantined=dict(self._quarantined),
            alerts=totals["alerts"],
            batches=totals["batches"],
            replayed=totals["replayed"],
            lag_seconds=self._lag_seconds,
            seconds=self._steps.seconds,
            flags=tuple(sorted(self._flags)),
            message=message,
        )

    def release(self) -> None:
        self._deps.leases.release(self._lease)

    def _bound(self) -> str:
        if self._deps.leases.stop():
            return STOPPED
        if time.monotonic() >= self._ends_at:
            return TIME
        return RECORDS if self._totals["read"] >= self._limits.records else ""

    def _step(self) -> str:
        """One batch or one look for records; why there is nothing more to do, if so."""
        if self._lease.intent is not None:
            self._replay()
            return ""
        if self._lease.generation != self._generation:
            return self._change_generation()
        looked_at = self._deps.leases.now()
        most = min(self._limits.batch_records, self._limits.records - self._totals["read"])
        with self._steps.at("read"):
            page = self._reader.read(most, self._limits.batch_bytes, self._deps.leases.deadline())
        if not page.records:
            return self._found_nothing(page, looked_at)
        worker = self._worker(self._deps.bundle.version)
        self._lease = worker.intend(self._lease, page.records)
        self._finish(worker, page.records, is_replay=False)
        return ""

    def _change_generation(self) -> str:
        deps = self._deps
        moved = deps.mover.move(self._lease, deps.leases, deps.bundle, deps.fault)
        if moved is None:
            return STOPPED if deps.leases.stop() else OUTDATED
        self._lease = moved
        self._keep()
        return ""

    def _found_nothing(self, page: Page, looked_at: int) -> str:
        leases = self._deps.leases
        if page.ended:
            self._lease = leases.renew(self._lease, closed=True, seen_through=looked_at)
            return CLOSED
        if page.at_tip:
            self._lease = leases.renew(self._lease, seen_through=looked_at)
            return CAUGHT_UP
        if time.monotonic() >= self._renew_at:
            self._lease = leases.renew(self._lease)
            self._keep()
        return ""

    def _replay(self) -> None:
        """Finish the batch that somebody began, with its model and its clock."""
        intent, leases = self._lease.intent, self._deps.leases
        assert intent is not None
        with self._steps.at("read"):
            page = self._reader.read_through(intent.end, leases.deadline())
        records = page.records
        # At the tip nothing is known: a stuck shard says so, too. What it keeps by its own rules comes yet.
        if page.at_tip and (records or not self._has_expired(intent)):
            raise Unavailable(f"{self._shard.id} does not hand over a batch that was begun: try again in a while")
        if len(records) != intent.records:
            self._flags.add(EXPIRED)
        if not records:
            self._lease = leases.checkpoint(self._lease, intent.end, self._lease.seen_through)
            return
        self._finish(self._worker(intent.model_version), records, is_replay=True)
        self._totals["replayed"] += 1

    def _has_expired(self, intent: Intent) -> bool:
        """Whether the stream keeps no record as old as the youngest of this batch may be."""
        leases = self._deps.leases
        return leases.now() - intent.scored_at > self._deps.stream.retention(leases.deadline())

    def _finish(self, worker: BatchWorker, records: tuple[Record, ...], is_replay: bool) -> None:
        assert self._lease.intent is not None
        batch = Batch(self._shard, records, self._lease.intent)
        self._lease, account = worker.do(self._lease, batch, is_replay)
        self._count(account)

    def _worker(self, version: str) -> BatchWorker:
        if version not in self._workers:
            deps = self._deps
            bundle = deps.bundle if version == deps.bundle.version else deps.bundle_of(version)
            self._workers[version] = BatchWorker(deps, bundle, self._steps)
        return self._workers[version]

    def _count(self, account: Account) -> None:
        self._totals.update(
            batches=1,
            read=account.read,
            scored=account.scored,
            duplicates=len(account.duplicates),
            alerts=len(account.alerts),
        )
        self._quarantined.update(account.quarantined)
        self._keep()
        self._on_batch(account)

    def _keep(self) -> None:
        self._renew_at = time.monotonic() + self._deps.leases.seconds * _RENEW_AFTER

    def _watch_retention(self) -> None:
        """Records that arrived after `seen_through` and longer ago than the stream keeps them are lost to us."""
        leases, since = self._deps.leases, self._lease.seen_through
        unseen = leases.now() - since if since else 0
        if unseen > _SHORTEST_RETENTION and unseen > self._deps.stream.retention(leases.deadline()):
            self._flags.add(EXPIRED)

    def _measure_lag(self, ended: str) -> None:
        deps = self._deps
        self._lag_seconds = deps.stream.lag_after(self._shard, self._lease.checkpoint, deps.leases.deadline())
        if not self._totals["batches"] and ended != STOPPED and self._lag_seconds > self._limits.stuck_seconds:
            self._flags.add(STUCK)

"""One micro-batch from records to checkpoint: the steps of docs/exactly-once.md, in their order."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fraudline.adapters.aws.backoff import Deadline
from fraudline.adapters.stream.deps import StreamDeps
from fraudline.adapters.tables.leases import Lease
from fraudline.archive import Account, object_name
from fraudline.decision import Decision
from fraudline.microbatch.batches import MicroBatches, account_of
from fraudline.microbatch.values import ScoringBundle
from fraudline.stream import Batch, Intent, Record

# Where a worker may die; `fault` is called with each as the step begins.
STEPS = (
    "read",
    "intend",
    "decode",
    "look_up",
    "decide",
    "archive",
    "quarantine",
    "decisions",
    "commit",
    "notify",
    "checkpoint",
)


class Steps:
    """Seconds spent in each step, and the hook that is called as one begins."""

    def __init__(self, fault: Callable[[str], None]) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STEPS, 0.0)
        self._fault = fault

    @contextmanager
    def at(self, step: str) -> Iterator[None]:
        self._fault(step)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] += time.perf_counter() - begin


class BatchWorker:
    """Does batches with one model. Made once the lease is held: whoever was erased before then is known by then."""

    def __init__(self, deps: StreamDeps, bundle: ScoringBundle, steps: Steps) -> None:
        self._deps = deps
        self._batches = MicroBatches(bundle)
        self._erased = deps.erased(bundle.contract)
        self._steps = steps

    def intend(self, lease: Lease, records: Sequence[Record]) -> Lease:
        """Write down what will be done with these records; from here on, whoever has the lease does just that."""
        deps, batches = self._deps, self._batches
        with self._steps.at("intend"):
            lagged = batches.contract.lagged_entities
            built = deps.profiles.built_through(batches.generation, deps.leases.deadline()) if lagged else None
            end, name = records[-1].sequence, object_name(lease.shard, records)
            intent = Intent(end, len(records), batches.bundle.version, deps.clock(), built, name)
            return deps.leases.intend(lease, intent, batches.generation)

    def do(self, lease: Lease, batch: Batch, is_replay: bool) -> tuple[Lease, Account]:
        """Do the batch that the lease's intent is about: the lease after it, and what became of the records.

        `is_replay` says that it may have been done in part. Raises `LostRace` as soon as a condition fails: then drop
        the lease, another worker is on it.
        """
        deps, at = self._deps, self._steps.at
        deadline = deps.leases.deadline()
        batch = self._erased.batch(batch)
        with at("decode"):
            reading = self._batches.read(batch)
        with at("look_up"):
            archived = deps.landing.find(batch) if is_replay else None
            counted = frozenset(row.position for row in archived.rows) if archived else None
            view = deps.profiles.view(reading, counted, deadline)
        with at("decide"):
            outcome = self._batches.decide(batch, reading, view)
            account = archived.account if archived else account_of(batch, outcome)
        with at("archive"):
            is_pinned = archived is not None or deps.landing.archive(batch, account, outcome.rows)
        if not is_pinned:
            # Another attempt was first to say what counts: follow it.
            return self.do(lease, batch, is_replay=True)
        with at("quarantine"):
            refused = {refusal.position for refusal in account.refused}
            deps.quarantine.write(self._erased.refused(batch, refused), account)
        with at("decisions"):
            deps.decisions.write(outcome.decisions, deadline)
        with at("commit"):
            deps.profiles.commit(outcome.changes, deadline)
        with at("notify"):
            self._notify(account, outcome.decisions, is_replay, deadline)
        with at("checkpoint"):
            lease = deps.leases.checkpoint(lease, batch.intent.end, batch.records[-1].arrived_at)
        return lease, account

    def _notify(self, account: Account, decided: Sequence[Decision], is_replay: bool, deadline: Deadline) -> None:
        """Tell of the batch's alerts; on a replay, of those that no earlier attempt has marked as told."""
        if not account.alerts:
            return
        decisions = self._deps.decisions
        if is_replay:
            unsent = decisions.unsent(account.alerts, deadline)
            flagged = list(decisions.read(unsent, deadline).values())
        else:
            flagged = [decision for decision in decided if decision.is_fraud]
        self._deps.alerts.notify(flagged, deadline)
        decisions.mark_sent([d.transaction_id for d in flagged], account.scored_at, deadline)

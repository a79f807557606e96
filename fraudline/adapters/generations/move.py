"""Moves a shard from one generation of profiles to another, between two batches, under its lease."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from fraudline.adapters.archive.names import ArchivedBatch, batches_of, padded
from fraudline.adapters.aws.backoff import Deadline
from fraudline.adapters.generations.marks import Line, checkpoint_mark, line_of, stored
from fraudline.adapters.storage.objects import Objects
from fraudline.adapters.tables.leases import Lease, Leases
from fraudline.adapters.tables.profiles import Profiles
from fraudline.archive import decode_archive
from fraudline.errors import LostRace, NotReady
from fraudline.generation import ArchivedEvent, Generation, counted
from fraudline.microbatch.values import ScoringBundle

# A lease is renewed when a third of its term has passed.
_RENEW_AFTER = 1 / 3


class Mover:
    """Brings profiles of the champion's generation up to where a shard stands."""

    def __init__(self, landing: Objects, profiles: Profiles, champion: Callable[[], str | None]) -> None:
        self._landing = landing
        self._profiles = profiles
        self._champion = champion

    def move(self, lease: Lease, leases: Leases, bundle: ScoringBundle, fault: Callable[[str], None]) -> Lease | None:
        """An owned lease without an intent, its shard moved to the bundle's generation.

        None if there is something to count and the bundle is not the champion (any more), or if `leases.stop` says so;
        `NotReady` if the generation has not been built. `fault` is called before each write.
        """
        generation = Generation(bundle.contract)
        line = line_of(lease.shard, leases.rows(), generation.name, self._profiles, leases.deadline())
        if line.shards:
            if self._champion() != bundle.version:
                return None
            if not line.is_built:
                raise NotReady(
                    f"{lease.shard} has profiles of generation {lease.generation}, the model needs {generation.name}:"
                    " run `fraudline warm-up` with its contract first"
                )
        renew_at = time.monotonic() + leases.seconds * _RENEW_AFTER
        for batch in self._beyond(line):
            if leases.stop():
                return None
            fault("move")
            self._count(generation, generation.events(decode_archive(self._landing.get(batch.key)).rows), leases)
            if time.monotonic() >= renew_at:
                lease = leases.renew(lease)
                renew_at = time.monotonic() + leases.seconds * _RENEW_AFTER
        if lease.generation:
            fault("leave")
            self._profiles.mark(lease.generation, {lease.shard: checkpoint_mark(lease)}, leases.deadline())
        fault("switch")
        return leases.renew(lease, generation=generation.name)

    def _beyond(self, line: Line) -> Sequence[ArchivedBatch]:
        """What the marks do not speak of, in the order it counts."""
        # A clock may be a little ahead of ours at midnight.
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        found = batches_of(self._landing, line.behind, line.since, tomorrow) if line.behind else ()
        beyond = (batch for batch in found if batch.last > padded(line.through(batch.shard)))
        return sorted(beyond, key=lambda batch: batch.first)

    def _count(self, generation: Generation, events: Sequence[ArchivedEvent], leases: Leases) -> None:
        """Once, whoever else counts the same: profiles only go forward."""
        ids = {event.transaction.entities[0] for event in events}
        deadline = leases.deadline()
        while not self._counted(generation, ids, events, deadline):
            pass

    def _counted(
        self, generation: Generation, ids: set[str], events: Sequence[ArchivedEvent], deadline: Deadline
    ) -> bool:
        found = stored(self._profiles, generation, ids, deadline)
        profiles = {id_: counted(profile) for id_, profile in found.items()}
        generation.count(profiles, events)
        with suppress(LostRace):
            self._profiles.commit(generation.changes(profiles, found), deadline)
            return True
        return False

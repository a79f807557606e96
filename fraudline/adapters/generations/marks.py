"""What building a generation of profiles and moving a shard to it share: profiles go forward, marks say how far.

docs/exactly-once.md holds the argument: what is between a build and the switch, two workers, crashes, zombies.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from fraudline.adapters.aws.backoff import Deadline, within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.tables.leases import Lease, Leases
from fraudline.adapters.tables.profiles import Profiles
from fraudline.clock import from_micros
from fraudline.errors import LostRace, NotReady
from fraudline.generation import Counted, Generation
from fraudline.profiles import Mark, StoredProfile
from fraudline.settings import Settings
from fraudline.stream import TRIM_HORIZON, timestamp_in

_ASK_SECONDS = 30.0


def stored(
    profiles: Profiles, generation: Generation, ids: Iterable[str], deadline: Deadline, name: str = ""
) -> dict[str, StoredProfile]:
    """Profiles by entity id, of this generation or of the one named."""
    keys = {generation.key(id_, name): id_ for id_ in ids}
    return {keys[key]: found for key, found in profiles.stored(keys, deadline).items()}


def forward(profiles: Profiles, generation: Generation, wanted: Mapping[str, Counted], deadline: Deadline) -> int:
    """Write what is behind until nothing is; how many. Another writer of the same generation writes the same values."""
    written = 0
    while changes := generation.changes(wanted, stored(profiles, generation, wanted, deadline)):
        with suppress(LostRace):
            profiles.commit(changes, deadline)
            written += len(changes)
    return written


def checkpoint_mark(lease: Lease) -> Mark:
    """The mark of a generation that has counted a shard up to its checkpoint."""
    is_begun = lease.checkpoint != TRIM_HORIZON and timestamp_in(lease.checkpoint) is None
    # Arrival times are approximate; a day earlier costs one more listing.
    day = (from_micros(lease.seen_through) - timedelta(days=1)).date().isoformat() if lease.seen_through else ""
    return Mark(lease.checkpoint if is_begun else "", day)


@dataclass(frozen=True)
class Line:
    """A shard and those it came from, as far as another generation has counted them, and where this one stands.

    `behind` are those of which something may be left to count. `is_built` is whether the generation was built when
    they, or those they came from, were there.
    """

    shards: frozenset[str]
    behind: frozenset[str]
    marks: Mapping[str, Mark]
    is_built: bool

    @property
    def since(self) -> str:
        """The first day on which something may have been archived that is not counted; empty: not known."""
        return min((self.marks[shard].day for shard in self.behind & self.marks.keys()), default="")

    def through(self, shard: str) -> str:
        return self.marks[shard].through if shard in self.marks else ""


def line_of(shard: str, rows: Mapping[str, Lease], generation: str, profiles: Profiles, deadline: Deadline) -> Line:
    """What must be counted before a shard can move to a generation; empty where no other one has counted anything."""
    others = frozenset(_counted_by_others(shard, rows, generation))
    marks = profiles.marks(generation, others, deadline) if others else {}
    # A shard without row or mark was never read by the group, or had nothing to count.
    line = frozenset(other for other in others if other in rows or other in marks)
    done = {other for other in line & rows.keys() & marks.keys() if marks[other].through == rows[other].checkpoint}
    return Line(line, line - done, marks, _is_built(shard, rows, generation, marks))


def _counted_by_others(shard: str, rows: Mapping[str, Lease], generation: str) -> Iterator[str]:
    lease = rows.get(shard)
    if lease is None:
        yield shard
    elif lease.generation != generation:
        if lease.generation:
            yield shard
        for parent in lease.parents:
            yield from _counted_by_others(parent, rows, generation)


def _is_built(shard: str, rows: Mapping[str, Lease], generation: str, marks: Mapping[str, Mark]) -> bool:
    """Whether a build saw this shard, or all that it came from: then it can only have begun later."""
    lease = rows.get(shard)
    if shard in marks or (lease is not None and lease.generation == generation):
        return True
    if lease is None or not lease.parents:
        return lease is not None and not lease.generation
    return all(_is_built(parent, rows, generation, marks) for parent in lease.parents)


def require_ready(settings: Settings, generation: str) -> None:
    """`NotReady` unless every shard of the deployment's consumer group can move to this generation."""
    dynamodb, deadline = DynamoDB(AwsJson("dynamodb")), within(_ASK_SECONDS)
    rows = Leases(dynamodb, settings.leases_table, settings.consumer, "promotion").rows()
    profiles = Profiles(dynamodb, settings.profiles_table, settings.decisions_table)
    lines = {shard: line_of(shard, rows, generation, profiles, deadline) for shard in rows}
    if missing := sorted(shard for shard, line in lines.items() if line.shards and not line.is_built):
        raise NotReady(
            f"its features are not those of the stream's profiles, and generation {generation} is not built for"
            f" {', '.join(missing)}: run `fraudline warm-up` with its contract, then promote again"
        )

"""Builds a generation of profiles from history and the archive, beside the one in use, while the stream is scored."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fraudline.adapters.archive.names import ArchivedBatch, archived_batches, padded
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.generations.marks import checkpoint_mark, forward, stored
from fraudline.adapters.storage.objects import Objects
from fraudline.adapters.tables.leases import Lease, Leases
from fraudline.adapters.tables.profiles import Profiles
from fraudline.archive import decode_archive
from fraudline.errors import NotReady
from fraudline.generation import Counted, Generation, differing
from fraudline.profiles import Mark
from fraudline.transactions.transaction import Transaction

_CHUNK = 500
_SECONDS = 60.0
_TOLD_EVERY = 100

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """How many rows of the archive were counted and how many this contract refuses, and how many profiles there are."""

    archived: int
    refused: int
    profiles: int
    written: int


def build_generation(
    generation: Generation,
    history: Iterable[Transaction],
    landing: Objects,
    leases: Leases,
    profiles: Profiles,
    tell: Progress,
    confirm: Callable[[], None],
) -> Built:
    """Count history, then the archive up to each shard's checkpoint; compare, write profiles, then marks.

    `history` is what the first generation was warmed up from, in the order it counts. What is stored already goes
    forward and never back, so a build may be killed and repeated at any time. `NotReady`, and nothing written, if a
    generation in use, or an earlier build of this one, has counted other transactions. `confirm` raises if history and
    archive no longer tell of the same people as when their reading began: it is asked before profiles are written, and
    again before marks are.
    """
    # Before `confirm` is first asked: it tells of who was erased by then, and who is later is looked for here, too.
    profiles.announce(generation.name, within(_SECONDS))
    rows = leases.rows()
    marks = {shard: checkpoint_mark(lease) for shard, lease in rows.items()}
    counted = generation.warm(history)
    archived = refused = 0
    for number, batch in enumerate(_up_to_checkpoints(landing, leases, marks), start=1):
        batch_rows = decode_archive(landing.get(batch.key)).rows
        events = generation.events(batch_rows)
        generation.count(counted, events)
        archived += len(events)
        refused += len(batch_rows) - len(events)
        if batch.shard not in rows:
            marks[batch.shard] = Mark(batch.last, batch.day)
        if number % _TOLD_EVERY == 0:
            tell(f"Counted {archived:,} archived transactions")
    confirm()
    _compare(generation, counted, profiles, rows, refused)
    written = _write(generation, counted, profiles, tell)
    confirm()
    profiles.mark(generation.name, marks, within(_SECONDS))
    return Built(archived, refused, len(counted), written)


def _up_to_checkpoints(landing: Objects, leases: Leases, marks: Mapping[str, Mark]) -> list[ArchivedBatch]:
    """Archive objects in the order they count: those that `marks` speak of, and all of shards whose rows are gone."""
    found = list(archived_batches(landing))
    # A shard that is new since the marks were made may have more objects than the listing has seen.
    through = {shard: mark.through for shard, mark in marks.items()}
    through |= dict.fromkeys(leases.rows().keys() - marks.keys(), "")
    known = (batch for batch in found if batch.shard not in through or batch.last <= padded(through[batch.shard]))
    return sorted(known, key=lambda batch: batch.first)


def _compare(
    generation: Generation, counted: Mapping[str, Counted], profiles: Profiles, rows: Mapping[str, Lease], refused: int
) -> None:
    anew = "" if rows else ", or empty the profiles table, as nothing has been scored yet"
    # Its own profiles, too: those of another history would stand, for at their position nothing is behind.
    for other in {generation.name, *(lease.generation for lease in rows.values())} - {""}:
        odd = sum(
            len(differing(counted, stored(profiles, generation, ids, within(_SECONDS), other)))
            for ids in _chunks(list(counted))
        )
        if odd > refused:
            raise NotReady(
                f"{odd:,} profiles would not have counted what those of generation {other} have: build from the"
                f" history, up to the day, that it was warmed up from, and a whole archive{anew}; nothing was written"
            )


def _write(generation: Generation, counted: Mapping[str, Counted], profiles: Profiles, tell: Progress) -> int:
    written = 0
    for ids in _chunks(list(counted)):
        written += forward(profiles, generation, {id_: counted[id_] for id_ in ids}, within(_SECONDS))
        tell(f"Wrote {written:,} of {len(counted):,} profiles")
    return written


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))

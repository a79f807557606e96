"""The steps of a backfill."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow.compute as pc

from fraudline.adapters.input_files import InputFile, found_files
from fraudline.adapters.large_backfill import PastOnDisk, is_large, land_files, scratch_beside, shuffled
from fraudline.adapters.originals import with_originals
from fraudline.adapters.partitions import Target, fill
from fraudline.adapters.registry import Registry
from fraudline.adapters.tombstones import erased_where_known
from fraudline.adapters.workers import Workers, dask_cluster, processes
from fraudline.backfilling import Partition, Past, PastInMemory, ScoredDay
from fraudline.bundle import Bundle, load_bundle
from fraudline.clock import day_start
from fraudline.columns import RejectedRow
from fraudline.contract import Contract
from fraudline.erasure_files import pseudonyms
from fraudline.errors import BadInput
from fraudline.features.definition import feature_set
from tasks import landing
from tasks.meter import meter
from tasks.progress import say
from tasks.steps import step


@step(name="load the model", retries=2, retry_delay_seconds=2)
def model(registry: Registry, contract: Contract, name: str) -> Bundle:
    """A version or the champion, if its features are this contract's."""
    version = registry.resolve(name)
    bundle = load_bundle(registry.read(version).__getitem__, version)
    if bundle.features.hash != feature_set(contract).hash:
        raise BadInput(
            f"version {version} scores other features than contract {contract.name!r} has:"
            " give the contract it was trained with"
        )
    return bundle


@dataclass(frozen=True)
class Read:
    """What was read for a backfill: what can be scored, and what became of the other rows."""

    past: PastInMemory | PastOnDisk
    rejects: Sequence[RejectedRow]
    duplicates: int


@contextmanager
def read(
    contract: Contract, locations: Sequence[str], window: tuple[date, date], bundle: Bundle, out: Path, dask: str | None
) -> Iterator[Read]:
    """These files, else all that has landed; the days of `window` (its end excluded) are to be scored.

    Files of many rows, wherever they lie, are worked on disk, beside `out`, by the processes of this machine or of the
    cluster at `dask`; what has landed is one table.
    """
    if dask and not locations:
        raise BadInput("--dask works on files: name some with --transactions")
    files = list(found_files(locations)) if locations else []
    start, end = (day_start(day) for day in window)
    if dask or is_large(files):
        with scratch_beside(out) as scratch, dask_cluster(dask) if dask else processes() as workers:
            yield _shuffled(contract, files, (start, end), bundle, scratch, workers)
    else:
        landed = landing.history(contract, locations, end)
        yield Read(PastInMemory.of(landed.table, start, end, bundle), landed.rejects, landed.duplicates)


@step(name="read and sort by entity")
def _shuffled(
    contract: Contract,
    files: Sequence[InputFile],
    window: tuple[int, int],
    bundle: Bundle,
    scratch: Path,
    workers: Workers,
) -> Read:
    progress = meter(f"backfill-progress-{contract.name}")
    found = land_files(contract, files, scratch, workers, progress)
    say(f"Read {found.rows:,} rows from {len(files):,} files")
    erased = erased_where_known(contract)
    past = shuffled(
        contract, found, window, bundle, lambda ids, entity: pseudonyms(ids, entity, erased), scratch, workers, progress
    )
    return Read(past, with_originals(found.rejects, scratch), found.duplicates)


@dataclass(frozen=True)
class DayDone:
    """A day that was scored, in numbers."""

    day: str
    transactions: int
    alerts: int


@step(name="score days")
def score_days(past: Past, parts: Sequence[Partition], targets: Sequence[Target]) -> list[DayDone]:
    """Each day goes to all targets as soon as it is scored: a backfill that is stopped goes on from there."""
    done: list[DayDone] = []
    fill(targets, _told(past.score(parts), done))
    return done


def _told(days: Iterator[ScoredDay], done: list[DayDone]) -> Iterator[ScoredDay]:
    """The days, each noted once all targets have it."""
    for day in days:
        yield day
        done.append(DayDone(day.part.day, day.decisions.num_rows, pc.sum(day.decisions["is_fraud"]).as_py()))
        say(f"Scored {day.part.day}: {day.decisions.num_rows:,} transactions")

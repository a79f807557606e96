"""The steps of a backfill."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow.compute as pc

from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.backfill.partitions import Target, fill
from fraudline.adapters.inputs.originals import with_originals
from fraudline.adapters.inputs.sources import found_files
from fraudline.adapters.large.backfill import PastOnDisk, is_large, is_large_history, shuffled
from fraudline.adapters.large.days import LargeLanding
from fraudline.adapters.large.landing import land_files, landing_of, read_files
from fraudline.adapters.large.shuffle import empty, scratch_beside
from fraudline.adapters.large.stream_runs import land_stream
from fraudline.adapters.large.workers import Workers, dask_cluster, processes
from fraudline.adapters.registry import Registry
from fraudline.adapters.stream.kinesis import Stream
from fraudline.adapters.tables.tombstones import erased_people, erased_where_known
from fraudline.backfill.past import Partition, Past, PastInMemory, ScoredDay
from fraudline.clock import day_start
from fraudline.contract import Contract
from fraudline.erasure.files import pseudonyms
from fraudline.errors import BadInput
from fraudline.features.definition import feature_set
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.settings import load_settings
from fraudline.transactions.landed import RejectedRow
from tasks import landing
from tasks.meter import Meter, meter
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


@dataclass(frozen=True)
class Sources:
    """What a backfill reads: these files, else all that has landed; then what the stream keeps since a moment."""

    locations: Sequence[str]
    # Microseconds since the epoch.
    stream_from: int | None = None

    @property
    def are_files(self) -> bool:
        return bool(self.locations) and self.stream_from is None


@contextmanager
def read(
    contract: Contract, sources: Sources, window: tuple[date, date], bundle: Bundle, out: Path, dask: str | None
) -> Iterator[Read]:
    """What there is to read; the days of `window` (its end excluded) are to be scored.

    Much of it, wherever it lies, is worked on disk, beside `out`, by the processes of this machine or of the cluster at
    `dask`; little is one table. How much a stream still keeps shows when it is read.
    """
    start, end = (day_start(day) for day in window)
    if dask or sources.stream_from is not None or _are_large(sources.locations):
        with scratch_beside(out) as scratch, dask_cluster(dask) if dask else processes(say) as workers:
            yield _shuffled(contract, sources, (start, end), bundle, scratch, workers)
    else:
        landed = landing.history(contract, sources.locations, end)
        yield Read(PastInMemory.of(landed.table, start, end, bundle), landed.rejects, landed.duplicates)


def _are_large(locations: Sequence[str]) -> bool:
    return is_large(list(found_files(locations))) if locations else is_large_history(landing.landed())


@step(name="read and sort by entity", retries=2, retry_delay_seconds=5)
def _shuffled(
    contract: Contract,
    sources: Sources,
    window: tuple[int, int],
    bundle: Bundle,
    scratch: Path,
    workers: Workers,
) -> Read:
    # Of an attempt before this one.
    empty(scratch)
    progress = meter(f"backfill-progress-{contract.name}")
    erased = erased_where_known(contract) if sources.are_files else erased_people(load_settings(), contract)
    found = _landed(contract, sources, window[1], bundle, scratch, workers, progress)
    say(f"Read {found.rows:,} rows from {len(found.sources):,} files and objects")
    rename = partial(pseudonyms, erased=erased)
    past = shuffled(contract, found, window, bundle, rename, scratch, workers, progress)
    return Read(past, with_originals(found.rejects, scratch), found.duplicates)


def _landed(
    contract: Contract,
    sources: Sources,
    as_of: int,
    bundle: Bundle,
    scratch: Path,
    workers: Workers,
    progress: Meter,
) -> LargeLanding:
    if sources.are_files:
        return land_files(contract, list(found_files(sources.locations)), scratch, workers, progress)
    streamed = None
    if sources.stream_from is not None:
        stream = Stream(AwsJson("kinesis"), load_settings().stream)
        streamed = land_stream(stream, bundle, sources.stream_from, scratch, progress)
    if not sources.locations:
        return landing.on_disk(contract, as_of, scratch, workers, progress, streamed)
    files = read_files(contract, list(found_files(sources.locations)), scratch, workers, progress)
    return landing_of(contract, [files], workers, streamed)


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
        # There are none on a day of nothing but ids that counted before for others.
        alerts = pc.sum(day.decisions["is_fraud"]).as_py() or 0
        done.append(DayDone(day.part.day, day.decisions.num_rows, alerts))
        say(f"Scored {day.part.day}: {day.decisions.num_rows:,} transactions")

"""The steps of a backfill."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow.compute as pc

from fraudline.adapters.partitions import Target, fill
from fraudline.adapters.registry import Registry
from fraudline.backfilling import Partition, Past, PastInMemory, ScoredDay
from fraudline.bundle import Bundle, load_bundle
from fraudline.clock import day_start
from fraudline.columns import RejectedRow
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.features.definition import feature_set
from tasks import landing
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

    past: Past
    rejects: Sequence[RejectedRow]
    duplicates: int


def read(contract: Contract, locations: Sequence[str], start: date, end: date, bundle: Bundle) -> Read:
    """These files, else all that has landed; the days of [start, end) are to be scored."""
    landed = landing.history(contract, locations, day_start(end))
    past = PastInMemory.of(landed.table, day_start(start), day_start(end), bundle)
    return Read(past, landed.rejects, landed.duplicates)


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

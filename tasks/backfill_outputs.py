"""Where a backfill's days go, and which of them are there already."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.backfill.decisions import DecisionTarget
from fraudline.adapters.backfill.named import BackfillOutput, NamedBackfills, held, held_output, missing
from fraudline.adapters.backfill.output_lock import only_run
from fraudline.adapters.backfill.partitions import Done, LocalFolder, PartitionFile, PartitionFolder, Target, place_of
from fraudline.adapters.storage.disk import PARTIALS, remove_abandoned
from fraudline.adapters.tables.decisions import Decisions
from fraudline.adapters.tables.tombstones import erased_people, require_nobody_new
from fraudline.backfill.past import Partition, ScoredDay
from fraudline.contract import Contract
from fraudline.model.bundle import Bundle
from fraudline.settings import erasure_key, load_settings


class Days(Protocol):
    """What knows which of its days are done."""

    def missing(self, parts: Sequence[Partition]) -> list[Partition]: ...


class Everything:
    """Days of a single file: it is written as a whole or not at all."""

    def missing(self, parts: Sequence[Partition]) -> list[Partition]:
        return list(parts)


@dataclass(frozen=True)
class Outputs:
    """All targets, and what tells their days."""

    targets: Sequence[Target]
    days: Sequence[Days]

    def missing(self, parts: Sequence[Partition]) -> list[Partition]:
        """Those that any target lacks; to one that has them, they are written again as they are."""
        wanted = {part.day for days in self.days for part in days.missing(parts)}
        return [part for part in parts if part.day in wanted]

    def beside(self, other: Target, parts: Sequence[Partition]) -> list[Target]:
        """The targets given only these days, and another that is given all."""
        days = frozenset(part.day for part in parts)
        return [*(_Only(target, days) for target in self.targets), other]


@dataclass(frozen=True)
class _Only:
    target: Target
    days: frozenset[str]

    def write(self, day: ScoredDay) -> None:
        if day.part.day in self.days:
            self.target.write(day)

    def close(self, complete: bool) -> None:
        self.target.close(complete)


def place_for(out: str, version: str) -> str:
    """The output that was asked for: `{version}` stands for the version's name.

    >>> place_for("s3://fraudline-reports/backfills/{version}", "2026-01-31-0123456789ab")
    's3://fraudline-reports/backfills/2026-01-31-0123456789ab'
    """
    return out.replace("{version}", version)


def scratch_for(out: str | None, name: str | None) -> Path:
    """Where a large backfill works: beside an output that is here, else in a folder called as the output is."""
    if out is not None and "://" not in out:
        return Path(out)
    return Path("out") / f"backfill-{name or re.sub('[^A-Za-z0-9._-]+', '-', str(out))}"


@contextmanager
def outputs(out: str | None, name: str | None, contract: Contract, bundle: Bundle) -> Iterator[Outputs]:
    """Files, the decisions table under `name`, or both; within the block no other run writes to any of them.

    To be entered before the input is read: none takes a day any more once somebody is erased who was not by then.
    """
    check = _nobody_new(out, name, contract)
    targets: list[Target] = []
    days: list[Days] = []
    with ExitStack() as stack:
        if out is not None:
            if out.endswith(".parquet"):
                stack.enter_context(only_run(Path(out)))
                remove_abandoned(Path(out).parent.glob(PARTIALS))
                targets.append(PartitionFile(Path(out), check))
                days.append(Everything())
            else:
                folder = stack.enter_context(_folder(out, contract, bundle, check))
                targets.append(folder)
                days.append(folder)
        if name is not None:
            hold = stack.enter_context(held(_named(name), contract.name, bundle.version))
            table = DecisionTarget(_decisions(contract), hold, bundle, check)
            targets.append(table)
            days.append(table)
        yield Outputs(targets, days)


def _nobody_new(out: str | None, name: str | None, contract: Contract) -> Callable[[], None]:
    """What raises `NotReady` once somebody is erased whom the input may still tell of; nobody is known without a key.

    Whoever writes into a deployment must have its key, if it has forgotten anybody.
    """
    is_in_deployment = name is not None or (out is not None and "://" in out)
    if not is_in_deployment and erasure_key() is None:
        return lambda: None
    settings = load_settings()
    return partial(require_nobody_new, settings, contract, erased_people(settings, contract))


@contextmanager
def _folder(out: str, contract: Contract, bundle: Bundle, check: Callable[[], None]) -> Iterator[PartitionFolder]:
    """One file a day, here or in a bucket, which two machines may be asked to write into."""
    place = place_of(out)
    if isinstance(place, LocalFolder):
        with only_run(place.path):
            remove_abandoned(place.path.glob(PARTIALS))
            yield PartitionFolder(place, contract.name, bundle.version, check)
    else:
        rows = BackfillOutput(DynamoDB(AwsJson("dynamodb")), load_settings().leases_table, place.location)
        with held_output(rows, contract.name, bundle.version) as hold:

            def both() -> None:
                check()
                hold.check()

            yield PartitionFolder(place, contract.name, bundle.version, both)


def planned(out: str | None, name: str | None, contract: Contract, bundle: Bundle) -> Outputs:
    """The same to look at only: nothing is locked, nothing can be written."""
    days: list[Days] = []
    if out is not None:
        is_file = out.endswith(".parquet")
        days.append(Everything() if is_file else PartitionFolder(place_of(out), contract.name, bundle.version))
    if name is not None:
        _, done = _named(name).head_for(contract.name, bundle.version)
        days.append(_Done(done))
    return Outputs((), days)


@dataclass(frozen=True)
class _Done:
    done: dict[str, Done]

    def missing(self, parts: Sequence[Partition]) -> list[Partition]:
        return missing(parts, self.done)


def _named(name: str) -> NamedBackfills:
    return NamedBackfills(DynamoDB(AwsJson("dynamodb")), load_settings().leases_table, name)


def _decisions(contract: Contract) -> Decisions:
    settings = load_settings()
    return Decisions(DynamoDB(AwsJson("dynamodb")), settings.decisions_table, contract, settings.decisions_keep_days)

"""Where a backfill's days go, and which of them are there already."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fraudline.adapters.aws_json import AwsJson
from fraudline.adapters.backfill_decisions import DecisionTarget
from fraudline.adapters.decisions import Decisions
from fraudline.adapters.dynamodb import DynamoDB
from fraudline.adapters.named_backfill import NamedBackfills, held, missing
from fraudline.adapters.output_lock import only_run
from fraudline.adapters.partitions import Done, PartitionFile, PartitionFolder, Target
from fraudline.backfilling import Partition, ScoredDay
from fraudline.bundle import Bundle
from fraudline.contract import Contract
from fraudline.settings import load_settings


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


@contextmanager
def outputs(out: Path | None, name: str | None, contract: Contract, bundle: Bundle) -> Iterator[Outputs]:
    """Files, the decisions table under `name`, or both; within the block no other run writes to any of them."""
    targets: list[Target] = []
    days: list[Days] = []
    with ExitStack() as stack:
        if out is not None:
            stack.enter_context(only_run(out))
            if out.suffix == ".parquet":
                targets.append(PartitionFile(out))
                days.append(Everything())
            else:
                folder = PartitionFolder(out, contract.name, bundle.version)
                targets.append(folder)
                days.append(folder)
        if name is not None:
            hold = stack.enter_context(held(_named(name), contract.name, bundle.version))
            table = DecisionTarget(_decisions(contract), hold, bundle)
            targets.append(table)
            days.append(table)
        yield Outputs(targets, days)


def planned(out: Path | None, name: str | None, contract: Contract, bundle: Bundle) -> Outputs:
    """The same to look at only: nothing is locked, nothing can be written."""
    days: list[Days] = []
    if out is not None:
        is_file = out.suffix == ".parquet"
        days.append(Everything() if is_file else PartitionFolder(out, contract.name, bundle.version))
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

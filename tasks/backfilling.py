"""The steps of a backfill."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from fraudline.adapters.partitions import PartitionFile, PartitionFolder
from fraudline.adapters.registry import Registry
from fraudline.backfilling import Partition, partitions, score_partitions
from fraudline.bundle import Bundle, load_bundle
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.features.definition import feature_set
from fraudline.table import TransactionTable
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


@step(name="partition by day")
def days(table: TransactionTable, start: int, end: int) -> list[Partition]:
    return partitions(table, start, end)


@step(name="score days into a folder")
def score_into_folder(
    table: TransactionTable, parts: Sequence[Partition], bundle: Bundle, folder: PartitionFolder
) -> list[pa.Table]:
    """Each day is written as soon as it is scored: a backfill that is stopped goes on from there."""
    scored = []
    for part, decisions in zip(parts, score_partitions(table, list(parts), bundle), strict=True):
        folder.write(part, decisions)
        say(f"Scored {part.day}: {decisions.num_rows:,} transactions")
        scored.append(decisions)
    return scored


@step(name="score days into a file")
def score_into_file(table: TransactionTable, parts: Sequence[Partition], bundle: Bundle, path: Path) -> list[pa.Table]:
    scored = []
    for part, decisions in zip(parts, score_partitions(table, list(parts), bundle), strict=True):
        say(f"Scored {part.day}: {decisions.num_rows:,} transactions")
        scored.append(decisions)
    PartitionFile(path).write_all(scored)
    return scored

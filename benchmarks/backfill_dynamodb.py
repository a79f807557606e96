"""What the DynamoDB target of a backfill costs against a bare writer of the same items, on the emulator.

    python -m benchmarks.backfill_dynamodb

The bare writer has its items ready and only sends them, with as many threads and the same client; so has boto3's
`Table.batch_writer()`, which one would use instead, and which gets one round. They write the same rows in turn into one
table; CPU is this process's, the emulator's is its own.
"""

import argparse
import gc
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import boto3
import msgspec
import pyarrow as pa
from boto3.dynamodb.types import TypeDeserializer

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.backfill.decisions import DecisionTarget
from fraudline.adapters.backfill.named import NamedBackfills, held
from fraudline.adapters.backfill.partitions import fill
from fraudline.adapters.tables.decisions import Decisions, with_bytes
from fraudline.backfill.decisions import rows_of
from fraudline.backfill.past import PastInMemory, ScoredDay
from fraudline.contract import load_contract
from fraudline.decision import Item, decision_from, decision_item
from fraudline.features.definition import feature_set
from fraudline.local.emulator import environment_of, running_emulator
from fraudline.local.resources import create_resources
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.settings import Settings
from fraudline.simulate import Population, simulate
from fraudline.transactions.columns import screen
from fraudline.transactions.table import TransactionTable
from tests.realtime.bundles import bundle_files, version_of

ALLOWED = 1.3
THREADS = 4
ITEMS_AT_ONCE = 250
ROUNDS = 5
# Flags about one transaction in a hundred.
THRESHOLD = 0.745
_plain = TypeDeserializer().deserialize


def main() -> None:
    options = _options()
    files = dict(bundle_files("ecommerce", threshold=THRESHOLD))
    bundle = load_bundle(files.__getitem__, version_of(files))
    days = _scored(options.users, options.days, bundle)
    with (
        tempfile.TemporaryDirectory() as scratch,
        running_emulator(Path(scratch)) as emulator,
        environment_of(emulator.environment),
    ):
        settings = _resources()
        origin, begun_at = "backfill#bench", time.time_ns() // 1000
        items = [item for day in days for item in _items(day, bundle, origin, begun_at)]
        # The ready items are the bare writer's: the target's rounds shall not pay for looking at them.
        gc.collect()
        gc.freeze()
        seconds: dict[str, list[tuple[float, float]]] = {"bare": [], "target": []}
        for number in range(ROUNDS):
            seconds["bare"].append(_timed(lambda: _bare(settings.decisions_table, items)))
            seconds["target"].append(_timed(lambda name=f"b{number}": _target(settings, bundle, days, name)))
        ready = [{name: _plain(value) for name, value in item.items()} for item in items]
        seconds["batch_writer"] = [_timed(lambda: _batch_writer(settings.decisions_table, ready))]
    _report(len(items), len(feature_set(bundle.contract).names), seconds)


def _scored(users: int, days: int, bundle: Bundle) -> list[ScoredDay]:
    """The days as the flow hands them over: features and scores are no part of what is measured."""
    frame = simulate(Population(users=users, days=days, seed=1, fraud_rate=0.02))
    table: TransactionTable = screen(load_contract("ecommerce"), pa.Table.from_pandas(frame), "made").table.sorted()
    first = int(table.timestamp[0])
    past = PastInMemory.of(table, first, int(table.timestamp[-1]) + 1, bundle)
    return list(replace(past, with_features=True).score(past.partitions))


def _items(day: ScoredDay, bundle: Bundle, origin: str, begun_at: int) -> Iterator[Item]:
    """What a writer of its own would have: the same items as dicts."""
    names = [entity.name for entity in bundle.contract.entities]
    for row in rows_of(day, bundle, origin, begun_at):
        yield decision_item(decision_from(with_bytes(msgspec.json.decode(row)), names))


def _resources() -> Settings:
    names = Settings.model_construct().model_dump(exclude={"contract", "consumer"}, exclude_none=True)
    prefix = f"b{uuid.uuid4().hex[:8]}"
    return create_resources(Settings(**{field: name.replace("fraudline", prefix) for field, name in names.items()}))


def _bare(table: str, items: list[Item]) -> None:
    """Ready items through the same client, as many at once and from as many threads."""
    dynamodb = DynamoDB(AwsJson("dynamodb"))
    chunks = [items[begin : begin + ITEMS_AT_ONCE] for begin in range(0, len(items), ITEMS_AT_ONCE)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda chunk: dynamodb.write(table, chunk, within(300)), chunks))


def _target(settings: Settings, bundle: Bundle, days: list[ScoredDay], name: str) -> None:
    dynamodb = DynamoDB(AwsJson("dynamodb"))
    decisions = Decisions(dynamodb, settings.decisions_table, bundle.contract)
    with held(NamedBackfills(dynamodb, settings.leases_table, name), bundle.contract.name, bundle.version) as hold:
        fill([DecisionTarget(decisions, hold, bundle)], days)


def _batch_writer(table: str, items: list[dict[str, Any]]) -> None:
    """boto3 as its guide has it, with a share of the items and a session for each thread, none of which is shared."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda share: _write_share(table, share), [items[thread::THREADS] for thread in range(THREADS)]))


def _write_share(table: str, items: list[dict[str, Any]]) -> None:
    with boto3.session.Session().resource("dynamodb").Table(table).batch_writer() as writer:
        for item in items:
            writer.put_item(Item=item)


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds on the wall and of this process's CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _report(items: int, features: int, seconds: dict[str, list[tuple[float, float]]]) -> None:
    wall = {way: median(run[0] for run in runs) for way, runs in seconds.items()}
    cpu = {way: median(run[1] for run in runs) for way, runs in seconds.items()}
    ratios = {"wall": wall["target"] / wall["bare"], "cpu": cpu["target"] / cpu["bare"]}
    instead = {"wall": wall["batch_writer"] / wall["target"], "cpu": cpu["batch_writer"] / cpu["target"]}
    result = {
        "items": items,
        "features_of_each": features,
        "microseconds_of_cpu_an_item": {way: round(1e6 * value / items, 1) for way, value in cpu.items()},
        "items_a_second": {way: round(items / value) for way, value in wall.items()},
        "target_to_bare": {what: round(ratio, 3) for what, ratio in ratios.items()},
        "batch_writer_to_target": {what: round(ratio, 3) for what, ratio in instead.items()},
    }
    print(json.dumps(result, indent=1))
    if max(ratios.values()) > ALLOWED:
        raise SystemExit(f"more than {ALLOWED} times the bare writer")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--days", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()

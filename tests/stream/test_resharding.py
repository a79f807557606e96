"""Splits and merges under way, on kinesis-local: parents before children, nothing skipped, nothing twice."""

import json
import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from flows.backfill import BackfillRequest, backfill
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.large import shuffle, stream_runs
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.deps import stream_deps
from fraudline.adapters.stream.draining import CAUGHT_UP, CLOSED, EXPIRED, GONE, Limits
from fraudline.adapters.stream.kinesis import Stream
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import first_checkpoint, ready_to_drain, run_slice
from fraudline.adapters.tables.leases import Lease
from fraudline.local.resources import create_stream
from fraudline.model.bundle import load_bundle
from fraudline.settings import Settings
from fraudline.stream import TRIM_HORIZON, Shard, at_timestamp
from fraudline.transactions.transaction import CONFLICTING_ID
from tests.realtime.bundles import bundle_files, version_of
from tests.stream.conftest import Expected, assert_same
from tests.stream.events import clean_events, dirty_events
from tests.stream.proxy import Body, Rewritten, proxy
from tests.stream.storage import accounts, stored
from tests.stream.worker import Orders, Worker, deps_of

Events = list[tuple[str, bytes]]


@pytest.fixture
def resharding(resources: Settings, kinesis_local: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The test's deployment, its stream of two shards on the emulator that reshards as Kinesis does."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS", kinesis_local)
    create_stream(client("kinesis"), resources.stream, 2)
    return resources


def reshard(settings: Settings, shards: int) -> None:
    kinesis = client("kinesis")
    kinesis.update_shard_count(StreamName=settings.stream, TargetShardCount=shards, ScalingType="UNIFORM_SCALING")
    deadline = time.monotonic() + 30
    while len(open_shards(settings)) != shards:
        assert time.monotonic() < deadline, "the stream does not reshard"
        time.sleep(0.1)


def open_shards(settings: Settings) -> list[str]:
    kinesis = client("kinesis")
    status = kinesis.describe_stream_summary(StreamName=settings.stream)["StreamDescriptionSummary"]["StreamStatus"]
    if status != "ACTIVE":
        return []
    shards = kinesis.list_shards(StreamName=settings.stream)["Shards"]
    return [shard["ShardId"] for shard in shards if is_open(shard)]


def put(settings: Settings, events: Events) -> None:
    Producer(client("kinesis"), settings.stream).send(events)


def test_a_stream_that_goes_from_two_to_four_to_two_shards_loses_nothing(
    resharding: Settings, expected: Expected
) -> None:
    events = dirty_events(450, users=30)
    third = len(events) // 3
    put(resharding, events[:third])
    first = Worker(resharding, Orders("w1", Limits(records=40, batch_records=15)))
    reshard(resharding, 4)
    put(resharding, events[third : 2 * third])
    reports = [first.report()]
    second = [Worker(resharding, Orders(f"w2{n}", Limits(records=60, batch_records=15))) for n in range(2)]
    reshard(resharding, 2)
    put(resharding, events[2 * third :])
    reports += [worker.report() for worker in second]
    reports.append(Worker(resharding, Orders("last")).report())
    closed = [drain.shard for report in reports for drain in report.drains if drain.ended == CLOSED]
    assert len(set(closed)) == 6, "two shards were split, and four merged"
    assert sum(account.read for account in accounts(resharding)) == len(events)
    assert_same(resharding, expected)


def test_every_entity_counts_in_the_order_it_was_sent_across_reshards(resharding: Settings) -> None:
    events = dirty_events(150, users=10)
    put(resharding, events[:80])
    reshard(resharding, 4)
    put(resharding, events[80:])
    run_slice(deps_of(resharding, Orders("w")), Limits())
    order: dict[str, list[str]] = {}
    for decision in sorted(stored(resharding).decisions.values(), key=lambda d: d["position"]):
        order.setdefault(decision["entity"], []).append(decision["transaction_id"])
    assert len(order) == 10
    assert all(ids == sorted(ids) for ids in order.values())


def test_a_parent_that_expires_before_it_is_drained_is_told_of_and_its_children_are_read(
    resharding: Settings, kinesis_local: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(resharding, clean_events(30, users=10))
    deps = deps_of(resharding, Orders("w"))
    assert run_slice(deps, Limits(records=3)).read == 6
    reshard(resharding, 4)
    put(resharding, clean_events(30, users=10, first=30))
    with proxy(kinesis_local, closed_shards_are_gone) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_KINESIS", address)
        late = run_slice(deps_of(resharding, Orders("late")), Limits())
    assert Counter(drain.ended for drain in late.drains) == {GONE: 2, CAUGHT_UP: 4}
    assert set(late.flags) == {drain.shard for drain in late.drains if drain.ended == GONE}
    assert set(late.flags.values()) == {(EXPIRED,)}
    assert late.scored == 30
    assert deps.leases.rows().keys() == set(open_shards(resharding))


def closed_shards_are_gone(operation: str, body: Body) -> Rewritten | None:
    """As when the retention of all their records has passed."""
    if operation != "ListShards":
        return None
    return Rewritten(body, lambda told: {**told, "Shards": [s for s in told["Shards"] if is_open(s)]})


def is_open(shard: dict[str, Any]) -> bool:
    return shard["SequenceNumberRange"].get("EndingSequenceNumber") is None


def test_leases_of_closed_shards_are_kept_until_the_stream_forgets_them(resharding: Settings) -> None:
    put(resharding, dirty_events(40, users=10))
    reshard(resharding, 4)
    deps = deps_of(resharding, Orders("w"))
    run_slice(deps, Limits())
    leases = deps.leases.rows()
    shards = Stream(AwsJson("kinesis"), resharding.stream).shards(within(10))
    assert leases.keys() == {shard.id for shard in shards}
    assert {lease.shard for lease in leases.values() if not lease.closed} == set(open_shards(resharding))


def lease(shard: str, *parents: str, closed: bool = False) -> Lease:
    return Lease(shard, parents, "TRIM_HORIZON", 0, closed=closed)


def test_a_child_waits_for_all_its_parents() -> None:
    shards = {name: Shard(name, 0, 1) for name in "abc"}
    leases = {"a": lease("a", closed=True), "b": lease("b"), "c": lease("c", "a", "b")}
    assert [one.shard for one in ready_to_drain(leases, shards)] == ["b"]
    leases["b"] = lease("b", closed=True)
    assert [one.shard for one in ready_to_drain(leases, shards)] == ["c"]


def test_children_begin_where_their_parents_group_began() -> None:
    child = Shard("c", 0, 1, ("a", "b"))
    read = msgspec.structs.replace(lease("a", closed=True), checkpoint="17")
    idle = msgspec.structs.replace(lease("b", closed=True), checkpoint=at_timestamp(5))
    assert first_checkpoint(child, {}, at_timestamp(9)) == at_timestamp(9)
    assert first_checkpoint(child, {"a": read}, at_timestamp(9)) == TRIM_HORIZON
    assert first_checkpoint(child, {"a": read, "b": idle}, at_timestamp(9)) == at_timestamp(5)


def test_a_parent_that_is_gone_for_good_holds_nobody_up() -> None:
    assert ready_to_drain({"c": lease("c", "gone")}, {"c": Shard("c", 0, 1)}) != []
    assert ready_to_drain({"c": lease("c", "new")}, {"c": Shard("c", 0, 1), "new": Shard("new", 0, 1)}) == []


def test_a_backfill_of_a_stream_that_was_resharded_scores_as_its_consumer_does(
    resharding: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In many runs, after a past that has landed: late records count after those that their entities had counted."""
    for module, name, rows in ((stream_runs, "RUN_ROWS", 30), (shuffle, "PARTITION_ROWS", 100)):
        monkeypatch.setattr(module, name, rows)
    registry = Registry(open_objects(f"s3://{resharding.models_bucket}"), "ecommerce")
    files = bundle_files("ecommerce")
    registry.publish(version_of(files), files)
    put(resharding, clean_events(150, users=20))
    bundle = load_bundle(files.__getitem__, version_of(files))
    run_slice(stream_deps(resharding, bundle, "w1"), Limits())
    put(resharding, dirty_events(100, users=20, seed=2, first=150))
    reshard(resharding, 4)
    put(resharding, clean_events(100, users=20, seed=3, first=250, late=0.5))
    reshard(resharding, 2)
    put(resharding, dirty_events(50, users=20, seed=4, first=350))
    days = {"start": date(2026, 1, 5), "end": date(2026, 1, 8)}
    result = backfill.fn(
        BackfillRequest(
            model=bundle.version, out=str(tmp_path / "s.parquet"), quarantine=str(tmp_path / "q"),
            stream_from=datetime(2020, 1, 1, tzinfo=UTC), **days,
        )
    )  # fmt: skip
    run_slice(stream_deps(resharding, bundle, "w2"), Limits())
    kept = stored(resharding)
    scores = {row["transaction_id"]: row["score"] for row in pq.read_table(tmp_path / "s.parquet").to_pylist()}
    assert scores == {id_: float(decision["score"]) for id_, decision in kept.decisions.items()}
    assert (len(scores), result.duplicates) == (400, 150 + len(kept.duplicates))
    (refused,) = (tmp_path / "q").rglob("*.jsonl")
    told = {row["source"]: row["raw"] for row in map(json.loads, refused.read_text().splitlines())}
    assert told == {at: reject.raw.decode("utf-8", "backslashreplace") for at, reject in kept.rejects.items()}
    assert any(problem.code == CONFLICTING_ID for reject in kept.rejects.values() for problem in reject.problems)

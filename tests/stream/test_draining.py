"""A drain keeps to its bounds, holds its lease for as long as it works, and says of a shard only what it has seen."""

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.adapters.stream.deps import StreamDeps
from fraudline.adapters.stream.draining import (
    CAUGHT_UP,
    EXPIRED,
    LOST,
    RECORDS,
    STOPPED,
    TIME,
    UNAVAILABLE,
    DrainReport,
    Limits,
    drain,
)
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.leases import Lease
from fraudline.durations import HOUR, MINUTE
from fraudline.errors import LostRace, Unavailable
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from fraudline.stream import TRIM_HORIZON, Shard, at_timestamp
from tests.stream.conftest import Send, void
from tests.stream.events import clean_events
from tests.stream.proxy import Body, Reply, Rewritten, Rule, proxy, throttled
from tests.stream.test_lagged import payments
from tests.stream.worker import Orders, deps_of

ENDED: dict[type[Exception] | None, str] = {None: CAUGHT_UP, LostRace: LOST, Unavailable: UNAVAILABLE}


@contextmanager
def behind(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, rule: Rule) -> Iterator[None]:
    """Clients made in the block reach AWS through a proxy with this rule."""
    with proxy(emulator.endpoint, rule) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        yield


def taken(deps: StreamDeps, user: str = "") -> tuple[Lease, Shard]:
    """The lease on one shard, that of a user's records if one is named, in our name."""
    shard, *_ = (shard for shard in deps.stream.shards(deps.leases.deadline()) if not user or shard.owns(user))
    deps.leases.create(shard, TRIM_HORIZON)
    lease = deps.leases.acquire(deps.leases.rows()[shard.id])
    assert lease is not None
    return lease, shard


def drained(deps: StreamDeps, limits: Limits) -> DrainReport:
    return drain(deps, *taken(deps), limits, void)


def test_a_drain_takes_no_record_beyond_its_number_and_is_not_stuck_though_others_wait(
    resources: Settings, send: Send
) -> None:
    send(clean_events(30, users=1))
    deps = deps_of(resources, Orders("w"))
    report = run_slice(deps, Limits(records=10, batch_records=8, seconds=20.0, stuck_seconds=0.0))
    (busy,) = (each for each in report.drains if each.read)
    assert (busy.read, busy.ended, busy.batches, busy.flags) == (10, RECORDS, 2, ())
    assert busy.lag_seconds > 0
    assert run_slice(deps, Limits()).read == 20


def test_a_shard_that_was_only_told_to_stop_is_not_stuck(resources: Settings, send: Send) -> None:
    send(clean_events(40, users=20))
    stop = threading.Event()
    deps = deps_of(resources, Orders("w"), stop.is_set)
    lease, shard = taken(deps)
    stop.set()
    report = drain(deps, lease, shard, Limits(stuck_seconds=0.0), void)
    assert (report.ended, report.read, report.flags) == (STOPPED, 0, ())
    assert report.lag_seconds > 0


def test_a_checkpoint_is_no_alarm_where_the_stream_keeps_its_records_for_longer(resources: Settings) -> None:
    client("kinesis").increase_stream_retention_period(StreamName=resources.stream, RetentionPeriodHours=48)
    deps = deps_of(resources, Orders("w"))
    for hours, flagged in ((25, 0), (49, 4)):
        start = at_timestamp(deps.leases.now() - hours * HOUR)
        own = deps_of(resources.model_copy(update={"consumer": f"since-{hours}"}), Orders("w"))
        assert len(run_slice(own, Limits(), start=start).flags) == flagged


def test_a_shard_is_seen_through_the_moment_before_it_was_looked_at(
    resources: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrives while a look is under way is not in it."""
    looks: list[int] = []

    def rule(operation: str, _: Body) -> None:
        if operation == "GetRecords":
            looks.append(time.time_ns() // 1000)

    with behind(emulator, monkeypatch, rule):
        deps = deps_of(resources, Orders("w"))
        begin = deps.leases.now()
        report = drained(deps, Limits())
    assert report.ended == CAUGHT_UP
    assert begin <= deps.leases.rows()[report.shard].seen_through <= looks[0]


def test_a_lease_is_kept_while_a_shard_hands_over_nothing(
    resources: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = deps_of(resources, Orders("beside")).leases
    terms: set[int] = set()
    told: list[bool] = []
    give_up = time.monotonic() + 30

    def rule(operation: str, body: Body) -> Reply | None:
        if operation != "GetRecords":
            return None
        (row,) = beside.rows().values()
        terms.add(row.expires_at)
        if len(terms) > 1 or time.monotonic() > give_up:
            told.append(time.monotonic() <= give_up)
            return None
        return Reply(200, {"Records": [], "NextShardIterator": body["ShardIterator"], "MillisBehindLatest": 900_000})

    with behind(emulator, monkeypatch, rule):
        report = drained(deps_of(resources, Orders("w", lease_seconds=3)), Limits())
    assert report.ended == CAUGHT_UP
    assert told[0], "the lease was not renewed"


def test_an_outage_of_all_that_is_asked_ends_a_drain_with_a_report(
    resources: Settings, send: Send, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that cannot be given back ends by itself."""
    send(clean_events(20, users=1))
    down = threading.Event()

    def fault(step: str) -> None:
        if step == "decode":
            down.set()

    with behind(emulator, monkeypatch, lambda *_: throttled() if down.is_set() else None):
        deps = replace(deps_of(resources, Orders("w", lease_seconds=1)), fault=fault)
        report = drain(deps, *taken(deps, "U0"), Limits(), void)
    assert (report.ended, report.read) == (UNAVAILABLE, 0)
    assert report.message


@pytest.mark.parametrize("error", [None, ZeroDivisionError, LostRace, Unavailable])
def test_a_lease_is_given_back_however_its_drain_ends(
    resources: Settings, send: Send, error: type[Exception] | None
) -> None:
    send(clean_events(10, users=1))

    def fault(step: str) -> None:
        if error and step == "commit":
            raise error

    deps = replace(deps_of(resources, Orders("w", lease_seconds=600)), fault=fault)
    lease, shard = taken(deps, "U0")
    with pytest.raises(ZeroDivisionError) if error is ZeroDivisionError else nullcontext():
        assert drain(deps, lease, shard, Limits(), void).ended == ENDED[error]
    row = deps.leases.rows()[shard.id]
    assert (row.owner, row.intent is None) == ("", error is None)


def test_a_worker_that_cannot_say_that_it_has_gone_reports_all_the_same(
    resources: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def rule(operation: str, _: Body) -> Reply | None:
        asked.append(operation)
        return throttled() if operation == "DeleteItem" else None

    with behind(emulator, monkeypatch, rule):
        report = run_slice(deps_of(resources, Orders("w", lease_seconds=1)), Limits())
    assert {each.ended for each in report.drains} == {CAUGHT_UP}
    assert asked.count("DeleteItem") > 1


def test_a_drain_ends_when_its_time_is_over(resources: Settings, send: Send) -> None:
    send(clean_events(30, users=1))
    deps = deps_of(resources, Orders("w"))
    report = drain(deps, *taken(deps, "U0"), Limits(seconds=0.0), void)
    assert (report.ended, report.read, report.flags) == (TIME, 0, ())
    assert report.lag_seconds > 0


def test_a_slice_takes_no_shard_once_its_time_is_over(resources: Settings, send: Send) -> None:
    send(clean_events(30, users=10))
    report = run_slice(deps_of(resources, Orders("w")), Limits(seconds=0.0))
    assert report.drains == ()


def test_collections_are_as_frequent_after_a_slice_as_before_however_it_ends(resources: Settings, send: Send) -> None:
    send(clean_events(10, users=5))
    before = gc.get_threshold()
    during: list[int] = []

    def fault(step: str) -> None:
        during.append(gc.get_threshold()[0])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_slice(replace(deps_of(resources, Orders("w")), fault=fault), Limits())
    assert during[0] > before[0]
    assert gc.get_threshold() == before


def test_the_shard_that_nobody_has_looked_at_for_longest_comes_first(resources: Settings) -> None:
    deps = deps_of(resources, Orders("w"))
    now, shards = deps.leases.now(), deps.stream.shards(deps.leases.deadline())
    for minutes, shard in zip((3, 1, 4, 2), shards, strict=True):
        deps.leases.create(shard, at_timestamp(now - minutes * MINUTE))
    report = run_slice(deps, Limits(shards_at_a_time=1))
    assert [each.shard for each in report.drains] == [shards[at].id for at in (2, 0, 3, 1)]


def test_a_shard_that_the_stream_no_longer_lists_is_left_to_who_holds_it(resources: Settings) -> None:
    deps, rival = deps_of(resources, Orders("w")), deps_of(resources, Orders("rival", lease_seconds=60)).leases
    rival.create(Shard("shardId-000000000099", 0, 9), TRIM_HORIZON)
    held = rival.acquire(rival.rows()["shardId-000000000099"])
    assert held is not None
    assert {each.ended for each in run_slice(deps, Limits()).drains} == {CAUGHT_UP}
    assert deps.leases.rows()[held.shard] == held
    rival.release(held)
    assert run_slice(deps, Limits()).flags == {held.shard: (EXPIRED,)}
    assert held.shard not in deps.leases.rows()


def test_a_shard_that_was_read_to_its_end_is_forgotten_in_silence(resources: Settings) -> None:
    deps = deps_of(resources, Orders("w"))
    deps.leases.create(Shard("shardId-000000000099", 0, 9), TRIM_HORIZON)
    lease = deps.leases.acquire(deps.leases.rows()["shardId-000000000099"])
    assert lease is not None
    deps.leases.release(deps.leases.renew(lease, closed=True))
    assert {each.ended for each in run_slice(deps, Limits()).drains} == {CAUGHT_UP}
    assert lease.shard not in deps.leases.rows()


def test_a_shard_that_was_listed_a_moment_too_late_is_not_taken_for_gone(
    resources: Settings, send: Send, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker has listed it already, and given it a row."""
    send(clean_events(40, users=20))
    rival = deps_of(resources, Orders("rival"))
    for shard in rival.stream.shards(rival.leases.deadline()):
        rival.leases.create(shard, TRIM_HORIZON)
    listings: list[str] = []

    def rule(operation: str, body: Body) -> Rewritten | None:
        if operation == "ListShards":
            listings.append(operation)
            if len(listings) == 1:
                return Rewritten(body, lambda told: {**told, "Shards": told["Shards"][:-1]})
        return None

    with behind(emulator, monkeypatch, rule):
        report = run_slice(deps_of(resources, Orders("w")), Limits())
    assert len(listings) > 1
    assert report.flags == {}
    assert report.scored == 40


def test_a_worker_that_has_done_its_share_does_not_wait_for_what_another_holds(resources: Settings, send: Send) -> None:
    send(clean_events(40, users=20))
    rival = deps_of(resources, Orders("rival", lease_seconds=900))
    held, *_ = taken(rival)
    give_up = time.monotonic() + 60
    deps = deps_of(resources, Orders("w", lease_seconds=900), lambda: time.monotonic() > give_up)
    report = run_slice(deps, Limits(seconds=600.0))
    assert time.monotonic() < give_up, "it waited for the other's"
    assert held.shard not in {drain.shard for drain in report.drains}
    assert len({drain.shard for drain in report.drains}) >= 2


def test_a_shard_that_waits_in_line_is_left_to_others_once_the_slice_is_to_stop(
    resources: Settings, send: Send
) -> None:
    send(clean_events(100, users=60))
    stop = threading.Event()
    deps = deps_of(resources, Orders("w"), stop.is_set)
    report = run_slice(deps, Limits(shards_at_a_time=1, batch_records=1), lambda _: stop.set())
    assert [each.ended for each in report.drains] == [STOPPED]
    assert sorted(lease.epoch for lease in deps.leases.rows().values()) == [0, 0, 0, 1]


@pytest.mark.parametrize("contract", ["ecommerce", "cards"])
def test_all_that_a_batch_is_decided_on_is_read_as_it_is_and_not_as_it_was(
    resources: Settings, send: Send, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, contract: str
) -> None:
    """The emulator is never behind; DynamoDB may be, unless it is told not to."""
    asked: dict[str, list[bool]] = {}

    def rule(operation: str, body: Body) -> None:
        if operation == "BatchGetItem":
            asked.setdefault(operation, []).extend(
                w.get("ConsistentRead", False) for w in body["RequestItems"].values()
            )
        elif operation in ("GetItem", "Query", "Scan"):
            asked.setdefault(operation, []).append(body.get("ConsistentRead", False))

    send(clean_events(20, users=5) if contract == "ecommerce" else payments(20, 0))
    with behind(emulator, monkeypatch, rule):
        assert run_slice(deps_of(resources, Orders("w", contract=contract)), Limits()).scored == 20
    assert asked.keys() >= {"BatchGetItem", "Query"} | ({"GetItem"} if contract == "cards" else set())
    assert {flag for flags in asked.values() for flag in flags} == {True}

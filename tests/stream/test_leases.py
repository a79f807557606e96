"""Leases: one owner at a time, fair shares, and positions that nobody forgets."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.stream.draining import EXPIRED, STUCK, UNAVAILABLE, Limits
from fraudline.adapters.stream.lag import shard_lags
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.leases import Lease, Leases
from fraudline.durations import HOUR
from fraudline.errors import LostRace, NotReady
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from fraudline.stream import TRIM_HORIZON, Intent, Shard, at_timestamp
from tests.stream.conftest import Send
from tests.stream.events import clean_events
from tests.stream.proxy import Body, Reply, Rewritten, proxy
from tests.stream.storage import stored
from tests.stream.worker import Orders, deps_of
from tests.support.parallel import in_parallel

SHARD = Shard("shardId-000000000000", 0, 9)
INTENT = Intent("17", 3, "v1", 5)

Group = Callable[..., Leases]


@pytest.fixture
def group(resources: Settings) -> Group:
    """Leases of one consumer group as the worker of a name sees them."""

    def of(worker: str, seconds: float = 30.0) -> Leases:
        return Leases(DynamoDB(AwsJson("dynamodb")), resources.leases_table, "group", worker, seconds)

    return of


def acquired(leases: Leases) -> Lease:
    leases.create(SHARD, TRIM_HORIZON)
    lease = leases.acquire(leases.rows()[SHARD.id])
    assert lease is not None
    return lease


def test_of_ten_workers_one_gets_the_lease(group: Group) -> None:
    group("w").create(SHARD, TRIM_HORIZON)
    row = group("w").rows()[SHARD.id]
    results = in_parallel(lambda me: group(f"w{me}").acquire(row), 10)
    assert sum(result is not None for result in results.values()) == 1


def test_a_held_lease_is_not_taken_and_an_expired_one_is(group: Group) -> None:
    acquired(group("first", seconds=0.5))
    thief = group("thief")
    assert thief.acquire(thief.rows()[SHARD.id]) is None
    time.sleep(0.6)
    assert thief.acquire(thief.rows()[SHARD.id]) is not None


def test_a_thief_takes_nothing_back_that_was_done_since_it_looked(group: Group) -> None:
    slow, thief = group("slow", seconds=0.1), group("thief")
    lease = acquired(slow)
    time.sleep(0.2)
    seen = thief.rows()[SHARD.id]
    slow.checkpoint(lease, "17", 0)
    assert thief.acquire(seen) is None
    time.sleep(0.2)
    taken = thief.acquire(thief.rows()[SHARD.id])
    assert taken is not None
    assert taken.checkpoint == "17"


def test_whoever_was_robbed_can_write_nothing_any_more(group: Group) -> None:
    first = group("first", seconds=0.1)
    lost = acquired(first)
    time.sleep(0.2)
    acquired(group("thief"))
    for write in (
        lambda: first.intend(lost, INTENT, "g"),
        lambda: first.checkpoint(lost, "17", 0),
        lambda: first.renew(lost, closed=True),
    ):
        with pytest.raises(LostRace):
            write()
    first.release(lost)
    assert group("x").rows()[SHARD.id].owner == "thief"


def test_an_intent_outlives_its_owner_and_ends_with_the_checkpoint(group: Group) -> None:
    first = group("first")
    first.release(first.intend(acquired(first), INTENT, "g"))
    second = group("second")
    found = acquired(second)
    assert found.intent == INTENT
    done = second.checkpoint(found, "17", 4)
    assert (done.intent, done.checkpoint) == (None, "17")
    assert second.rows()[SHARD.id] == done


def test_a_new_worker_does_not_move_a_checkpoint(group: Group) -> None:
    leases = group("w")
    leases.release(leases.checkpoint(acquired(leases), "99", 7))
    group("other").create(SHARD, TRIM_HORIZON)
    assert leases.rows()[SHARD.id].checkpoint == "99"


def test_a_row_that_has_changed_hands_is_not_retired_by_who_held_it_before(group: Group) -> None:
    first, second = group("first", seconds=0.0), group("second")
    lease = acquired(first)
    robbed = second.acquire(second.rows()[SHARD.id])
    assert robbed is not None
    assert not first.retire(lease)
    assert second.rows() == {SHARD.id: robbed}
    assert second.retire(robbed)
    assert second.rows() == {}


def test_what_a_shard_was_seen_through_is_not_forgotten_by_an_older_batch(group: Group) -> None:
    worker = group("w")
    lease = worker.renew(acquired(worker), seen_through=100)
    assert worker.checkpoint(lease, "17", 50).seen_through == 100
    assert worker.checkpoint(lease, "18", 150).seen_through == 150


def test_profiles_of_another_generation_are_not_moved_on(group: Group) -> None:
    leases = group("w")
    lease = leases.intend(acquired(leases), INTENT, "old")
    with pytest.raises(NotReady, match="warm-up"):
        leases.intend(lease, INTENT, "new")


def test_traces_of_dead_workers_are_removed(group: Group) -> None:
    group("dead", seconds=0.1).report_waiting()
    group("alive").report_waiting()
    time.sleep(0.2)
    assert group("me").workers([]) == {"me", "alive"}
    assert group("me").rows() == {}


def test_alive_are_those_that_hold_a_lease_and_not_those_whose_lease_has_expired(group: Group) -> None:
    """What a worker says of itself as it begins to wait ends long before a drain may."""
    held = acquired(group("busy"))
    late = msgspec.structs.replace(held, owner="dead", expires_at=group("x").now())
    assert group("me").workers([held, late]) == {"me", "busy"}


def test_a_worker_that_waits_for_its_share_says_so_and_that_it_has_gone(resources: Settings) -> None:
    deps, rival = deps_of(resources, Orders("w")), deps_of(resources, Orders("rival", lease_seconds=60)).leases
    for shard in deps.stream.shards(deps.leases.deadline()):
        rival.create(shard, TRIM_HORIZON)
        assert rival.acquire(rival.rows()[shard.id])
    seen: list[set[str]] = []

    def rest() -> bool:
        seen.append(rival.workers([]))
        return "w" in seen[-1]

    waiting = replace(deps, leases=Leases(rival._dynamodb, resources.leases_table, resources.consumer, "w", 60, rest))
    assert run_slice(waiting, Limits()).drains == ()
    assert seen[-1] == {"rival", "w"}
    assert rival.workers([]) == {"rival"}


def test_a_worker_whose_slice_fails_says_that_it_has_gone(resources: Settings, send: Send) -> None:
    send(clean_events(10, users=5))

    def fault(step: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_slice(replace(deps_of(resources, Orders("w", lease_seconds=60)), fault=fault), Limits())
    assert deps_of(resources, Orders("next")).leases.workers([]) == {"next"}


def test_a_worker_that_says_it_waits_after_it_was_taken_for_dead_is_not_forgotten(
    group: Group, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    group("slow").report_waiting()

    def as_it_was(operation: str, body: Body) -> Rewritten | None:
        if operation != "Query":
            return None
        return Rewritten(body, lambda told: {**told, "Items": [{**i, "expires_at": {"N": "1"}} for i in told["Items"]]})

    with proxy(emulator.endpoint, as_it_was) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        assert group("me").workers([]) == {"me"}
    assert group("me").workers([]) == {"me", "slow"}


def test_a_worker_leaves_their_share_to_those_that_wait_but_not_for_ever(resources: Settings, send: Send) -> None:
    send(clean_events(100, users=60))
    first, other = (deps_of(resources, Orders(name, lease_seconds=600)) for name in ("first", "other"))
    other.leases.report_waiting()
    half = run_slice(first, Limits(seconds=1.0))
    assert len({drain.shard for drain in half.drains}) == 2
    whole = run_slice(first, Limits())
    assert len({drain.shard for drain in whole.drains}) == 4
    assert len(stored(resources).rows) == 100


def test_a_group_may_start_with_what_comes_from_now_on(resources: Settings, send: Send) -> None:
    send(clean_events(20, users=5))
    time.sleep(0.1)
    deps = deps_of(resources, Orders("w"))
    assert run_slice(deps, Limits(), start=at_timestamp(deps.leases.now())).read == 0
    send(clean_events(30, users=5, first=20))
    assert run_slice(deps, Limits()).scored == 30


def test_a_checkpoint_older_than_the_retention_is_an_alarm(resources: Settings, send: Send) -> None:
    send(clean_events(5, users=1))
    deps = deps_of(resources, Orders("w"))
    long_ago = deps.leases.now() - 25 * HOUR
    report = run_slice(deps, Limits(), start=at_timestamp(long_ago))
    assert all(flags == (EXPIRED,) for flags in report.flags.values())
    assert len(report.flags) == 4
    assert run_slice(deps, Limits()).flags == {}


def test_a_shard_that_does_not_move_is_flagged_with_its_true_lag(resources: Settings, send: Send) -> None:
    send(clean_events(40, users=20))
    deps = deps_of(resources, Orders("w"))
    time.sleep(0.5)
    report = run_slice(deps, Limits(records=0, stuck_seconds=0.4))
    assert all(0.5 <= lag < 20 for lag in report.lag_seconds.values())
    assert set(report.flags.values()) == {(STUCK,)}


def test_a_caught_up_stream_has_no_lag(resources: Settings, send: Send) -> None:
    send(clean_events(40, users=20))
    report = run_slice(deps_of(resources, Orders("w")), Limits())
    assert set(report.lag_seconds.values()) == {0.0}
    assert UNAVAILABLE not in {drain.ended for drain in report.drains}


def test_a_stream_that_says_it_is_not_behind_is_not_believed_while_records_wait(
    resources: Settings, send: Send, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(clean_events(5, users=1))
    time.sleep(0.5)

    def rule(operation: str, body: Body) -> Rewritten | None:
        if operation != "GetRecords":
            return None
        return Rewritten(body, lambda told: {**told, "MillisBehindLatest": 0})

    with proxy(emulator.endpoint, rule) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        (lag,) = (shard.lag_seconds for shard in shard_lags(resources) if shard.lag_seconds)
    assert lag >= 0.5


@pytest.mark.parametrize(("empty_answers", "least_lag"), [(5, 0.5), (1000, 900.0)])
def test_empty_answers_before_the_tip_hide_no_lag(
    resources: Settings,
    send: Send,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    empty_answers: int,
    least_lag: float,
) -> None:
    """Kinesis gives such; a thousand in a row are a shard that is stuck."""
    send(clean_events(5, users=1))
    time.sleep(0.5)
    iterators: Counter[str] = Counter()

    def rule(operation: str, body: Body) -> Reply | None:
        iterator = body.get("ShardIterator", "")
        if operation != "GetRecords" or iterators[iterator] == empty_answers:
            return None
        iterators[iterator] += 1
        return Reply(200, {"Records": [], "NextShardIterator": iterator, "MillisBehindLatest": 900_000})

    with proxy(emulator.endpoint, rule) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        report = run_slice(deps_of(resources, Orders("w")), Limits(records=0, stuck_seconds=0.4))
        lags = shard_lags(resources)
    waiting = [lag.lag_seconds for lag in lags if lag.lag_seconds]
    assert len(waiting) == len(report.flags) == (1 if empty_answers == 5 else 4)
    assert set(report.flags.values()) == {(STUCK,)}
    assert all(lag >= least_lag for lag in (*waiting, *filter(None, report.lag_seconds.values())))

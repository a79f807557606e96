"""Reading a shard: each record once and in order, within bounds, whatever happens to iterators."""

import gc
import resource
import time
from itertools import pairwise

import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.kinesis import READ_INTERVAL_SECONDS, Page, ShardReader, Stream
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import run_slice
from fraudline.errors import Unavailable
from fraudline.local.emulator import Emulator
from fraudline.local.resources import create_stream
from fraudline.settings import Settings
from fraudline.stream import TRIM_HORIZON, Record, at_timestamp
from tests.stream.conftest import Send
from tests.stream.events import clean_events
from tests.stream.proxy import Body, Reply, Rewritten, proxy
from tests.stream.worker import Orders, deps_of

ONE_USER = clean_events(50, users=1)


def reader(settings: Settings, checkpoint: str = TRIM_HORIZON) -> ShardReader:
    """A reader of the shard that the records of `ONE_USER` go to."""
    stream = Stream(AwsJson("kinesis"), settings.stream, read_interval=0.0)
    (shard,) = (shard for shard in stream.shards(within(10)) if shard.owns("U0"))
    return stream.reader(shard, checkpoint)


def read_all(shard: ShardReader, most: int = 7) -> list[Record]:
    records: list[Record] = []
    while not (page := shard.read(most, 1 << 20, within(10))).at_tip:
        records += page.records
    return [*records, *page.records]


def test_a_shard_is_read_in_order_and_once(resources: Settings, send: Send) -> None:
    send(ONE_USER)
    records = read_all(reader(resources))
    assert [record.data for record in records] == [data for _, data in ONE_USER]
    assert [r.position for r in records] == sorted({r.position for r in records})


def test_shards_are_listed_to_the_last_page(
    resources: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def paged(operation: str, body: Body) -> Rewritten | None:
        if operation != "ListShards":
            return None
        if body == {"NextToken": "more"}:
            return Rewritten({"StreamName": resources.stream}, lambda told: {"Shards": told["Shards"][3:]})
        return Rewritten(body, lambda told: {"Shards": told["Shards"][:3], "NextToken": "more"})

    with proxy(emulator.endpoint, paged) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        shards = Stream(AwsJson("kinesis"), resources.stream).shards(within(10))
    assert len({shard.id for shard in shards}) == len(shards) == 4


def test_reading_goes_on_after_any_checkpoint(resources: Settings, send: Send) -> None:
    send(ONE_USER)
    records = read_all(reader(resources))
    assert read_all(reader(resources, records[19].sequence)) == records[20:]
    assert read_all(reader(resources, records[-1].sequence)) == []
    assert read_all(reader(resources, at_timestamp(records[0].arrived_at - 1000))) == records
    assert read_all(reader(resources, at_timestamp(records[-1].arrived_at + 1_000_000))) == []


def test_a_page_keeps_to_its_bytes_but_for_a_record_that_is_larger(resources: Settings, send: Send) -> None:
    send(ONE_USER)
    shard = reader(resources)
    size = len(ONE_USER[0][1])
    assert len(shard.read(500, 3 * size + size // 2, within(10)).records) == 3
    assert len(shard.read(500, 1, within(10)).records) == 1
    assert len(shard.read(500, sum(len(data) for _, data in ONE_USER[4:6]), within(10)).records) == 2


def test_reading_through_a_position_stops_right_there(resources: Settings, send: Send) -> None:
    send(ONE_USER)
    records = read_all(reader(resources))
    shard = reader(resources)
    assert shard.read_through(records[9].sequence, within(10)).records == tuple(records[:10])
    assert shard.read(1, 1, within(10)).records == (records[10],)
    later = reader(resources, records[30].sequence)
    assert later.read_through(records[9].sequence, within(10)) == Page((), at_tip=False, ended=False)
    tip = reader(resources, records[-1].sequence)
    assert tip.read_through(str(int(records[-1].sequence) + 1), within(10)) == Page((), at_tip=True, ended=False)


@pytest.mark.parametrize("code", ["ExpiredIteratorException", "InvalidArgumentException"])
def test_an_expired_iterator_is_reopened_where_it_stood(
    resources: Settings, send: Send, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    expired = Reply(400, {"__type": code, "message": "Iterator expired"})
    calls: list[str] = []

    def rule(operation: str, body: Body) -> Reply | None:
        """Every iterator works once; the same one again has expired by then."""
        if operation != "GetRecords":
            return None
        calls.append(operation)
        return expired if len(calls) % 3 == 2 else None

    with proxy(emulator.endpoint, rule) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        send(ONE_USER[:20])
        shard = reader(resources)
        records = read_all(shard)
        for event in ONE_USER[20:]:
            send([event])
            records += read_all(shard)
    assert [record.data for record in records] == [data for _, data in ONE_USER]
    assert len(calls) > 30


@pytest.mark.parametrize("next_iterator", [None, "more"], ids=["a closed shard", "an open one"])
def test_records_that_are_missing_have_expired_only_where_nothing_can_come_any_more(
    resources: Settings,
    send: Send,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    next_iterator: str | None,
) -> None:
    send(ONE_USER)
    records = read_all(reader(resources))

    def rule(operation: str, body: Body) -> Rewritten | None:
        if operation != "GetRecords":
            return None
        last = {"NextShardIterator": next_iterator, "MillisBehindLatest": 0}
        return Rewritten(body, lambda told: {**told, "Records": told["Records"][:-1], **last})

    with proxy(emulator.endpoint, rule) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        page = reader(resources).read_through(records[-1].sequence, within(10))
    assert page == Page(tuple(records[:-1]), at_tip=next_iterator is not None, ended=next_iterator is None)


def test_an_iterator_that_is_refused_as_soon_as_it_is_made_is_no_expired_one(
    resources: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def rule(operation: str, body: Body) -> Reply | None:
        if operation != "GetRecords":
            return None
        calls.append(operation)
        return Reply(400, {"__type": "InvalidArgumentException", "message": "no good"})

    with proxy(emulator.endpoint, rule) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(Unavailable, match="InvalidArgumentException no good"):
            reader(resources).read(1, 1, within(10))
    assert len(calls) == 1


def test_a_shard_is_asked_no_more_often_than_kinesis_allows(
    resources: Settings, send: Send, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(ONE_USER)
    asked: list[float] = []

    def rule(operation: str, body: Body) -> None:
        if operation == "GetRecords":
            asked.append(time.monotonic())

    with proxy(emulator.endpoint, rule) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        stream = Stream(AwsJson("kinesis"), resources.stream)
        shard, *_ = stream.shards(within(10))
        slow = stream.reader(shard, TRIM_HORIZON)
        for _ in range(4):
            slow.read(1000, 1 << 20, within(10))
    assert len(asked) == 4
    assert min(later - earlier for earlier, later in pairwise(asked)) >= READ_INTERVAL_SECONDS


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_thousand_slices_need_no_more_memory_than_a_hundred(resources: Settings) -> None:
    one_shard = resources.model_copy(update={"stream": f"{resources.stream}-one"})
    create_stream(client("kinesis"), one_shard.stream, 1)
    deps = deps_of(one_shard, Orders("w"))
    producer = Producer(client("kinesis"), one_shard.stream)

    def slices(count: int, first: int) -> int:
        for number in range(first, first + count):
            producer.send(clean_events(4, users=4, first=number * 4))
            run_slice(deps, Limits())
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    warm = slices(100, 0)
    assert slices(900, 100) - warm < 8 * 1024, "memory grew by over 8 MiB"

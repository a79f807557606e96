"""The producer against the emulator over HTTP, with throttles put in by botocore's event hooks."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, EndpointConnectionError, ReadTimeoutError

from fraudline.adapters.aws.clients import client
from fraudline.adapters.stream import producer
from fraudline.adapters.stream.producer import (
    CALL_BYTES,
    CALL_RECORDS,
    KEY_CHARACTERS,
    RECORD_BYTES,
    Producer,
    SendReport,
)
from fraudline.errors import BadInput, NotReady, Unavailable
from fraudline.local.resources import create_stream
from tests.support.throttles import refuse_calls, refuse_records

# What Kinesis, and the key service behind it, answer to a call that may be made again.
THROTTLES = (
    "InternalFailure",
    "InternalServerError",
    "KMSThrottlingException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ServiceUnavailable",
    "ThrottlingException",
)


@pytest.fixture
def kinesis(aws: object) -> Any:
    return client("kinesis")


@pytest.fixture
def stream(kinesis: Any, unique: str) -> str:
    create_stream(kinesis, unique, shards=3)
    return unique


def read_all(kinesis: Any, stream: str) -> dict[str, list[bytes]]:
    """What the stream holds, by key, in the order of each shard."""
    by_key = defaultdict(list)
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while records := (answer := kinesis.get_records(ShardIterator=iterator))["Records"]:
            for record in records:
                by_key[record["PartitionKey"]].append(record["Data"])
            iterator = answer["NextShardIterator"]
    return dict(by_key)


def events(count: int, keys: int, seed: int = 1) -> list[tuple[str, bytes]]:
    draw = random.Random(seed)
    return [(f"U{draw.randrange(keys)}", f"event {number}".encode()) for number in range(count)]


def by_key(records: list[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    sorted_out = defaultdict(list)
    for key, data in records:
        sorted_out[key].append(data)
    return dict(sorted_out)


def calls_of(kinesis: Any) -> list[list[str]]:
    """The partition keys of each PutRecords call from now on."""
    calls: list[list[str]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        calls.append([record["PartitionKey"] for record in params["Records"]])

    kinesis.meta.events.register("provide-client-params.kinesis.PutRecords", note)
    return calls


def test_every_record_arrives_once_and_those_of_a_key_in_order(kinesis: Any, stream: str) -> None:
    records = events(2_000, keys=50)
    report = Producer(kinesis, stream).send(records)
    assert read_all(kinesis, stream) == by_key(records)
    assert (report.records, report.refusals) == (2_000, 0)
    assert report.bytes == sum(len(data) for _, data in records)


def test_a_call_holds_no_key_twice_and_is_filled_as_far_as_keys_allow(kinesis: Any, stream: str) -> None:
    records = [(f"U{number % 1_500}", b"") for number in range(3_000)]
    random.Random(3).shuffle(records)
    calls = calls_of(kinesis)
    Producer(kinesis, stream).send(records)
    assert all(len(keys) == len(set(keys)) <= CALL_RECORDS for keys in calls)
    assert len(calls) <= 3_000 // CALL_RECORDS + 1


def test_refused_records_go_again_alone_and_their_keys_keep_their_order(kinesis: Any, stream: str) -> None:
    draw = random.Random(2)
    refuse_records(kinesis, lambda record: draw.random() < 0.3)
    records = events(600, keys=40)
    taken: list[int] = []
    report = Producer(kinesis, stream).send(records, progress=taken.append)
    assert read_all(kinesis, stream) == by_key(records)
    assert report.records == sum(taken) == 600
    assert report.refusals > 100


@pytest.mark.parametrize("code", THROTTLES)
def test_a_call_that_is_throttled_as_a_whole_is_made_again(kinesis: Any, stream: str, code: str) -> None:
    calls = refuse_calls(kinesis, "kinesis.PutRecords", times=3, code=code)
    report = Producer(kinesis, stream).send([("U1", b"1"), ("U2", b"2")])
    assert read_all(kinesis, stream) == {"U1": [b"1"], "U2": [b"2"]}
    assert (len(calls), report.calls, report.refusals) == (4, 4, 6)


@pytest.mark.parametrize("error", [EndpointConnectionError, ReadTimeoutError])
def test_a_call_that_got_no_answer_is_made_again(
    aws: object, unique: str, monkeypatch: pytest.MonkeyPatch, error: type[BotoCoreError]
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    kinesis = client("kinesis")
    create_stream(kinesis, unique, shards=1)
    left = iter(range(2))

    def lose(**_: Any) -> None:
        if next(left, None) is not None:
            raise error(endpoint_url="http://127.0.0.1")

    kinesis.meta.events.register("before-send.kinesis.PutRecords", lose)
    report = Producer(kinesis, unique).send([("U1", b"1"), ("U2", b"2")])
    assert read_all(kinesis, unique) == {"U1": [b"1"], "U2": [b"2"]}
    assert (report.records, report.calls, report.refusals) == (2, 3, 4)


def test_a_stream_that_takes_one_record_at_a_time_is_not_given_up(kinesis: Any, stream: str) -> None:
    """However long all of them take together."""
    taken: list[int] = []
    refuse_records(kinesis, lambda record: record["PartitionKey"] != f"U{len(taken)}")

    def progress(count: int) -> None:
        taken.append(count)
        time.sleep(0.4)

    records = [(f"U{number}", b"") for number in range(9)]
    assert Producer(kinesis, stream, patience=3).send(records, progress=progress).records == 9
    assert taken == [1] * 9


def test_a_stream_that_takes_nothing_is_given_up_with_what_it_took(kinesis: Any, stream: str) -> None:
    refuse_records(kinesis, lambda record: record["PartitionKey"] == "U2")
    with pytest.raises(Unavailable, match=r"took 2 records and then none for 1 s \(ProvisionedThroughput"):
        Producer(kinesis, stream, patience=1).send([("U1", b"1"), ("U2", b"2"), ("U3", b"3")])
    assert read_all(kinesis, stream) == {"U1": [b"1"], "U3": [b"3"]}


def test_a_missing_stream_is_said_at_once(kinesis: Any, unique: str) -> None:
    with pytest.raises(NotReady, match=f"stream '{unique}' does not exist"):
        Producer(kinesis, unique).send([("U1", b"1")])


def test_large_records_are_spread_over_calls_of_bounded_size(kinesis: Any, stream: str) -> None:
    records = [(f"U{number}", bytes(900_000)) for number in range(12)]
    report = Producer(kinesis, stream).send(records)
    assert report.calls == -(-12 // (CALL_BYTES // 900_000))
    assert read_all(kinesis, stream) == by_key(records)


def test_a_call_holds_as_many_bytes_as_a_stream_takes_those_of_its_keys_included(kinesis: Any, stream: str) -> None:
    full = [(f"U{number}", bytes(RECORD_BYTES - 2)) for number in range(5)]
    assert Producer(kinesis, stream).send(full).calls == 1
    long_keys = [(f"{number:0256}", bytes(10_300)) for number in range(CALL_RECORDS)]
    assert 500 * 10_300 < CALL_BYTES < 500 * (10_300 + 256)
    assert Producer(kinesis, stream).send(long_keys).calls == 2


def test_a_record_no_stream_takes_is_named_with_its_number(kinesis: Any, stream: str) -> None:
    largest = bytes(RECORD_BYTES - 2)
    with pytest.raises(BadInput, match="record 3 has 1048577 bytes with its key: a stream takes 1048576"):
        Producer(kinesis, stream).send([("U1", b"1"), ("U2", largest), ("U2", largest + b"x")])
    assert Producer(kinesis, stream).send([("U2", largest)]).records == 1


@pytest.mark.parametrize("key", ["", "x" * 257])
def test_a_partition_key_that_is_none_is_named(kinesis: Any, stream: str, key: str) -> None:
    with pytest.raises(BadInput, match="record 1 has a partition key of"):
        Producer(kinesis, stream).send([(key, b"1")])


def test_a_record_may_be_as_large_as_a_stream_takes_its_key_in_bytes_and_not_one_more(
    kinesis: Any, stream: str
) -> None:
    key = "é" * KEY_CHARACTERS
    most = RECORD_BYTES - len(key.encode())
    assert Producer(kinesis, stream).send([(key, bytes(most))]).records == 1
    with pytest.raises(BadInput, match=f"record 1 has {RECORD_BYTES + 1} bytes with its key"):
        Producer(kinesis, stream).send([(key, bytes(most + 1))])


def test_a_rate_is_kept(kinesis: Any, stream: str) -> None:
    calls, started = calls_of(kinesis), time.monotonic()
    report = Producer(kinesis, stream).send([(f"U{number}", b"") for number in range(60)], rate=40)
    assert time.monotonic() - started >= 1
    assert [len(keys) for keys in calls] == [40, 20]
    assert report.records == 60


def test_a_rate_below_one_a_second_sends_one_at_a_time(kinesis: Any, stream: str) -> None:
    calls = calls_of(kinesis)
    assert Producer(kinesis, stream).send([("U1", b"1"), ("U2", b"2")], rate=0.99).records == 2
    assert calls == [["U1"], ["U2"]]


def test_no_more_is_read_ahead_than_fits(kinesis: Any, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "READ_AHEAD", 10)
    read, taken, most = 0, 0, 0

    def records() -> Iterator[tuple[str, bytes]]:
        nonlocal read
        for number in range(50):
            read += 1
            yield f"U{number % 5}", str(number).encode()

    def progress(count: int) -> None:
        nonlocal taken, most
        most = max(most, read - taken)
        taken += count

    assert Producer(kinesis, stream).send(records(), progress=progress).records == 50
    assert most == 10


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_sends_nothing_is_refused(kinesis: Any, stream: str, rate: float) -> None:
    with pytest.raises(BadInput, match="nothing can be sent at"):
        Producer(kinesis, stream).send([("U1", b"1")], rate=rate)


def test_progress_adds_up_to_what_was_sent(kinesis: Any, stream: str) -> None:
    taken: list[int] = []
    report = Producer(kinesis, stream).send(iter(events(700, keys=100)), progress=taken.append)
    assert sum(taken) == report.records == 700


def test_nothing_to_send_is_fine(kinesis: Any, stream: str) -> None:
    report = Producer(kinesis, stream).send([])
    assert report == SendReport()

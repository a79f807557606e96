"""Refused records: kept with every byte, listed and shown, and sent again at most once."""

import json
import random
import time
from collections import Counter

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import run_slice
from fraudline.contract import load_contract
from fraudline.durations import SECOND
from fraudline.erasure.people import nobody
from fraudline.errors import BadInput, NotReady
from fraudline.settings import Settings
from fraudline.transactions.validation import MAX_AHEAD, Validator
from tests.stream.conftest import Send
from tests.stream.events import clean_events, dirty_events, sent, transaction
from tests.stream.storage import notifications, stored
from tests.stream.worker import Orders, deps_of

ECOMMERCE = Validator(load_contract("ecommerce"))
NOBODY = nobody(load_contract("ecommerce"))


def test_every_byte_of_a_refused_record_is_kept_with_its_reasons(resources: Settings, send: Send) -> None:
    torn = b'\xff\xfe{"transaction_id": "torn\n\x00'
    send([("U1", torn), *clean_events(5, users=1)])
    deps = deps_of(resources, Orders("w"))
    run_slice(deps, Limits())
    (key,) = deps.quarantine.list()
    (reject,) = deps.quarantine.show(key)
    assert (reject.raw, reject.partition_key, reject.reason) == (torn, "U1", "not_json")
    assert key.startswith("stream/20")
    assert reject.shard in key
    assert list(deps.quarantine.list("1999-01-01")) == []


def test_a_record_is_refused_for_everything_that_is_wrong_with_it(resources: Settings, send: Send) -> None:
    record = json.loads(clean_events(1, users=1)[0][1])
    send([("U0", json.dumps({**record, "amount": -1, "device_type": "fridge"}).encode())])
    deps = deps_of(resources, Orders("w"))
    run_slice(deps, Limits())
    (reject,) = deps.quarantine.show(next(iter(deps.quarantine.list())))
    assert [problem.code for problem in reject.problems] == ["amount_negative", "category_unknown"]


def test_redriving_twice_changes_nothing(resources: Settings, send: Send) -> None:
    """Records under a strange key are fine once they come under their own."""
    send([("wrong", data) for _, data in clean_events(6, users=2)])
    deps = deps_of(resources, Orders("w"))
    assert run_slice(deps, Limits()).quarantined == {"wrong_partition_key": 6}
    producer = Producer(client("kinesis"), resources.stream)
    first = [deps.quarantine.redrive(key, ECOMMERCE, producer, NOBODY) for key in deps.quarantine.list()]
    assert sum(redriven.sent for redriven in first) == 6
    assert run_slice(deps, Limits()).scored == 6
    once = stored(resources)
    again = [deps.quarantine.redrive(key, ECOMMERCE, producer, NOBODY) for key in deps.quarantine.list()]
    assert [(r.sent, r.sent_before) for r in again] == [(0, r.sent) for r in first]
    assert run_slice(deps, Limits()).read == 0
    assert stored(resources) == once


def test_a_record_from_the_future_is_sent_again_once_its_time_has_come(resources: Settings, send: Send) -> None:
    soon = time.time_ns() // 1000 + MAX_AHEAD + 6 * SECOND
    send([sent(transaction(1, "U1", soon, random.Random(1)))])
    deps = deps_of(resources, Orders("w"))
    assert run_slice(deps, Limits()).quarantined == {"timestamp_in_future": 1}
    (key,) = deps.quarantine.list()
    producer = Producer(client("kinesis"), resources.stream)
    time.sleep(max(0.0, (soon - MAX_AHEAD) / SECOND - time.time()) + 0.1)
    assert deps.quarantine.redrive(key, ECOMMERCE, producer, NOBODY).sent == 1
    assert run_slice(deps, Limits()).scored == 1


def test_a_redrive_that_was_cut_off_before_its_marks_is_seen_as_duplicates(resources: Settings, send: Send) -> None:
    send([("wrong", data) for _, data in clean_events(4, users=2)])
    deps = deps_of(resources, Orders("w"))
    run_slice(deps, Limits())
    producer = Producer(client("kinesis"), resources.stream)
    for _ in range(2):
        for key in deps.quarantine.list():
            producer.send((json.loads(r.raw)["user_id"], r.raw) for r in deps.quarantine.show(key))
    report = run_slice(deps, Limits())
    assert (report.scored, report.duplicates) == (4, 4)
    assert sorted(notifications(resources.alerts_topic)) == sorted(stored(resources).alerts)


def test_a_redrive_that_could_not_send_has_marked_nothing_as_sent(resources: Settings, send: Send) -> None:
    send([("wrong", data) for _, data in clean_events(4, users=2)])
    deps = deps_of(resources, Orders("w"))
    run_slice(deps, Limits())
    keys = list(deps.quarantine.list())
    for key in keys:
        with pytest.raises(NotReady, match="does not exist"):
            deps.quarantine.redrive(key, ECOMMERCE, Producer(client("kinesis"), f"{resources.stream}-gone"), NOBODY)
    producer = Producer(client("kinesis"), resources.stream)
    assert sum(deps.quarantine.redrive(key, ECOMMERCE, producer, NOBODY).sent for key in keys) == 4


def test_what_would_be_refused_again_is_not_sent_again(resources: Settings, send: Send) -> None:
    send(dirty_events(100, users=10))
    deps = deps_of(resources, Orders("w"))
    run_slice(deps, Limits())
    producer = Producer(client("kinesis"), resources.stream)
    for _ in range(2):
        refused = [deps.quarantine.redrive(key, ECOMMERCE, producer, NOBODY).refused for key in deps.quarantine.list()]
    assert sum((part["not_json"] for part in refused), 0) > 0
    bucket = open_objects(f"s3://{resources.quarantine_bucket}")
    attempts = [json.loads(bucket.get(key)) for key in bucket.list("attempts/")]
    assert len(attempts) == sum(map(Counter.total, refused))
    assert "not_json" in {problems[0]["code"] for problems in attempts}
    assert "not_json" not in run_slice(deps, Limits()).quarantined


def test_a_conflicting_copy_is_not_sent_again_however_valid_it_is(resources: Settings, send: Send) -> None:
    (key, data), *_ = clean_events(1, users=1)
    send([(key, data), (key, json.dumps({**json.loads(data), "amount": 1.25}).encode())])
    deps = deps_of(resources, Orders("w"))
    assert run_slice(deps, Limits()).quarantined == {"conflicting_id": 1}
    (place,) = deps.quarantine.list()
    producer = Producer(client("kinesis"), resources.stream)
    redriven = deps.quarantine.redrive(place, ECOMMERCE, producer, NOBODY)
    assert (redriven.sent, redriven.refused) == (0, {"conflicting_id": 1})
    assert run_slice(deps, Limits()).read == 0


def test_a_key_from_elsewhere_is_refused_in_a_sentence(resources: Settings) -> None:
    deps = deps_of(resources, Orders("w"))
    with pytest.raises(BadInput, match="take a key from `fraudline quarantine list`"):
        deps.quarantine.show("redriven/x")

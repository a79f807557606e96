"""A slice end to end against the emulator: what it reads, decides, keeps, tells and reports."""

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from threading import Lock

import boto3
import pytest
from boto3.dynamodb.conditions import Key

from fraudline.adapters.aws.clients import client
from fraudline.adapters.clock import now_micros
from fraudline.adapters.stream.deps import stream_deps
from fraudline.adapters.stream.draining import CAUGHT_UP, DrainReport, Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.keys import BY_ALERT_DAY, BY_ENTITY
from fraudline.durations import DAY, SECOND
from fraudline.features.offline import offline_features
from fraudline.settings import Settings
from fraudline.transactions.table import from_transactions
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator
from tests.stream.bundles import small_bundle
from tests.stream.events import clean_events, dirty_events
from tests.stream.storage import accounts, balances, notifications, stored, table_items


def send(settings: Settings, events: list[tuple[str, bytes]]) -> None:
    Producer(client("kinesis"), settings.stream).send(events)


def test_every_transaction_of_a_stream_is_scored_archived_and_counted(resources: Settings) -> None:
    send(resources, clean_events(200, users=20))
    report = run_slice(stream_deps(resources, small_bundle(), "w1"), Limits(batch_records=30))
    kept = stored(resources)
    assert report.read == report.scored == 200
    assert {drain.ended for drain in report.drains} == {CAUGHT_UP}
    assert len(kept.decisions) == len(kept.rows) == 200
    assert len(kept.profiles) == 20
    assert kept.alerts.keys() == {id_ for id_, d in kept.decisions.items() if d["is_fraud"]} == kept.notified
    assert 0 < len(kept.alerts) == report.alerts
    assert sorted(notifications(resources.alerts_topic)) == sorted(kept.alerts)


def test_what_is_read_is_scored_refused_or_a_duplicate(resources: Settings) -> None:
    events = dirty_events(300, users=20)
    send(resources, events)
    report = run_slice(stream_deps(resources, small_bundle(), "w1"), Limits(batch_records=40))
    kept = stored(resources)
    assert report.read == len(events) == report.scored + report.duplicates + sum(report.quarantined.values())
    assert len(kept.rows) == report.scored == 300
    assert len(kept.duplicates) == report.duplicates > 0
    assert len(kept.rejects) == sum(report.quarantined.values())
    assert set(report.quarantined) == {
        "conflicting_id", "not_json", "category_unknown", "wrong_partition_key", "amount_not_a_number"
    }  # fmt: skip
    assert all(map(balances, accounts(resources)))


def test_decisions_are_kept_for_as_long_as_the_deployment_says(resources: Settings) -> None:
    send(resources, clean_events(30, users=5))
    run_slice(stream_deps(resources.model_copy(update={"decisions_keep_days": 90}), small_bundle(), "w1"), Limits())
    items = table_items(resources.decisions_table)
    assert {item["origin"] for item in items} == {"stream", "alert", "notified"}
    in_90_days = (now_micros() + 90 * DAY) / SECOND
    assert all(abs(float(item["expires_at"]) - in_90_days) < 60 for item in items)


def test_the_review_queue_and_a_users_transactions_are_found_by_their_indexes(resources: Settings) -> None:
    send(resources, clean_events(60, users=5))
    run_slice(stream_deps(resources, small_bundle(), "w1"), Limits())
    kept = stored(resources)
    table = boto3.resource("dynamodb").Table(resources.decisions_table)
    alert = next(iter(kept.alerts.values()))
    day = alert["alert_day"]
    assert day == alert["scored_at"][:10] != alert["event_time"][:10]
    queue = table.query(
        IndexName=BY_ALERT_DAY, KeyConditionExpression=Key("alert_day").eq(day), ScanIndexForward=False
    )["Items"]
    losses = [item["expected_loss"] for item in queue]
    assert losses == sorted(losses, reverse=True)
    # Score times amount in the currency, to the cent.
    assert losses == [round(float(item["score"]) * int(item["amount"])) / Decimal(100) for item in queue] != []
    assert {item["transaction_id"] for item in queue} == kept.alerts.keys()
    mine = table.query(IndexName=BY_ENTITY, KeyConditionExpression=Key("entity").eq("user#U1"))["Items"]
    assert [item["event_time"] for item in mine] == sorted(item["event_time"] for item in mine)
    assert {i["transaction_id"] for i in mine} == {k for k, d in kept.decisions.items() if d["entity"] == "user#U1"}


def test_the_stream_scores_as_the_file_it_was_made_of_where_nothing_came_late(resources: Settings) -> None:
    events = clean_events(300, users=20, late=0.0)
    send(resources, events)
    bundle = small_bundle()
    run_slice(stream_deps(resources, bundle, "w1"), Limits(batch_records=30))
    validator = Validator(bundle.contract)
    rows = [row for _, data in events if isinstance(row := validator.decode(data), Transaction)]
    table = from_transactions(bundle.contract, rows).sorted()
    scores = dict(zip(table.ids.to_pylist(), bundle.scorer.score_many(offline_features(table).tolist()), strict=True))
    assert {id_: float(d["score"]) for id_, d in stored(resources).decisions.items()} == scores


def test_a_scoring_process_loads_nothing_of_training() -> None:
    heavy = ("numpy", "pandas", "pyarrow", "sklearn", "prefect", "great_expectations", "onnxruntime")
    look = f"import sys, fraudline.adapters.stream.slices; print([m for m in {heavy!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_next_slice_begins_where_the_last_one_ended(resources: Settings) -> None:
    send(resources, clean_events(50, users=5))
    first = run_slice(stream_deps(resources, small_bundle(), "w1"), Limits())
    send(resources, clean_events(50, users=5, first=50))
    second = run_slice(stream_deps(resources, small_bundle(), "w2"), Limits())
    assert (first.scored, second.scored) == (50, 50)
    assert len(stored(resources).rows) == 100


def test_a_shard_that_fails_hides_nothing_of_the_others(resources: Settings) -> None:
    send(resources, clean_events(100, users=40))
    failing = Lock()

    def fault(step: str) -> None:
        if step == "decode" and failing.acquire(blocking=False):
            raise ZeroDivisionError

    drains: list[DrainReport] = []
    with pytest.raises(ZeroDivisionError):
        run_slice(replace(stream_deps(resources, small_bundle(), "w1"), fault=fault), Limits(), on_drain=drains.append)
    assert [drain.ended for drain in drains] == [CAUGHT_UP] * 3
    assert sum(drain.scored for drain in drains) == len(stored(resources).rows) > 0
    run_slice(stream_deps(resources, small_bundle(), "w2"), Limits())
    assert len(stored(resources).rows) == 100

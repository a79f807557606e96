"""A slice end to end against the emulator: what it reads, decides, keeps, tells and reports."""

from fraudline.adapters.clients import client
from fraudline.adapters.draining import CAUGHT_UP, Limits
from fraudline.adapters.producer import Producer
from fraudline.adapters.slices import run_slice
from fraudline.adapters.stream_deps import stream_deps
from fraudline.settings import Settings
from tests.stream.bundles import small_bundle
from tests.stream.events import clean_events, dirty_events
from tests.stream.storage import accounts, notifications, stored


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
    assert all(account.balances for account in accounts(resources))


def test_the_next_slice_begins_where_the_last_one_ended(resources: Settings) -> None:
    send(resources, clean_events(50, users=5))
    first = run_slice(stream_deps(resources, small_bundle(), "w1"), Limits())
    send(resources, clean_events(50, users=5, first=50))
    second = run_slice(stream_deps(resources, small_bundle(), "w2"), Limits())
    assert (first.scored, second.scored) == (50, 50)
    assert len(stored(resources).rows) == 100

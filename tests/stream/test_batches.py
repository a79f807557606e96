"""What a batch owes to the attempts before it and beside it: one outcome, and word of each alert."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from fraudline.adapters.archive.landing import Landing
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.alerts import Alerts
from fraudline.adapters.stream.deps import StreamDeps
from fraudline.adapters.stream.draining import RECORDS, Limits
from fraudline.adapters.stream.slices import run_slice
from fraudline.archive import Account, Row
from fraudline.decision import REALTIME, STREAM, Decision, decision_item
from fraudline.errors import NotReady
from fraudline.profiles import decode_history
from fraudline.settings import Settings
from fraudline.stream import Batch
from tests.stream.conftest import Send
from tests.stream.events import clean_events
from tests.stream.storage import accounts, notifications, stored
from tests.stream.worker import Orders, deps_of
from tests.support.throttles import refuse_calls


class Died(Exception):
    """The worker's end, for tests in one process."""


def dying(settings: Settings, at: str) -> StreamDeps:
    def fault(step: str) -> None:
        if step == at:
            raise Died

    return replace(deps_of(settings, Orders("w")), fault=fault)


class Raced(Landing):
    """An archive in which a rival was a moment earlier: to it all but the first ten were copies of what it knew."""

    def archive(self, batch: Batch, account: Account, rows: tuple[Row, ...]) -> bool:
        copies = tuple(row.position for row in rows[10:])
        theirs = msgspec.structs.replace(account, scored=10, duplicates=copies, alerts=account.alerts[:0])
        super().archive(batch, theirs, rows[:10])
        return super().archive(batch, account, rows)


def test_an_attempt_that_comes_second_to_the_archive_follows_what_lies_there(resources: Settings, send: Send) -> None:
    send(clean_events(25, users=1))
    landing = Raced(open_objects(f"s3://{resources.landing_bucket}"))
    report = run_slice(replace(deps_of(resources, Orders("w")), landing=landing), Limits())
    assert (report.read, report.scored, report.duplicates) == (25, 10, 15)
    kept = stored(resources)
    assert kept.decisions.keys() == {f"t{number:06d}" for number in range(10)}
    assert [decode_history(profile["history"].value).totals[0] for profile in kept.profiles.values()] == [10]


def test_a_replay_does_not_tell_again_what_was_told(resources: Settings, send: Send) -> None:
    send(clean_events(100, users=20))
    with suppress(Died):
        run_slice(dying(resources, "checkpoint"), Limits())
    told = notifications(resources.alerts_topic)
    report = run_slice(deps_of(resources, Orders("w")), Limits())
    assert sum(drain.replayed for drain in report.drains) > 0 < len(told)
    assert notifications(resources.alerts_topic) == []
    assert sorted(told) == sorted(stored(resources).alerts)


def test_what_could_not_be_told_is_not_marked_and_told_by_the_replay(resources: Settings, send: Send) -> None:
    send(clean_events(40, users=20))
    sns, deps = client("sns"), deps_of(resources, Orders("w"))
    refuse_calls(sns, "sns.PublishBatch", times=1000, code="NotFoundException")
    with pytest.raises(NotReady, match="the alerts topic does not exist"):
        run_slice(replace(deps, alerts=Alerts(sns, str(resources.alerts_topic_arn), 100)), Limits())
    assert stored(resources).notified == set()
    run_slice(deps, Limits())
    kept = stored(resources)
    assert sorted(notifications(resources.alerts_topic)) == sorted(kept.alerts) == sorted(kept.notified) != []


def half_left(sns: Any) -> list[int]:
    """SNS takes the first half of a call's messages only, and says so with a 200; how many each call had."""
    sizes: list[int] = []
    left: list[str] = []

    def shorten(params: dict[str, Any], **_: Any) -> None:
        entries = params["PublishBatchRequestEntries"]
        sizes.append(len(entries))
        half = (len(entries) + 1) // 2
        left[:] = [entry["Id"] for entry in entries[half:]]
        params["PublishBatchRequestEntries"] = entries[:half]

    def tell(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Failed"] = [{"Id": id_, "Code": "InternalError", "SenderFault": False} for id_ in left]

    sns.meta.events.register("provide-client-params.sns.PublishBatch", shorten)
    sns.meta.events.register("after-call.sns.PublishBatch", tell)
    return sizes


def test_messages_that_the_topic_left_behind_are_sent_again_alone(resources: Settings, send: Send) -> None:
    send(clean_events(200, users=60))
    sns = client("sns")
    sizes = half_left(sns)
    alerts = Alerts(sns, str(resources.alerts_topic_arn), 100)
    run_slice(replace(deps_of(resources, Orders("w", lease_seconds=60)), alerts=alerts), Limits(shards_at_a_time=1))
    assert max(sizes) == 10
    assert sorted(notifications(resources.alerts_topic)) == sorted(stored(resources).alerts)


def test_a_shard_is_seen_through_the_last_record_that_was_done(resources: Settings, send: Send) -> None:
    send(clean_events(10, users=1))
    send(clean_events(20, users=1, first=10))
    deps = deps_of(resources, Orders("w"))
    report = run_slice(deps, Limits(records=12, batch_records=12, seconds=20.0))
    (shard,) = (drain.shard for drain in report.drains if drain.ended == RECORDS)
    arrived = max(row.arrived_at for row in stored(resources).rows.values())
    assert deps.leases.rows()[shard].seen_through == arrived
    (account,) = accounts(resources)
    decided = deps.decisions.read([f"t{number:06d}" for number in range(30)], within(10.0))
    assert (len(decided), account.scored) == (12, 12)


def flagged(count: int, origin: str = STREAM) -> list[Decision]:
    """Of one user, on one path."""
    one = Decision(
        transaction_id="", origin=origin, score=0.9, is_fraud=True, threshold=0.5, model_version="v1", reasons=("r",),
        event_time=1, effective_time=1, entities={"user": "U1"}, amount=125, features=b"", position="1#s",
        profile_position="", scored_at=1_800_000_000_000_000, digest=b"12345678",
    )  # fmt: skip
    return [msgspec.structs.replace(one, transaction_id=f"t{number:06d}") for number in range(count)]


def test_many_alerts_of_one_user_go_out_in_messages_that_fit_ten_into_a_call(resources: Settings) -> None:
    sns = client("sns")
    told: list[list[dict[str, Any]]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        entries = params["PublishBatchRequestEntries"]
        told.extend(msgspec.json.decode(entry["Message"])["transactions"] for entry in entries)

    sns.meta.events.register("provide-client-params.sns.PublishBatch", note)
    Alerts(sns, str(resources.alerts_topic_arn), 100).notify(flagged(60), within(10.0))
    assert [len(transactions) for transactions in told] == [25, 25, 10]
    assert told[0][0] == {
        "transaction_id": "t000000", "score": 0.9, "amount": 1.25, "event_time": "1970-01-01T00:00:00.000001Z",
        "reasons": ["r"], "model_version": "v1",
    }  # fmt: skip
    assert sorted(notifications(resources.alerts_topic)) == [f"t{number:06d}" for number in range(60)]


def test_only_what_the_stream_has_flagged_is_for_people_to_review(resources: Settings) -> None:
    decisions = deps_of(resources, Orders("w")).decisions
    decisions.write([*flagged(1), *flagged(2, REALTIME)[1:]], within(10.0))
    assert stored(resources).alerts.keys() == {"t000000"}


def test_the_index_of_a_users_transactions_has_what_the_stream_decided_alone() -> None:
    told = {
        origin: decision_item(flagged(1, origin)[0]).get("entity") for origin in (STREAM, REALTIME, "backfill#april")
    }
    assert told == {STREAM: {"S": "user#U1"}, REALTIME: None, "backfill#april": None}

"""Records of a batch that was begun and that the stream does not hand over again: not yet, or never more."""

import base64
import signal
from dataclasses import replace
from itertools import pairwise

import pytest

from fraudline.adapters.archive.names import archived_batches
from fraudline.adapters.aws.clients import client
from fraudline.adapters.clock import now_micros
from fraudline.adapters.storage.s3 import S3Objects
from fraudline.adapters.stream.draining import CAUGHT_UP, EXPIRED, UNAVAILABLE, Limits
from fraudline.adapters.stream.slices import run_slice
from fraudline.durations import HOUR
from fraudline.local.emulator import Emulator
from fraudline.profiles import decode_history
from fraudline.settings import Settings
from tests.stream.conftest import Expected, Send, assert_same
from tests.stream.events import clean_events, dirty_events
from tests.stream.proxy import Body, Reply, Rewritten, proxy
from tests.stream.storage import archives, stored
from tests.stream.worker import Orders, Worker, deps_of


def empty_at_tip(operation: str, body: Body) -> Reply | None:
    """A shard that is stuck: it hands over nothing, and says that there is nothing."""
    if operation != "GetRecords":
        return None
    return Reply(200, {"Records": [], "NextShardIterator": body["ShardIterator"], "MillisBehindLatest": 0})


def test_a_begun_batch_waits_for_records_that_the_stream_does_not_hand_over_yet(
    resources: Settings, send: Send, expected: Expected, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(dirty_events(60, users=20))
    Worker(resources, Orders("killed", harm=signal.SIGKILL, step="decisions")).dies()
    with proxy(emulator.endpoint, empty_at_tip) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        stuck = Worker(resources, Orders("stuck")).report()
    assert UNAVAILABLE in {drain.ended for drain in stuck.drains}
    assert stuck.flags == {}
    Worker(resources, Orders("last")).report()
    assert_same(resources, expected)


def test_a_begun_batch_whose_records_have_expired_is_left_behind_loudly(
    resources: Settings, send: Send, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(dirty_events(20, users=1))

    def begin(step: str) -> None:
        if step == "decode":
            raise KeyboardInterrupt

    yesterday = replace(deps_of(resources, Orders("w")), clock=lambda: now_micros() - 25 * HOUR, fault=begin)
    with pytest.raises(KeyboardInterrupt):
        run_slice(yesterday, Limits())
    with proxy(emulator.endpoint, empty_at_tip) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        report = run_slice(deps_of(resources, Orders("next")), Limits())
    assert {drain.ended for drain in report.drains} == {CAUGHT_UP}
    assert list(report.flags.values()) == [(EXPIRED,)]


def test_a_begun_batch_of_which_a_part_is_handed_over_has_not_expired_however_old_it_is(
    resources: Settings, send: Send, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(clean_events(20, users=1))

    def begin(step: str) -> None:
        if step == "decode":
            raise KeyboardInterrupt

    def half(operation: str, body: Body) -> Rewritten | None:
        if operation != "GetRecords":
            return None
        return Rewritten(body, lambda told: {**told, "Records": told["Records"][:10], "MillisBehindLatest": 0})

    yesterday = replace(deps_of(resources, Orders("w")), clock=lambda: now_micros() - 25 * HOUR, fault=begin)
    with pytest.raises(KeyboardInterrupt):
        run_slice(yesterday, Limits())
    with proxy(emulator.endpoint, half) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        report = run_slice(deps_of(resources, Orders("next")), Limits())
    assert UNAVAILABLE in {drain.ended for drain in report.drains}
    assert stored(resources).decisions == {}
    run_slice(deps_of(resources, Orders("last")), Limits())
    assert len(stored(resources).decisions) == 20


@pytest.mark.parametrize("step", ["archive", "commit"])
def test_a_begun_batch_whose_first_records_have_expired_is_archived_once_under_its_own_name(
    resources: Settings, send: Send, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    events = clean_events(40, users=1)
    send(events)
    Worker(resources, Orders("killed", harm=signal.SIGKILL, step=step)).dies()
    expired = {base64.b64encode(data).decode() for _, data in events[:3]}

    def without_expired(operation: str, body: Body) -> Rewritten | None:
        if operation != "GetRecords":
            return None
        return Rewritten(
            body, lambda told: {**told, "Records": [r for r in told["Records"] if r["Data"] not in expired]}
        )

    with proxy(emulator.endpoint, without_expired) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        report = Worker(resources, Orders("late")).report()
    assert list(report.flags.values()) == [(EXPIRED,)]
    batches = list(archived_batches(S3Objects(client("s3"), resources.landing_bucket)))
    assert all(one.last < next_.first for one, next_ in pairwise(batches))
    archived = [row.position for archive in archives(resources) for row in archive.rows]
    assert len(set(archived)) == len(archived) == (37 if step == "archive" else 40)
    assert len(stored(resources).decisions) == (37 if step == "archive" else 40)
    (profile,) = stored(resources).profiles.values()
    assert decode_history(profile["history"].value).totals[0] == 37


def test_a_refused_record_that_expired_before_it_was_quarantined_holds_nobody_up(
    resources: Settings, send: Send, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its batch had counted it as refused; its bytes are gone, and the alarm of the shard says so."""
    torn = [("U0", b'{"torn":'), ("U0", b'{"torn too":')]
    send([torn[0], *clean_events(20, users=1), torn[1]])
    Worker(resources, Orders("killed", harm=signal.SIGKILL, step="quarantine")).dies()
    gone = base64.b64encode(torn[0][1]).decode()

    def without_first(operation: str, body: Body) -> Rewritten | None:
        if operation != "GetRecords":
            return None
        return Rewritten(body, lambda told: {**told, "Records": [r for r in told["Records"] if r["Data"] != gone]})

    with proxy(emulator.endpoint, without_first) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        report = Worker(resources, Orders("late")).report()
    assert list(report.flags.values()) == [(EXPIRED,)]
    assert (report.read, report.scored, report.quarantined) == (22, 20, {"not_json": 2})
    kept = stored(resources)
    assert [reject.raw for reject in kept.rejects.values()] == [torn[1][1]]
    assert len(kept.decisions) == 20

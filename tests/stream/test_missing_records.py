"""Records of a batch that was begun and that the stream does not hand over again: not yet, or never more."""

import signal
from dataclasses import replace

import pytest

from fraudline.adapters.draining import CAUGHT_UP, EXPIRED, UNAVAILABLE, Limits
from fraudline.adapters.slices import run_slice
from fraudline.adapters.stream_deps import wall_clock
from fraudline.durations import HOUR
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from tests.stream.conftest import Expected, Send, assert_same
from tests.stream.events import dirty_events
from tests.stream.proxy import Body, Reply, proxy
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
    killed = Worker(resources, Orders("killed", harm=signal.SIGKILL, step="decisions"))
    assert killed.wait() == -signal.SIGKILL
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

    yesterday = replace(deps_of(resources, Orders("w")), clock=lambda: wall_clock() - 25 * HOUR, fault=begin)
    with pytest.raises(KeyboardInterrupt):
        run_slice(yesterday, Limits())
    with proxy(emulator.endpoint, empty_at_tip) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        report = run_slice(deps_of(resources, Orders("next")), Limits())
    assert {drain.ended for drain in report.drains} == {CAUGHT_UP}
    assert list(report.flags.values()) == [(EXPIRED,)]

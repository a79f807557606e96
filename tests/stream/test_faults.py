"""What AWS does on bad days: throttles, work left unprocessed, lost answers, and death in the middle of a step."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fraudline.adapters.stream.draining import CAUGHT_UP, STOPPED, UNAVAILABLE, Limits
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from tests.stream.conftest import Expected, Send, assert_same
from tests.stream.events import dirty_events
from tests.stream.proxy import AnswerLost, Body, Reply, Rewritten, Rule, proxy, throttled
from tests.stream.worker import LEASE_SECONDS, Orders, Worker

LARGE_BATCHES = Limits(batch_records=400, seconds=60.0)


@contextmanager
def behind(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, rule: Rule, after: Callable[[str, Body], None] | None = None
) -> Iterator[None]:
    """Workers started in the block reach AWS through a proxy with this rule."""
    with proxy(emulator.endpoint, rule, after or (lambda *_: None)) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        yield


class Throttles:
    """Refuses a share of all calls, and of what others ask for, leaves a share unprocessed."""

    def __init__(self, share: float, seed: int) -> None:
        self._rng = random.Random(seed)
        self._share = share
        self.refused = 0
        self.left = 0

    def __call__(self, operation: str, body: Body) -> Reply | Rewritten | None:
        if self._rng.random() < self._share:
            self.refused += 1
            return throttled()
        if operation == "BatchWriteItem":
            return self._leave_items(body)
        if operation == "BatchGetItem":
            return self._leave_keys(body)
        if operation == "BatchExecuteStatement":
            return self._fail_statements(body)
        return None

    def _split(self, things: list[Body]) -> tuple[list[Body], list[Body]]:
        """What is done, at least one, and what is left."""
        done = [thing for thing in things if self._rng.random() > self._share] or things[:1]
        left = [thing for thing in things if thing not in done]
        self.left += len(left)
        return done, left

    def _leave_items(self, body: Body) -> Rewritten:
        ((table, items),) = body["RequestItems"].items()
        done, left = self._split(items)
        unprocessed = {table: left} if left else {}
        return Rewritten({"RequestItems": {table: done}}, lambda answer: {**answer, "UnprocessedItems": unprocessed})

    def _leave_keys(self, body: Body) -> Rewritten:
        table, wanted = next(iter(body["RequestItems"].items()))
        done, left = self._split(wanted["Keys"])
        unprocessed = {table: {**wanted, "Keys": left}} if left else {}
        request = {**body["RequestItems"], table: {**wanted, "Keys": done}}
        return Rewritten({"RequestItems": request}, lambda answer: {**answer, "UnprocessedKeys": unprocessed})

    def _fail_statements(self, body: Body) -> Rewritten:
        statements = body["Statements"]
        done, left = self._split(statements)
        failed = {"Error": {"Code": "ThrottlingError", "Message": "slow down"}}

        def finish(answer: Body) -> Body:
            answers = iter(answer["Responses"])
            return {"Responses": [failed if statement in left else next(answers) for statement in statements]}

        return Rewritten({"Statements": done}, finish)


def test_throttles_and_unprocessed_work_change_nothing_but_the_time(
    resources: Settings, send: Send, expected: Expected, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(dirty_events(500, users=120))
    rule = Throttles(share=0.15, seed=1)
    with behind(emulator, monkeypatch, rule):
        report = Worker(resources, Orders("w", LARGE_BATCHES, lease_seconds=20)).report()
    assert {drain.ended for drain in report.drains} == {CAUGHT_UP}
    assert rule.refused > 5
    assert rule.left > 50
    assert_same(resources, expected)


@pytest.mark.parametrize(
    ("operation", "count"),
    [("BatchWriteItem", 5), ("BatchExecuteStatement", 2), ("BatchExecuteStatement", 4)],
)
def test_a_worker_killed_in_the_middle_of_a_step_changes_nothing(
    resources: Settings,
    send: Send,
    expected: Expected,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    count: int,
) -> None:
    send(dirty_events(500, users=250))
    seen: list[str] = []
    victims: list[Worker] = []

    def kill(done: str, _: Body) -> None:
        seen.append(done)
        if seen.count(operation) == count:
            victims[0].send(signal.SIGKILL)

    with behind(emulator, monkeypatch, lambda *_: None, kill):
        victims.append(Worker(resources, Orders("victim", LARGE_BATCHES, lease_seconds=LEASE_SECONDS)))
        victims[0].dies()
    Worker(resources, Orders("last", LARGE_BATCHES)).report()
    assert_same(resources, expected)


def test_lost_answers_change_nothing(
    resources: Settings, send: Send, expected: Expected, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for is done, and the worker hears of an internal error: it tries again."""
    send(dirty_events(300, users=60))
    rng = random.Random(3)
    error = Reply(500, {"__type": "InternalServerError", "message": "lost"})
    with behind(emulator, monkeypatch, lambda *_: AnswerLost(error) if rng.random() < 0.1 else None):
        ended = {""}
        for number in range(20):
            # A condition that held the first time fails the second: the worker takes that for a rival and drops out.
            worker = Worker(resources, Orders(f"w{number}", lease_seconds=LEASE_SECONDS))
            ended = {drain.ended for drain in worker.report().drains}
            if ended == {CAUGHT_UP}:
                break
    assert ended == {CAUGHT_UP}
    assert_same(resources, expected)


def test_an_outage_gives_the_lease_back(
    resources: Settings, send: Send, expected: Expected, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(dirty_events(100, users=20))
    down = {"BatchWriteItem"}
    with behind(emulator, monkeypatch, lambda operation, _: throttled() if operation in down else None):
        report = Worker(resources, Orders("w", lease_seconds=2)).report()
    assert {drain.ended for drain in report.drains} == {UNAVAILABLE}
    begin = time.monotonic()
    Worker(resources, Orders("next", lease_seconds=60)).report()
    assert time.monotonic() - begin < 10, "the leases were not given back"
    assert_same(resources, expected)


@pytest.mark.parametrize("is_throttled", [False, True])
def test_sigterm_ends_a_slice_within_five_seconds(
    resources: Settings,
    send: Send,
    expected: Expected,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    is_throttled: bool,
) -> None:
    send(dirty_events(500, users=50))

    under_way = threading.Event()

    def rule(operation: str, _: Body) -> Reply | None:
        if operation != "BatchWriteItem":
            return None
        under_way.set()
        return throttled() if is_throttled else None

    with behind(emulator, monkeypatch, rule):
        worker = Worker(resources, Orders("w", Limits(batch_records=2), lease_seconds=60))
        assert under_way.wait(60)
        begin = time.monotonic()
        worker.send(signal.SIGTERM)
        report = worker.report()
    assert time.monotonic() - begin < 5
    assert {drain.ended for drain in report.drains} == {UNAVAILABLE if is_throttled else STOPPED}
    Worker(resources, Orders("last", LARGE_BATCHES, lease_seconds=60)).report()
    assert_same(resources, expected)

"""Whatever happens to workers, the deployment ends up holding what an undisturbed one holds, to the last bit."""

import random
import signal
import time

import pytest

from fraudline.adapters.stream.batches import STEPS
from fraudline.adapters.stream.draining import CAUGHT_UP, LOST
from fraudline.settings import Settings
from tests.stream.conftest import Expected, Send, assert_same
from tests.stream.events import dirty_events
from tests.stream.storage import accounts, stored
from tests.stream.worker import LEASE_SECONDS, Orders, Worker


def test_a_worker_killed_as_any_step_begins_changes_nothing(
    resources: Settings, send: Send, expected: Expected
) -> None:
    send(dirty_events(900, users=60))
    for number, step in enumerate(STEPS):
        orders = Orders(f"w{number}", harm=signal.SIGKILL, step=step, count=2)
        assert Worker(resources, orders).wait() == -signal.SIGKILL, f"{step} was not reached twice"
    time.sleep(LEASE_SECONDS)
    assert Worker(resources, Orders("last")).report().flags == {}
    assert_same(resources, expected)


@pytest.mark.long
def test_fifty_workers_killed_at_random_change_nothing(resources: Settings, send: Send, expected: Expected) -> None:
    rng = random.Random(4)
    send(dirty_events(4000, users=200))
    for number in range(50):
        worker = Worker(resources, Orders(f"w{number}", lease_seconds=LEASE_SECONDS))
        time.sleep(rng.uniform(0.2, 1.0))
        worker.send(signal.SIGKILL)
        worker.wait()
    time.sleep(LEASE_SECONDS)
    Worker(resources, Orders("last")).report()
    assert_same(resources, expected)


@pytest.mark.parametrize("step", ["look_up", "archive", "decisions", "commit", "notify"])
def test_a_frozen_worker_that_wakes_up_after_its_lease_was_stolen_changes_nothing(
    resources: Settings, send: Send, expected: Expected, step: str
) -> None:
    send(dirty_events(400, users=40))
    zombie = Worker(resources, Orders("zombie", harm=signal.SIGSTOP, step=step, count=7))
    while not zombie.is_frozen():
        time.sleep(0.02)
    time.sleep(LEASE_SECONDS)
    Worker(resources, Orders("thief")).report()
    zombie.send(signal.SIGCONT)
    assert LOST in {drain.ended for drain in zombie.report().drains}
    after = Worker(resources, Orders("after")).report()
    assert (after.read, {drain.ended for drain in after.drains}) == (0, {CAUGHT_UP})
    assert_same(resources, expected)


def test_three_workers_share_a_stream_and_lose_nothing(resources: Settings, send: Send, expected: Expected) -> None:
    send(dirty_events(500, users=60))
    workers = [Worker(resources, Orders(f"w{number}")) for number in range(3)]
    reports = [worker.report() for worker in workers]
    assert sum(report.read for report in reports) == sum(account.read for account in accounts(resources))
    assert_same(resources, expected)


def test_a_batch_begun_by_one_champion_is_finished_by_it_after_a_promotion(
    resources: Settings, send: Send, expected: Expected
) -> None:
    send(dirty_events(100, users=20))
    Worker(resources, Orders("old", harm=signal.SIGKILL, step="commit", count=4)).dies()
    begun = {item["transaction_id"]: item for item in stored(resources).decisions.values()}
    Worker(resources, Orders("new", bundle_seed=2)).report()
    kept = stored(resources).decisions
    assert {id_: kept[id_] for id_ in begun} == begun
    assert {item["model_version"][-1] for item in kept.values()} == {"1", "2"}

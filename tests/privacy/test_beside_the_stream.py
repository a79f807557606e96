"""Forgetting beside the stream: a deployment that does so ends as one that does not, but for the name."""

import json
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.adapters.erasure import forgetting
from fraudline.adapters.stream.batches import STEPS
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.tables.tombstones import erased_people
from fraudline.contract import load_contract
from fraudline.local.emulator import Emulator, environment_of
from fraudline.local.resources import create_resources
from fraudline.settings import Settings
from tests.privacy.shop import objects, rows
from tests.stream.events import Sent, clean_events, dirty_events
from tests.stream.proxy import Body, Rewritten, proxy
from tests.stream.storage import accounts, balances, stored
from tests.stream.worker import Orders, Worker

ECOMMERCE = load_contract("ecommerce")
USER = "U3"


@pytest.fixture
def calm(resources: Settings, unique: str) -> Settings:
    """A second deployment on the same stream, in which nobody is forgotten."""
    names = resources.model_dump(exclude={"contract", "stream", "alerts_topic_arn"}, exclude_none=True)
    own = {field: name.replace(unique, f"{unique}-calm") for field, name in names.items()}
    return create_resources(Settings(**{**own, "consumer": "calm"}, stream=resources.stream))


def send(settings: Settings, events: list[Sent]) -> None:
    Producer(client("kinesis"), settings.stream).send(events)


def forget(settings: Settings, entity: str = "user", id_: str = USER, say: Callable[[str], None] = print) -> str:
    """The pseudonym."""
    contract = load_contract(settings.contract)
    forgetting.forget(forgetting.deployment(settings, contract), entity, id_, say)
    return str(erased_people(settings, contract).of(entity, id_))


def assert_same_but_for_the_name(forgotten: Settings, calm: Settings, pseudonym: str) -> None:
    left, right = stored(forgotten), stored(calm)
    assert left.profiles == renamed(right.profiles, pseudonym)
    assert left.decisions.keys() == right.decisions.keys()
    assert left.alerts.keys() == right.alerts.keys()
    assert left.notified == right.notified
    assert (left.rows.keys(), left.duplicates) == (right.rows.keys(), right.duplicates)
    assert {p: r.reason for p, r in left.rejects.items()} == {p: r.reason for p, r in right.rejects.items()}
    for id_, decision in right.decisions.items():
        assert without_names(left.decisions[id_]) == without_names(decision)
    assert all(map(balances, accounts(forgotten)))
    told = (f'"{USER}"', f"'{USER}'", f"#{USER}#")
    assert not [place for place, text in [*objects(forgotten), *rows(forgotten)] if any(id_ in text for id_ in told)]


def renamed(profiles: dict[str, dict[str, Any]], pseudonym: str) -> dict[str, dict[str, Any]]:
    keys = {key: key.replace(f"#{USER}#", f"#{pseudonym}#") for key in profiles}
    return {keys[key]: {**row, "entity": keys[key]} for key, row in profiles.items()}


def without_names(decision: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in decision.items() if name not in ("entity", "entities", "digest")}


@pytest.mark.parametrize("step", STEPS)
def test_a_batch_that_was_pending_is_finished_under_the_pseudonym(
    resources: Settings, calm: Settings, key: None, step: str
) -> None:
    send(resources, dirty_events(120, users=6, seed=len(step)))
    Worker(resources, Orders("dies", harm=signal.SIGKILL, step=step, count=2)).dies()
    pseudonym = forget(resources)
    send(resources, clean_events(40, users=6, seed=9, first=5000))
    Worker(resources, Orders("heir")).report()
    forget(resources)
    Worker(calm, Orders("calm")).report()
    assert_same_but_for_the_name(resources, calm, pseudonym)


def test_a_torn_record_under_the_key_of_somebody_else_is_kept_under_the_pseudonym(
    resources: Settings, key: None
) -> None:
    send(resources, clean_events(20, users=6))
    Worker(resources, Orders("early")).report()
    pseudonym = forget(resources)
    send(resources, [("U5", b'{"transaction_id": "t9", "user_id": "U3", "amount": 1')])
    Worker(resources, Orders("late")).report()
    (reject,) = stored(resources).rejects.values()
    assert reject.raw == b'{"transaction_id": "t9", "user_id": "%b", "amount": 1' % pseudonym.encode()


def test_a_slice_that_comes_before_the_leases_do_is_wholly_under_the_old_name(
    resources: Settings, calm: Settings, key: None
) -> None:
    send(resources, dirty_events(120, users=6))
    Worker(resources, Orders("early")).report()
    send(resources, clean_events(40, users=6, seed=9, first=5000))

    scored: list[int] = []

    def come_between(step: str) -> None:
        if step == "Waiting for the batches under way":
            scored.append(Worker(resources, Orders("between")).report().scored)

    pseudonym = forget(resources, say=come_between)
    assert scored == [40]
    send(resources, clean_events(40, users=6, seed=10, first=6000))
    Worker(resources, Orders("rest")).report()
    Worker(calm, Orders("calm")).report()
    assert_same_but_for_the_name(resources, calm, pseudonym)


def test_leases_that_are_lost_before_the_tombstone_is_written_change_nothing(
    resources: Settings,
    calm: Settings,
    key: None,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send(resources, dirty_events(120, users=6))
    Worker(resources, Orders("early")).report()
    send(resources, clean_events(40, users=6, seed=9, first=5000))
    monkeypatch.setattr(forgetting, "LEASE_SECONDS", 2.0)

    def freeze(operation: str, body: Body) -> Rewritten | None:
        if operation != "TransactWriteItems":
            return None
        time.sleep(forgetting.LEASE_SECONDS)
        with environment_of(emulator.environment):
            assert Worker(resources, Orders("thief")).report().scored == 40
        return Rewritten(body, lambda told: told)

    with proxy(emulator.endpoint, freeze) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(forgetting.NotReady, match="took a shard over"):
            forget(resources)
    pseudonym = forget(resources)
    Worker(calm, Orders("calm")).report()
    assert_same_but_for_the_name(resources, calm, pseudonym)


def test_workers_that_go_on_scoring_take_the_profile_over(resources: Settings, calm: Settings, key: None) -> None:
    send(resources, dirty_events(100, users=6))
    limits = Limits(batch_records=10)
    workers = [Worker(resources, Orders(f"w{n}", limits, lease_seconds=10.0, seconds=4.0)) for n in range(2)]
    time.sleep(1.0)
    more = threading.Thread(target=lambda: [send(resources, clean_events(10, 6, n, 1000 * n)) for n in range(2, 12)])
    more.start()
    pseudonym = forget(resources)
    more.join()
    assert [worker.wait() for worker in workers] == [0, 0]
    Worker(resources, Orders("rest")).report()
    Worker(calm, Orders("calm")).report()
    assert_same_but_for_the_name(resources, calm, pseudonym)


def test_a_profile_in_use_is_not_moved_while_a_worker_holds_its_shard(
    resources: Settings, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(resources, clean_events(30, users=6))
    worker = Worker(resources, Orders("frozen", harm=signal.SIGSTOP, step="commit", lease_seconds=60.0))
    while not worker.is_frozen():
        time.sleep(0.05)
    monkeypatch.setattr(forgetting, "WAIT_SECONDS", 1.0)
    with pytest.raises(forgetting.NotReady, match="is held by frozen all the time"):
        forget(resources)
    worker.send(signal.SIGCONT)
    worker.report()
    assert forget(resources).startswith("erased-")


def test_what_comes_while_the_stores_are_swept_is_told_and_gone_after_the_next_run(
    resources: Settings, key: None
) -> None:
    late = {"Bucket": resources.landing_bucket, "Key": "files/late.jsonl"}

    def say(text: str) -> None:
        if text == f"Sweeping table {resources.labels_table}":
            client("s3").put_object(**late, Body=f'{{"user_id": "{USER}"}}\n'.encode())

    with pytest.raises(
        forgetting.Leftover, match=r"1 places still tell of the person, the first is .*files/late\.jsonl"
    ):
        forget(resources, say=say)
    pseudonym = forget(resources)
    assert json.loads(client("s3").get_object(**late)["Body"].read()) == {"user_id": pseudonym}

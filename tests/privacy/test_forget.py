"""A user is forgotten: no store tells of them, nothing brings them back, and what was trained can be trained again."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from flows.forget import ForgetRequest, forget
from fraudline.adapters.aws import clients
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.erasure import forgetting
from fraudline.adapters.erasure.forgetting import Receipt
from fraudline.adapters.erasure.restores import DEFAULT_DAYS
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.quarantine import Quarantine
from fraudline.adapters.tables.tombstones import erased_people
from fraudline.clock import parse_timestamp
from fraudline.contract import load_contract
from fraudline.durations import DAY
from fraudline.errors import BadInput, NotReady
from fraudline.realtime.start import start
from fraudline.settings import Settings
from fraudline.transactions.validation import Validator
from tests.privacy.shop import Shop, drain, record, rows, send, sent

ECOMMERCE = load_contract("ecommerce")
EVERYWHERE = {
    "decisions", "labels", "profiles", "landing/archive", "landing/files", "quarantine/stream", "quarantine/files",
    "models/ecommerce", "reports/quality", "backfill",
}  # fmt: skip


# What is told of a run: waiting for the stream, eight stores, the look at the end.
STEPS = 10


def void(_: str) -> None:
    """Progress that nobody watches."""


def forgotten(shop: Shop, id_: str = "", say: Callable[[str], None] = void) -> Receipt:
    of = forgetting.deployment(shop.settings, ECOMMERCE, [str(shop.folder)])
    return forgetting.forget(of, "user", id_ or shop.user, say)


@pytest.mark.timeout(600)
def test_a_forgotten_user_is_in_no_store_and_does_not_come_back(shop: Shop) -> None:
    assert shop.tells_of(shop.user) == EVERYWHERE
    restorable = {"TableName": shop.settings.profiles_table}
    client("dynamodb").update_continuous_backups(
        **restorable, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    before = {store: sum(1 for place, _ in rows(shop.settings) if place == store) for store in ("decisions", "labels")}

    receipt = forgotten(shop)
    assert shop.tells_of(shop.user) == set()
    assert {store.store.rpartition("-")[2] for store in receipt.stores if store.changed} >= {
        "landing", "quarantine", "models", "reports", "decisions", "labels",
    }  # fmt: skip
    assert sum(store.purged for store in receipt.stores) >= 4
    assert before == {store: sum(1 for place, _ in rows(shop.settings) if place == store) for store in before}
    _the_receipt_says_until_when_the_rest_lives(receipt, shop.settings)
    place = forgetting.keep(receipt, shop.settings.reports_bucket)
    assert place.startswith(f"s3://{shop.settings.reports_bucket}/erasures/")

    # The same model as ever, and the same request again brings nothing back.
    assert shop.retrain() == shop.version
    assert forgotten(shop).changed == 0

    # What the stream still holds: new records, a copy, a conflicting copy, one that does not parse.
    torn = (shop.user, f'{{"user_id": "{shop.user}", '.encode())
    send(shop.settings, sent(shop.user, 50), shop.sent[2], sent(shop.user, 2, amount=1.0), torn)
    report = drain()
    assert (report.scored, report.duplicates) == (1, 1)
    assert report.quarantined == {"conflicting_id": 1, "not_json": 1}
    assert shop.tells_of(shop.user) == set()

    # A question at checkout about somebody whom the shop has not forgotten itself.
    function = start({**os.environ, "FRAUDLINE_RECORD_BUDGET_MS": "30000"})
    assert function.answer({"transaction_data": record(shop.user, 70)}, None)["statusCode"] == 200
    assert any("N70" in text for place, text in rows(shop.settings) if place == "decisions")
    assert shop.tells_of(shop.user) == set()
    _nothing_is_sent_again(shop)
    _old_files_and_restored_rows_are_swept(shop)


def _the_receipt_says_until_when_the_rest_lives(receipt: Receipt, settings: Settings) -> None:
    """The emulator's stream keeps records for a day; one of its tables was told to be restorable."""
    told = {name: parse_timestamp(when, "UTC") for name, when in receipt.expires.items()}
    now = datetime.now(UTC).timestamp() * 1_000_000
    assert told == {
        f"stream {settings.stream}": pytest.approx(now + DAY, abs=DAY / 24),
        f"restores of table {settings.profiles_table}": pytest.approx(now + DEFAULT_DAYS * DAY, abs=DAY / 24),
    }


def _nothing_is_sent_again(shop: Shop) -> None:
    quarantine = Quarantine(open_objects(f"s3://{shop.settings.quarantine_bucket}"))
    producer = Producer(client("kinesis"), shop.settings.stream)
    people = erased_people(shop.settings, ECOMMERCE)
    redriven = [quarantine.redrive(key, Validator(ECOMMERCE), producer, people) for key in quarantine.list()]
    assert sum(done.sent for done in redriven) == 0
    assert sum(done.refused["erased"] for done in redriven) >= 1


def _old_files_and_restored_rows_are_swept(shop: Shop) -> None:
    landing = open_objects(f"s3://{shop.settings.landing_bucket}")
    landing.put("files/old.jsonl", json.dumps({**record(shop.user, 60), "timestamp": "2026-01-02T03:04:05Z"}).encode())
    assert shop.retrain() != ""
    assert shop.tells_of(shop.user) == {"landing/files"}
    client("dynamodb").put_item(
        TableName=shop.settings.profiles_table,
        Item={"entity": {"S": f"user#{shop.user}#0f3a"}, "position": {"S": "1"}, "history": {"B": b"1"}},
    )
    assert forget.fn(ForgetRequest(contract="ecommerce")).changed == 2
    assert shop.tells_of(shop.user) == set()
    assert forget.fn(ForgetRequest(contract="ecommerce")).changed == 0


@pytest.mark.timeout(600)
def test_it_can_be_killed_before_any_step_and_goes_on_where_it_was(shop: Shop) -> None:
    # In the middle of two stores: a copy is there and the original still is.
    assert not _survives(lambda: _forgotten_up_to(shop, "DeleteItem"))
    assert not _survives(lambda: _forgotten_up_to(shop, "DeleteObject"))
    for step in range(1, STEPS + 1):
        assert not _survives(lambda step=step: forgotten(shop, say=_killer(step)))
        assert erased_people(shop.settings, ECOMMERCE)
    assert _survives(lambda: forgotten(shop, say=_killer(STEPS + 1)))
    assert shop.tells_of(shop.user) == set()
    assert len(erased_people(shop.settings, ECOMMERCE).pseudonyms) == 1
    assert shop.retrain() == shop.version


def _forgotten_up_to(shop: Shop, operation: str) -> None:
    """Killed as the operation is about to be sent."""

    def kill(**_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    single = DynamoDB.single

    def send(self: DynamoDB, name: str, *rest: object) -> object:
        return kill() if name == operation else single(self, name, *rest)

    DynamoDB.single = send  # in this process only, which ends here
    clients._session.events.register(f"before-call.s3.{operation}", kill)
    forgotten(shop)


def _killer(step: int) -> Callable[[str], None]:
    left = iter(range(step - 1))

    def say(_: str) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    return say


def _survives(work: Callable[[], object]) -> bool:
    """Whether the work ends by itself, in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_unknown_id_changes_nothing_and_still_gets_a_tombstone(resources: Settings, key: None) -> None:
    of = forgetting.deployment(resources, ECOMMERCE)
    receipt = forgetting.forget(of, "user", "U-nobody", void)
    assert receipt.changed == 0
    assert erased_people(resources, ECOMMERCE).of("user", "U-nobody")


def test_an_entity_that_the_contract_does_not_know_is_refused(resources: Settings, key: None) -> None:
    with pytest.raises(BadInput, match="has no entity 'shop'"):
        forgetting.forget(forgetting.deployment(resources, ECOMMERCE), "shop", "U1", void)


@pytest.fixture
def with_tombstone(resources: Settings, key: None) -> Settings:
    forgetting.forget(forgetting.deployment(resources, ECOMMERCE), "user", "U1", void)
    return resources


def test_with_erased_people_nothing_runs_without_the_key_or_with_another(
    with_tombstone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUDLINE_ERASURE_KEY", "x" * 48)
    with pytest.raises(BadInput, match="is not the key"):
        erased_people(with_tombstone, ECOMMERCE)
    monkeypatch.delenv("FRAUDLINE_ERASURE_KEY")
    with pytest.raises(NotReady, match="there is no key"):
        erased_people(with_tombstone, ECOMMERCE)


def test_a_key_that_could_be_guessed_is_refused_and_not_repeated(
    resources: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUDLINE_ERASURE_KEY", "secret")
    with pytest.raises(BadInput, match="shorter than 32 characters") as refused:
        erased_people(resources, ECOMMERCE)
    assert "secret" not in str(refused.value)


def test_the_tombstone_tells_nobody_who_it_was(with_tombstone: Settings) -> None:
    people = erased_people(with_tombstone, ECOMMERCE)
    (pseudonym,) = people.pseudonyms
    texts = [text for place, text in rows(with_tombstone) if place == "erasures"]
    assert len(texts) == 2
    assert all("U1" not in text for text in texts)
    assert pseudonym.startswith("erased-")
    assert len(pseudonym) == len("erased-") + 32

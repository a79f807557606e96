"""What comes after its hour was built: no decision before the next build could see it, and offline code agrees."""

import itertools
import json
import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from flows.materialize import MaterializeRequest, MaterializeResult, materialize
from fraudline.adapters.archive.builds import read_builds
from fraudline.adapters.archive.history import load_history
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.clock import now_micros
from fraudline.adapters.large import backfill as large_backfill
from fraudline.adapters.large import shuffle
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.labels import Labels
from fraudline.adapters.tables.profiles import Profiles
from fraudline.clock import format_micros, from_micros, parse_timestamp
from fraudline.decision import pack
from fraudline.durations import DAY, HOUR, MINUTE, floor_hour
from fraudline.errors import BadInput, LostRace
from fraudline.features.definition import feature_set
from fraudline.features.offline import offline_features
from fraudline.labels import Verdict
from fraudline.local.emulator import Emulator
from fraudline.materializing import build_lagged
from fraudline.settings import Settings
from fraudline.transactions.table import UNKNOWN, TransactionTable
from tests.stream.conftest import Send
from tests.stream.events import BEGIN, Sent
from tests.stream.proxy import Body, proxy
from tests.stream.storage import stored, table_items
from tests.stream.test_lagged import CARDS, GENERATION, WORKER, Died, dying
from tests.stream.worker import deps_of

SECONDS = 30.0
EVER = 2**62
NAMES = feature_set(CARDS).names


@dataclass
class Shop:
    """A deployment that runs `cards`, with terminals that report late; it makes payments at a clock of its own."""

    settings: Settings
    send: Send
    now: int = BEGIN
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def payment(self, time: int) -> dict[str, Any]:
        number = next(self._numbers)
        # Half of the cards are new: nothing but its own time says when their payment counts.
        card = f"C{self.rng.randrange(8)}" if self.rng.random() < 0.5 else f"N{number}"
        return {
            "TRANSACTION_ID": number,
            "TX_DATETIME": format_micros(time),
            "CUSTOMER_ID": card,
            "TERMINAL_ID": f"T{self.rng.randrange(3)}",
            "TX_AMOUNT": self.rng.randrange(100, 9000) / 100,
        }

    def score(self, count: int, late_by: int = 0) -> None:
        """Send so many payments, ten minutes apart or all of them late, and drain the stream."""
        made: list[Sent] = []
        for _ in range(count):
            self.now += 10 * MINUTE if not late_by else 0
            payment = self.payment(self.now - self.rng.randrange(late_by + 1))
            made.append((payment["CUSTOMER_ID"], json.dumps(payment).encode()))
        self.send(made)
        assert run_slice(deps_of(self.settings, WORKER), Limits(batch_records=20)).scored >= count

    def land_file(self, name: str, times: list[int]) -> None:
        """A file of labelled payments that the stream never saw, by cards that nobody's profile was warmed up for."""
        made = [self.payment(time) for time in times]
        rows = [p | {"CUSTOMER_ID": f"F{p['CUSTOMER_ID']}", "TX_FRAUD": self.rng.randrange(2)} for p in made]
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        client("s3").put_object(
            Bucket=self.settings.landing_bucket, Key=f"files/{name}.csv", Body="\n".join(lines).encode()
        )

    def say(self, id_: str, label: int, known_at: int) -> None:
        self.labels().add(id_, Verdict(label, known_at, "ann"), within(SECONDS))

    def labels(self) -> Labels:
        return Labels(DynamoDB(AwsJson("dynamodb")), self.settings.labels_table)

    def profiles(self) -> Profiles:
        dynamodb = DynamoDB(AwsJson("dynamodb"))
        return Profiles(dynamodb, self.settings.profiles_table, self.settings.decisions_table)

    def build(self) -> MaterializeResult:
        return materialize.fn(MaterializeRequest(now=from_micros(self.now)))

    def history(self) -> TransactionTable:
        landing = open_objects(f"s3://{self.settings.landing_bucket}")
        return load_history(CARDS, landing, self.labels().all(within(SECONDS)), EVER).table

    def assert_offline_follows(self) -> None:
        """Features over all that has landed are those of the decisions, bit for bit."""
        table, recorded = self.history(), stored(self.settings).decisions
        features = offline_features(table)
        ids = table.ids.to_pylist()
        assert set(recorded) <= set(ids)
        seen = {id_: bytes(recorded[id_]["features"].value) for id_ in ids if id_ in recorded}
        assert {id_: pack(features[i]) for i, id_ in enumerate(ids) if id_ in recorded} == seen

    def feature(self, name: str, decisions: int) -> list[float]:
        """Of the newest decisions, as offline code has it."""
        table, at = self.history(), NAMES.index(name)
        return [float(value) for value in offline_features(table)[-decisions:, at]]


@pytest.fixture
def shop(resources: Settings, send: Send, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("FRAUDLINE_CONTRACT", "cards")
    shop = Shop(resources, send)
    shop.score(120)
    return shop


def test_records_after_their_hour_was_built(shop: Shop) -> None:
    shop.build()
    shop.score(20, late_by=6 * HOUR)
    shop.score(30)
    shop.assert_offline_follows()
    shop.build()
    shop.score(20)
    shop.score(20, late_by=DAY)
    shop.build()
    shop.score(30)
    shop.assert_offline_follows()


def test_a_run_for_an_earlier_hour_does_the_newest_one_again(shop: Shop) -> None:
    """No build could go before one that decisions may tell of."""
    newest = shop.build()
    shop.now -= 5 * HOUR
    again = shop.build()
    assert (again.through, again.entities) == (newest.through, newest.entities)
    shop.now += 5 * HOUR
    shop.score(10)
    shop.assert_offline_follows()


def test_files_that_land_after_their_hour_was_built(shop: Shop) -> None:
    shop.land_file("yesterday", [BEGIN + n * 20 * MINUTE for n in range(40)])
    shop.build()
    shop.score(20)
    shop.land_file("earlier", [BEGIN - 20 * DAY + n * HOUR for n in range(60)])
    shop.score(20)
    shop.assert_offline_follows()
    shop.build()
    shop.score(30)
    shop.assert_offline_follows()


def test_a_file_that_repeats_what_the_stream_delivered_changes_no_features_but_labels(shop: Shop) -> None:
    shop.build()
    known = shop.history().take(slice(0, 100))
    column = {name: [] for name in ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT")}
    for transaction in known.transactions():
        values = (
            transaction.id, format_micros(transaction.timestamp), *transaction.entities, transaction.amount / 100,
        )  # fmt: skip
        for name, value in zip(column, values, strict=True):
            column[name].append(value)
    rows = zip(*column.values(), strict=True)
    lines = [",".join((*column, "TX_FRAUD")), *(",".join(map(str, (*row, n % 2))) for n, row in enumerate(rows))]
    client("s3").put_object(
        Bucket=shop.settings.landing_bucket, Key="files/labelled.csv", Body="\n".join(lines).encode()
    )
    table = shop.history()
    assert (table.label >= 0).sum() == 100
    assert len(table) == 120
    shop.assert_offline_follows()
    shop.now += 9 * DAY
    shop.score(10)
    shop.build()
    shop.score(20)
    assert max(shop.feature("terminal_fraud_30d", 20)) > 0
    shop.assert_offline_follows()


def test_labels_late_corrected_backdated_and_withdrawn(shop: Shop) -> None:
    table = shop.history()
    known = dict(zip(table.ids.to_pylist(), table.timestamp.tolist(), strict=True))
    shop.now += CARDS.label_delay
    shop.score(30)
    for id_, time in list(known.items())[:40]:
        shop.say(id_, shop.rng.randrange(2), time + CARDS.label_delay)
    shop.build()
    shop.score(30)
    assert max(shop.feature("terminal_fraud_7d", 30)) > 0
    # Late ones, corrections at their own time and backdated ones, withdrawals; and more of them after the next build.
    for _ in range(2):
        for id_, time in list(known.items())[10:80]:
            delay = shop.rng.choice([CARDS.label_delay, 0, CARDS.label_delay - DAY, shop.now - time])
            shop.say(id_, shop.rng.choice([0, 1, UNKNOWN]), time + delay)
        shop.score(20)
        shop.assert_offline_follows()
        shop.build()
        shop.score(30)
        shop.assert_offline_follows()


# Killed builds and zombies


WRITES = {"UpdateItem", "PutItem", "BatchWriteItem", "BatchExecuteStatement", "TransactWriteItems", "PUT"}


def killed(shop: Shop, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, at: int) -> bool:
    """Whether a build that dies when its `at`-th write has been done has got so far."""
    context: Any = multiprocessing.get_context("fork")
    writes = itertools.count(1)
    process: Any = None

    def after(operation: str, body: Body) -> None:
        if operation in WRITES and next(writes) == at:
            os.kill(process.pid, signal.SIGKILL)

    with proxy(emulator.endpoint, lambda *_: None, after) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        process = context.Process(target=_build_and_exit, args=(shop,), daemon=True)
        process.start()
        process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return bool(process.exitcode)


def _build_and_exit(shop: Shop) -> None:
    shop.build()
    os._exit(0)


@pytest.mark.parametrize("later", [0, HOUR])
def test_a_build_killed_at_each_of_its_writes_is_made_up_for(
    shop: Shop, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, later: int
) -> None:
    """The next run does the same hour again, or a later one; things come late between the two."""
    shop.build()
    ids = shop.history().ids.to_pylist()
    shop.score(10)
    for at in itertools.count(1):
        shop.now += HOUR
        if not killed(shop, emulator, monkeypatch, at):
            break
        shop.score(4, late_by=4 * HOUR)
        shop.say(shop.rng.choice(ids), shop.rng.randrange(2), shop.now - DAY)
        shop.now += later
        shop.build()
        shop.score(4)
    # Begun, recorded, still the newest, profiles, the hour.
    assert at == 6
    shop.assert_offline_follows()


def test_a_zombie_build_changes_nothing(shop: Shop) -> None:
    early = floor_hour(shop.now - 2 * HOUR)
    zombie = build_lagged(shop.history(), early)
    shop.score(10)
    shop.build()
    built = stored(shop.settings).profiles
    with pytest.raises(LostRace):
        shop.profiles().publish(GENERATION, zombie, early, lambda: within(SECONDS))
    assert stored(shop.settings).profiles == built


def test_a_build_whose_record_came_too_late_is_none(shop: Shop) -> None:
    """It listed what had landed, slept, and wrote its record when a later build had begun and looked for records."""
    first = parse_timestamp(shop.build().through, "UTC")
    shop.score(20)
    late = first + HOUR
    landing = open_objects(f"s3://{shop.settings.landing_bucket}")
    shop.build()
    after = read_builds(landing)
    landing.put_new(f"builds/{format_micros(late)}.json", json.dumps(
        {"through": late, "after": first, "first_seen": []}
    ).encode())  # fmt: skip
    assert read_builds(landing) == after
    with pytest.raises(LostRace):
        shop.labels().begin_build(late, within(SECONDS))


def test_the_same_hour_built_again_is_the_same(shop: Shop) -> None:
    shop.build()
    built = stored(shop.settings).profiles
    shop.score(10, late_by=6 * HOUR)
    shop.build()
    again = stored(shop.settings).profiles
    terminals = {key for key in built if key.startswith("terminal#")}
    assert terminals
    assert {key: again[key] for key in terminals} == {key: built[key] for key in terminals}


def test_an_hour_that_is_still_to_come_is_not_begun(shop: Shop) -> None:
    """All that came until then would count from then on, and no build could go back."""
    shop.now = now_micros() + 365 * DAY
    with pytest.raises(BadInput, match="is still to come"):
        shop.build()
    assert shop.labels().newest_build(within(SECONDS)) == 0
    assert read_builds(open_objects(f"s3://{shop.settings.landing_bucket}")).newest == 0


# Readers far behind


def test_a_batch_that_waited_for_days_is_done_as_it_was_begun(shop: Shop) -> None:
    shop.build()
    begun = shop.payment(shop.now)
    shop.send([(begun["CUSTOMER_ID"], json.dumps(begun).encode())])
    with pytest.raises(Died):
        run_slice(dying(shop.settings, "look_up"), Limits())
    land_days(shop, 6)
    assert run_slice(deps_of(shop.settings, WORKER), Limits()).scored == 1
    shop.assert_offline_follows()


def test_a_batch_that_was_about_to_begin_when_days_were_built_is_done_at_the_hour_it_had_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.build()
    begun, deps = shop.payment(shop.now), deps_of(shop.settings, WORKER)
    shop.send([(begun["CUSTOMER_ID"], json.dumps(begun).encode())])
    intend = deps.leases.intend

    def late(*arguments: Any) -> Any:
        shop.land_file("days", [shop.now + hour * HOUR for hour in range(100)])
        shop.now += 4 * DAY
        shop.build()
        return intend(*arguments)

    monkeypatch.setattr(deps.leases, "intend", late)
    assert run_slice(deps, Limits()).scored == 1
    shop.assert_offline_follows()


def land_days(shop: Shop, days: int) -> None:
    """Days go by, of which files tell; builds go on."""
    for day in range(days):
        times = [shop.now + hour * HOUR for hour in range(24)]
        shop.land_file(f"day{day}", times)
        shop.now += DAY
        shop.build()


def test_a_history_larger_than_memory_is_built_to_the_same_profiles(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.land_file("yesterday", [BEGIN + n * 20 * MINUTE for n in range(40)])
    shop.build()
    shop.score(40, late_by=6 * HOUR)
    for number, transaction in enumerate(shop.history().take(slice(0, 60)).transactions()):
        shop.say(transaction.id, number % 2, shop.now - 8 * DAY)
    built = shop.build()
    terminals = lagged_rows(shop.settings)
    assert built.entities == len(terminals) == 3
    for row in terminals:
        client("dynamodb").delete_item(TableName=shop.settings.profiles_table, Key={"entity": {"S": row["entity"]}})
    monkeypatch.setattr(large_backfill, "MEMORY_ROWS", 0)
    monkeypatch.setattr(shuffle, "PARTITION_ROWS", 50)
    assert shop.build() == built
    assert lagged_rows(shop.settings) == terminals


def lagged_rows(settings: Settings) -> list[dict[str, Any]]:
    rows = [row for row in table_items(settings.profiles_table) if row["entity"].startswith("terminal#")]
    return sorted(rows, key=lambda row: str(row["entity"]))

"""The function and the stream on one set of tables: what one has written, the other reads, to the bit."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.tables.decisions import Decisions
from fraudline.adapters.tables.profiles import Profiles
from fraudline.decision import REALTIME, Decision
from fraudline.durations import DAY, HOUR
from fraudline.features.online_lagged import LaggedCounter
from fraudline.features.profile import LabelEvent, LaggedHistory
from fraudline.local.emulator import Emulator
from fraudline.microbatch.batches import MicroBatches
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.profiles import profile_key
from fraudline.realtime.aws import Service, place_of
from fraudline.realtime.decide import Decider
from fraudline.realtime.dynamodb import DynamoDB as OurDynamoDB
from fraudline.realtime.dynamodb import Item, Wanted
from fraudline.realtime.profiles import StoredProfiles
from fraudline.realtime.recorder import DecisionRecorder
from fraudline.settings import Settings
from fraudline.stream import Batch, Intent, Record, Shard, position_of
from fraudline.transactions.transaction import Transaction
from tests.realtime.bundles import bundle_files, population, version_of
from tests.realtime.conftest import Run
from tests.realtime.events import http_json

ALL = Shard("shardId-000000000000", 0, 2**128 - 1)
LATE = 4_000_000_000_000_000
SECONDS = 30.0


@dataclass
class World:
    """One bundle on both paths, over the tables of an emulator."""

    bundle: Bundle
    settings: Settings
    endpoint: str

    def __post_init__(self) -> None:
        theirs = DynamoDB(AwsJson("dynamodb"))
        self.stream = MicroBatches(self.bundle)
        self.profiles = Profiles(theirs, self.settings.profiles_table, self.settings.decisions_table)
        self.decisions = Decisions(theirs, self.settings.decisions_table, self.bundle.contract)
        self.environment = {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        ours = OurDynamoDB(Service(place_of("dynamodb", self.environment)))
        self.decider = Decider(self.bundle)
        self.stored = StoredProfiles(ours, self.settings.profiles_table, self.settings.decisions_table)
        self.recorder = DecisionRecorder(ours, self.settings.decisions_table)

    def at_checkout(self, data: dict[str, object]) -> Decision:
        """The function's decision, kept and read back."""
        transaction = self.decider.validator.validate(data)
        assert isinstance(transaction, Transaction)
        (stored,) = self.stored.look_up(self.decider, [transaction], SECONDS)
        decision = self.decider.decide(transaction, stored, 1)
        if stored.recorded is None:
            recorded = self.recorder.record([decision], SECONDS)
            assert not recorded.failed | recorded.late
        return decision

    def profile_keys(self, data: dict[str, object]) -> list[Item]:
        """Where the profiles of a transaction's entities are, the partition entity's first."""
        transaction = self.decider.validator.validate(data)
        assert isinstance(transaction, Transaction)
        return [{"entity": {"S": key}} for key in self.decider.profile_keys(transaction)]

    def on_the_stream(self, number: int, data: dict[str, object]) -> Decision:
        """The stream's decision on the same, written with the profile it moves."""
        entity = str(data[self.bundle.contract.partition_entity.column])
        record = Record(str(number), position_of(str(number), ALL.id), entity, LATE, msgspec.json.encode(data))
        through = None
        if self.bundle.contract.lagged_entities:
            through = self.profiles.built_through(self.stream.generation, within(SECONDS))
        intent = Intent(
            end=record.sequence,
            records=1,
            model_version=self.bundle.version,
            scored_at=LATE,
            built_through=through,
        )
        batch = Batch(ALL, (record,), intent)
        reading = self.stream.read(batch)
        outcome = self.stream.decide(batch, reading, self.profiles.view(reading, None, within(SECONDS)))
        self.decisions.write(outcome.decisions, within(SECONDS))
        self.profiles.commit(outcome.changes, within(SECONDS))
        (decision,) = outcome.decisions
        return decision


@pytest.fixture
def world(request: pytest.FixtureRequest, resources: Settings, aws: Emulator) -> World:
    files = bundle_files(getattr(request, "param", "ecommerce"))
    return World(load_bundle(files.__getitem__, version_of(files)), resources, aws.endpoint)


def bits(decision: Decision) -> tuple[object, ...]:
    """All of a decision that does not tell the path it was made on."""
    d = decision
    scored = (d.score.hex(), d.features, d.reasons, d.is_fraud, d.threshold, d.model_version, d.built_through)
    return (*scored, d.event_time, d.effective_time, d.profile_position, d.entities, d.amount, d.digest)


def busiest() -> list[dict[str, object]]:
    """The records of the user with most."""
    users = [str(data["user_id"]) for data in population()]
    user = max(set(users), key=users.count)
    return [data for data in population() if data["user_id"] == user][:40]


def someone_else() -> list[dict[str, object]]:
    """The records of a user who is not `busiest`, of whom there are several."""
    user = busiest()[0]["user_id"]
    users = [str(data["user_id"]) for data in population() if data["user_id"] != user]
    other = max(set(users), key=users.count)
    return [data for data in population() if data["user_id"] == other]


def test_a_users_history_written_by_the_stream_gives_the_same_bits_at_checkout(world: World) -> None:
    records = busiest()
    assert len(records) > 10
    for number, data in enumerate(records):
        assert bits(world.at_checkout(data)) == bits(world.on_the_stream(number, data))


def test_what_the_function_keeps_is_what_it_answered_and_names_nobody(world: World) -> None:
    data = busiest()[0]
    decision = world.at_checkout(data)
    kept = world.decisions.read([decision.transaction_id], within(SECONDS), REALTIME)
    assert kept == {decision.transaction_id: msgspec.structs.replace(decision, entities={}, digest=b"")}
    (row,) = client("dynamodb").scan(TableName=world.settings.decisions_table)["Items"]
    assert str(data["user_id"]) not in str(row)


def test_the_first_answer_at_checkout_stays_whoever_scores_the_id_again(world: World) -> None:
    first, second, _ = busiest()[:3]
    before = world.at_checkout(second)
    world.on_the_stream(1, first)
    world.at_checkout(second)
    (kept,) = world.decisions.read([before.transaction_id], within(SECONDS), REALTIME).values()
    assert kept.profile_position == before.profile_position


def test_an_id_that_the_profile_has_counted_gets_the_streams_decision_back(world: World) -> None:
    data = busiest()[0]
    theirs = world.on_the_stream(1, data)
    assert world.at_checkout(data) == theirs


def test_a_damaged_profile_costs_its_own_user_the_history_and_nobody_beside_it(world: World, run: Run) -> None:
    damaged, sound = busiest()[:2], someone_else()[:2]
    for number, data in enumerate((damaged[0], sound[0])):
        world.on_the_stream(number, data)
    table, (key,) = client("dynamodb"), world.profile_keys(damaged[1])
    cut_off = table.get_item(TableName=world.settings.profiles_table, Key=key)["Item"]["history"]["B"][:-1]
    table.put_item(
        TableName=world.settings.profiles_table,
        Item={**key, "position": {"S": "0"}, "history": {"B": cut_off}},
    )
    running = run(world.stored, profile_deadline_ms="5000")
    body = json.loads(running.ask(http_json({"transactions": [sound[1], damaged[1], sound[0]]}))["body"])
    assert [item["profile"] for item in body["answers"]] == ["found", "missing", "recorded"]
    assert body["answers"][1]["fraud_probability"] == run().score(damaged[1])["fraud_probability"]
    (defect,) = (line for line in running.lines if line["level"] == "ERROR")
    assert (defect["Defects"], defect["place"].partition(":")[0]) == (1, "profiles.py")
    assert running.last["ProfileMisses"] == 1
    assert str(damaged[1]["user_id"]) not in running.stream.getvalue()


@pytest.mark.parametrize("world", ["cards"], indirect=True)
def test_lagged_entities_are_read_at_the_hour_they_are_built_through(world: World) -> None:
    begin = 1_767_225_600_000_000
    publish_terminal(world, "T1", begin)
    for number in range(6):
        data: dict[str, object] = {
            "TRANSACTION_ID": number,
            "TX_DATETIME": f"2026-01-{10 + number:02d} 09:30:00",
            "CUSTOMER_ID": "C1",
            "TERMINAL_ID": "T1" if number % 2 else "T2",
            "TX_AMOUNT": 12.5 + number,
        }
        ours = world.at_checkout(json.loads(json.dumps(data)))
        assert ours.built_through == begin + 12 * DAY
        assert bits(ours) == bits(world.on_the_stream(number, data))


class BuiltInBetween(OurDynamoDB):
    """Of the first read, the hour is read after a build and the profiles before it, as a batch may well be."""

    def __init__(self, world: World, build: Callable[[], None]) -> None:
        super().__init__(Service(place_of("dynamodb", world.environment)))
        self._build: Callable[[], None] | None = build

    def read(self, wanted: Sequence[Wanted], deadline: float) -> dict[str, list[Item]]:
        if not self._build:
            return super().read(wanted, deadline)
        hours = [want for want in wanted if "built" in str(want.key)]
        assert len(hours) == 1
        before = super().read([want for want in wanted if want not in hours], deadline)
        build, self._build = self._build, None
        build()
        after = super().read(hours, deadline)
        return {table: [*items, *after.get(table, ())] for table, items in before.items()}


@pytest.mark.parametrize("world", ["cards"], indirect=True)
def test_a_build_in_the_middle_of_a_read_is_seen_whole(world: World) -> None:
    begin = 1_767_225_600_000_000
    publish_terminal(world, "T1", begin, days=8)
    reader = BuiltInBetween(world, lambda: publish_terminal(world, "T1", begin))
    world.stored = StoredProfiles(reader, world.settings.profiles_table, world.settings.decisions_table)
    data: dict[str, object] = {
        "TRANSACTION_ID": 1,
        "TX_DATETIME": "2026-01-13 09:30:00",
        "CUSTOMER_ID": "C1",
        "TERMINAL_ID": "T1",
        "TX_AMOUNT": 12.5,
    }
    ours = world.at_checkout(json.loads(json.dumps(data)))
    assert ours.built_through == begin + 12 * DAY
    assert bits(ours) == bits(world.on_the_stream(1, data))


def publish_terminal(world: World, terminal: str, begin: int, days: int = 12) -> None:
    """A terminal's history, some of it fraud, built through that day."""
    (entity,) = world.bundle.contract.lagged_entities
    counter, history = LaggedCounter(entity), LaggedHistory()
    for hour in range(0, days * 24, 5):
        counter.count_transaction(history, begin + hour * HOUR, 1_000 + hour)
    for hour in range(0, 5 * 24, 7):
        counter.count_label(history, LabelEvent(begin + hour * HOUR, fraud=hour % 2, unexplained=hour % 2))
    generation = world.stream.generation
    key = profile_key(entity.name, terminal, generation)
    world.profiles.publish(generation, {key: history}, begin + days * DAY, lambda: within(SECONDS))

"""A backfill into the decisions table: under a name of its own, resumed day by day, beside everything online."""

from dataclasses import replace

import msgspec
import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.backfill.decisions import DecisionTarget
from fraudline.adapters.backfill.named import NamedBackfills, held
from fraudline.adapters.backfill.partitions import fill
from fraudline.adapters.stream.deps import stream_deps
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.decisions import Decisions, with_bytes
from fraudline.backfill.decisions import origin_of, rows_of
from fraudline.backfill.past import PastInMemory
from fraudline.decision import decision_from, unpack
from fraudline.errors import BadInput, LostRace, NotReady
from fraudline.local.emulator import Emulator
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.model.replaying import replay
from fraudline.settings import Settings
from fraudline.transactions.table import from_transactions
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator
from tests.realtime.bundles import bundle_files, version_of
from tests.stream.events import clean_events
from tests.stream.proxy import Body, Rewritten, proxy
from tests.stream.storage import notifications, stored, table_items

COUNT = 500
EVENTS = clean_events(COUNT, users=20)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return bundle_of(0.1)


def bundle_of(threshold: float) -> Bundle:
    files = dict(bundle_files("ecommerce", threshold=threshold))
    return load_bundle(files.__getitem__, version_of(files))


@pytest.fixture(scope="module")
def past(bundle: Bundle) -> PastInMemory:
    """Two and a half days of transactions, as files would have them."""
    validator = Validator(bundle.contract)
    valid = [t for t in (validator.decode(data) for _, data in EVENTS) if isinstance(t, Transaction)]
    table = from_transactions(bundle.contract, valid).sorted()
    past = PastInMemory.of(table, int(table.timestamp[0]), int(table.timestamp[-1]) + 1, bundle)
    return replace(past, with_features=True)


@pytest.fixture
def dynamodb(resources: Settings) -> DynamoDB:
    return DynamoDB(AwsJson("dynamodb"))


class Backfill:
    """Runs of a backfill named `april`."""

    def __init__(self, dynamodb: DynamoDB, settings: Settings, past: PastInMemory) -> None:
        self.rows = NamedBackfills(dynamodb, settings.leases_table, "april")
        self.decisions = Decisions(dynamodb, settings.decisions_table, past.bundle.contract)
        self.settings = settings
        self.past = past

    def run(self, most_days: int | None = None) -> list[str]:
        """The days that were written; it breaks down before the next after so many."""
        written: list[str] = []
        with held(self.rows, self.past.bundle.contract.name, self.past.bundle.version) as hold:
            target = DecisionTarget(self.decisions, hold, self.past.bundle)
            for day in self.past.score(target.missing(self.past.partitions)):
                if most_days is not None and len(written) == most_days:
                    raise InterruptedError
                target.write(day)
                written.append(day.part.day)
            target.close(complete=True)
        return written

    def items(self) -> dict[str, dict[str, object]]:
        found = table_items(self.settings.decisions_table)
        return {str(item["transaction_id"]): item for item in found if item["origin"] == "backfill#april"}


@pytest.fixture
def backfill(dynamodb: DynamoDB, resources: Settings, past: PastInMemory) -> Backfill:
    return Backfill(dynamodb, resources, past)


def test_rows_made_from_columns_can_be_replayed_to_the_bit(past: PastInMemory, bundle: Bundle) -> None:
    days = list(past.score(past.partitions))
    rows = [row for day in days for row in rows_of(day, bundle, origin_of("april"), 5, expires_at=9)]
    decisions = [decision_from(with_bytes(msgspec.json.decode(row)), ["user"]) for row in rows]
    assert len(decisions) == COUNT
    assert not any(replay(decision, bundle).differing for decision in decisions)
    assert 0 < sum(decision.is_fraud for decision in decisions) < COUNT
    assert unpack(decisions[0].features) == tuple(days[0].features[0])  # type: ignore[index]


def test_what_dynamodb_leaves_unprocessed_is_written_again_alone(
    resources: Settings, backfill: Backfill, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, past: PastInMemory
) -> None:
    done: list[int] = []

    def leave_five_of_a_full_batch(operation: str, body: Body) -> Rewritten | None:
        if operation != "BatchWriteItem":
            return None
        ((table, items),) = body["RequestItems"].items()
        now, left = items[:20], items[20:]
        done.append(len(now))
        return Rewritten(
            {"RequestItems": {table: now}}, lambda answer: {**answer, "UnprocessedItems": {table: left} if left else {}}
        )

    with proxy(emulator.endpoint, leave_five_of_a_full_batch) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        Backfill(DynamoDB(AwsJson("dynamodb")), resources, past).run()
    assert done.count(5) > 10
    assert sum(done) == COUNT
    assert len(backfill.items()) == COUNT


def test_a_backfill_decides_as_the_stream_did_and_touches_nothing_online(
    resources: Settings, bundle: Bundle, backfill: Backfill
) -> None:
    Producer(client("kinesis"), resources.stream).send(EVENTS)
    run_slice(stream_deps(resources, bundle, "w1"), Limits())
    before, told = stored(resources), notifications(resources.alerts_topic)
    assert before.alerts
    assert told
    leases = [row for row in table_items(resources.leases_table) if row["consumer"] == resources.consumer]
    backfill.run()
    assert stored(resources) == before
    assert notifications(resources.alerts_topic) == []
    assert [row for row in table_items(resources.leases_table) if row["consumer"] == resources.consumer] == leases
    again = backfill.items()
    assert again.keys() == before.decisions.keys()
    # What came late counted later on the stream than in a file, so not every history is the same.
    same = sum(again[id_]["score"] == decision["score"] for id_, decision in before.decisions.items())
    assert same > COUNT * 0.6


def test_a_backfill_that_broke_down_goes_on_and_is_the_same_as_one_that_did_not(backfill: Backfill) -> None:
    with pytest.raises(InterruptedError):
        backfill.run(most_days=1)
    part = backfill.items()
    assert 0 < len(part) < COUNT
    rest = backfill.run()
    whole = backfill.items()
    assert len(whole) == COUNT
    assert len(rest) == len(backfill.past.partitions) - 1
    assert {id_: whole[id_] for id_ in part} == part
    assert len({item["scored_at"] for item in whole.values()}) == 1
    assert backfill.run() == []
    assert backfill.items() == whole


def test_a_day_whose_input_has_changed_is_done_again_alone(backfill: Backfill) -> None:
    backfill.run()
    before = backfill.items()
    table = backfill.past.table
    last = backfill.past.partitions[-1]
    table.amount[last.end - 1] += 100
    changed = PastInMemory.of(table, int(table.timestamp[0]), int(table.timestamp[-1]) + 1, backfill.past.bundle)
    table.amount[last.end - 1] -= 100
    backfill.past = PastInMemory(table, changed.partitions, backfill.past.bundle, with_features=True)
    assert backfill.run() == [last.day]
    assert backfill.items().keys() == before.keys()


def test_two_runs_of_one_name_do_not_write_at_a_time(backfill: Backfill, bundle: Bundle) -> None:
    with (
        held(backfill.rows, "ecommerce", bundle.version),
        pytest.raises(NotReady, match=r"another run writes backfill 'april'.*another --name"),
    ):
        backfill.run()
    assert backfill.run()


def test_a_killed_runs_hold_ends_by_itself_and_it_writes_no_more(backfill: Backfill, bundle: Bundle) -> None:
    head, _ = backfill.rows.head_for("ecommerce", bundle.version)
    killed = backfill.rows.take(head, "somebody")
    expired = msgspec.structs.replace(backfill.rows.read()[0], expires_at=0)  # type: ignore[type-var]
    backfill.rows.take(expired, "another")
    with pytest.raises(LostRace):
        backfill.rows.renew(killed)


def test_a_name_stands_for_one_version(backfill: Backfill) -> None:
    backfill.run()
    with (
        pytest.raises(BadInput, match=r"'april' has decisions of 'ecommerce' by .*another --name"),
        held(backfill.rows, "ecommerce", bundle_of(0.2).version),
    ):
        pass


def test_whoever_cannot_write_says_so_and_the_day_is_not_done(backfill: Backfill, past: PastInMemory) -> None:
    gone = Decisions(DynamoDB(AwsJson("dynamodb")), "no-such-table", past.bundle.contract)
    with held(backfill.rows, "ecommerce", past.bundle.version) as hold:
        target = DecisionTarget(gone, hold, past.bundle)
        with pytest.raises(NotReady, match="does not exist"):
            fill([target], past.score(past.partitions))
    assert backfill.rows.read()[1] == {}
    assert len(backfill.run()) == len(past.partitions)


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "é", "x" * 65, "a#b", "a\n"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="cannot name a backfill"):
        origin_of(name)


def test_decisions_are_kept_as_long_as_the_deployment_says(
    dynamodb: DynamoDB, resources: Settings, past: PastInMemory
) -> None:
    backfill = Backfill(dynamodb, resources, past)
    backfill.decisions = Decisions(dynamodb, resources.decisions_table, past.bundle.contract, keep_days=30)
    backfill.run()
    kept = backfill.decisions.read(["t000001"], within(30), "backfill#april")["t000001"]
    assert backfill.items()["t000001"]["expires_at"] == kept.scored_at // 1_000_000 + 30 * 86_400

"""The label store: each verdict once, with the newest build that did not know of it, and none lost to a race."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.erasure.labels import LabelRows
from fraudline.adapters.tables.labels import Labels
from fraudline.builds import NEVER
from fraudline.contract import load_contract
from fraudline.durations import HOUR
from fraudline.erasure.people import Erased, Tombstone, keyed_hash
from fraudline.errors import LostRace
from fraudline.labels import Verdict
from fraudline.settings import Settings
from fraudline.transactions.table import UNKNOWN
from fraudline.transactions.transaction import Rejected
from fraudline.transactions.validation import Validator
from tests.stream.events import clean_events
from tests.stream.storage import table_items

SECONDS = 30.0


@pytest.fixture
def labels(resources: Settings) -> Labels:
    return Labels(DynamoDB(AwsJson("dynamodb")), resources.labels_table)


def test_a_verdict_is_added_once_and_tells_which_build_missed_it(labels: Labels) -> None:
    first, correction = Verdict(1, 10, "ann"), Verdict(0, 20, "bob", "it was the user")
    labels.add("t1", first, within(SECONDS))
    labels.begin_build(5 * HOUR, within(SECONDS))
    for _ in range(2):
        labels.add_all({"t1": [first, correction], "t2": [first]}, within(SECONDS))
    labels.begin_build(6 * HOUR, within(SECONDS))
    labels.add("t1", Verdict(UNKNOWN, 30, "ann"), within(SECONDS))
    told = {
        "t1": (first, Verdict(0, 20, "bob", "it was the user", 5 * HOUR), Verdict(UNKNOWN, 30, "ann", "", 6 * HOUR)),
        "t2": (Verdict(1, 10, "ann", "", 5 * HOUR),),
    }
    assert labels.all(within(SECONDS)) == told
    assert labels.read(["t1", "t2", "t3"], within(SECONDS)) == told


def test_no_build_has_missed_what_was_said_before_builds_were_told_of(resources: Settings, labels: Labels) -> None:
    for id_, hours in (("t1", []), ("t2", [{"N": str(5 * HOUR)}])):
        labels.add_all({id_: [Verdict(1, 10, "ann"), Verdict(0, 20, "bob")]}, within(SECONDS))
        client("dynamodb").update_item(
            TableName=resources.labels_table,
            Key={"transaction_id": {"S": id_}},
            UpdateExpression="SET missed_by = :hours",
            ExpressionAttributeValues={":hours": {"L": hours}},
        )
    told = labels.all(within(SECONDS))
    assert [verdict.missed_by for verdict in told["t1"]] == [NEVER, NEVER]
    assert [verdict.missed_by for verdict in told["t2"]] == [NEVER, 5 * HOUR]


def test_what_is_said_twice_at_once_is_added_once(labels: Labels) -> None:
    """A file with a row twice, or two files with the same."""
    said, withdrawn = Verdict(1, 10, "file"), Verdict(UNKNOWN, 20, "file")
    labels.add_all({"t1": [said, withdrawn, said]}, within(SECONDS))
    assert labels.all(within(SECONDS)) == {"t1": (said, withdrawn)}


def test_the_row_that_tells_of_builds_has_a_key_that_no_transaction_can_have(
    resources: Settings, labels: Labels
) -> None:
    labels.begin_build(5 * HOUR, within(SECONDS))
    (row,) = table_items(resources.labels_table)
    record = json.loads(clean_events(1, users=1)[0][1]) | {"transaction_id": row["transaction_id"]}
    outcome = Validator(load_contract("ecommerce")).validate(record)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "id_malformed"
    labels.add("newest build", Verdict(1, 10, "ann"), within(SECONDS))
    assert labels.all(within(SECONDS)) == {"newest build": (Verdict(1, 10, "ann", "", 5 * HOUR),)}


def test_a_build_of_an_earlier_hour_cannot_begin_after_a_later_one(labels: Labels) -> None:
    assert labels.newest_build(within(SECONDS)) == 0
    for hour in (5, 5, 7):
        labels.begin_build(hour * HOUR, within(SECONDS))
    with pytest.raises(LostRace):
        labels.begin_build(6 * HOUR, within(SECONDS))
    assert labels.newest_build(within(SECONDS)) == 7 * HOUR


def test_verdicts_given_while_builds_begin_are_neither_lost_nor_doubled_nor_missed_by_a_build_they_came_before(
    labels: Labels,
) -> None:
    def give(person: int) -> None:
        for number in range(12):
            labels.add_all({f"t{number % 3}": [Verdict(1, person * 100 + number, f"p{person}")]}, within(SECONDS))

    def seen_by(hour: int) -> dict[str, set[Verdict]]:
        labels.begin_build(hour * HOUR, within(SECONDS))
        told = labels.all(within(SECONDS)).items()
        return {id_: {v for v in verdicts if v.missed_by < hour * HOUR} for id_, verdicts in told}

    with ThreadPoolExecutor(4) as pool:
        people = [pool.submit(give, person) for person in range(3)]
        seen = {hour: pool.submit(seen_by, hour).result() for hour in range(1, 8)}
        for person in people:
            person.result()
    at_last = labels.all(within(SECONDS))
    assert sum(map(len, at_last.values())) == 36
    assert all(len(set(verdicts)) == len(verdicts) for verdicts in at_last.values())
    for hour, verdicts in seen.items():
        known = {id_: {v for v in told if v.missed_by < hour * HOUR} for id_, told in at_last.items()}
        assert {id_: told for id_, told in known.items() if told} == {i: t for i, t in verdicts.items() if t}


def test_a_thousand_verdicts_are_added_in_few_transactions(labels: Labels) -> None:
    labels.add_all({f"t{number}": [Verdict(number % 2, number, "file")] for number in range(1000)}, within(SECONDS))
    assert len(labels.all(within(SECONDS))) == 1000


def test_notes_are_erased_beside_the_row_that_tells_of_builds(resources: Settings, labels: Labels) -> None:
    labels.add("t1", Verdict(1, 10, "ann", "U17 called"), within(SECONDS))
    labels.begin_build(5 * HOUR, within(SECONDS))
    tombstone = Tombstone(keyed_hash(b"key", "user", "U17"), "user", "erased-0", 0)
    erased = Erased(load_contract("ecommerce"), b"key", [tombstone])
    store = LabelRows(DynamoDB(AwsJson("dynamodb")), resources.labels_table)
    assert len(list(store.tells_of("U17"))) == 1
    assert [store.sweep(erased).changed for _ in range(2)] == [1, 0]
    assert list(store.tells_of("U17")) == []
    assert labels.all(within(SECONDS)) == {"t1": (Verdict(1, 10, "ann", "erased-0 called"),)}
    assert labels.newest_build(within(SECONDS)) == 5 * HOUR

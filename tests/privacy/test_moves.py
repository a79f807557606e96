"""Profiles under a pseudonym: whatever a move is cut off at or comes beside, what was counted is there once."""

from collections.abc import Mapping
from typing import Any

import pytest

from fraudline.adapters.aws.backoff import Deadline, within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.erasure.profiles import ProfileRows
from fraudline.contract import load_contract
from fraudline.durations import HOUR
from fraudline.erasure.people import Erased, Tombstone, keyed_hash
from fraudline.errors import LostRace
from fraudline.profiles import built_position
from fraudline.settings import Settings
from fraudline.stream import position_of
from tests.stream.storage import table_items

KEY = b"for tests: forty-eight characters nobody can guess"
OLD, NEW = "user#U1#0f3a", "user#erased-1#0f3a"
ERASED = Erased(load_contract("ecommerce"), KEY, [Tombstone(keyed_hash(KEY, "user", "U1"), "user", "erased-1", 0)])


class Died(Exception):
    """The end of whoever was at work."""


class CutOff(DynamoDB):
    """Dies as it is about to do an operation."""

    def __init__(self, operation: str) -> None:
        super().__init__(AwsJson("dynamodb"))
        self._operation = operation

    def single(self, operation: str, table: str, body: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        if operation == self._operation:
            raise Died
        return super().single(operation, table, body, deadline)


@pytest.fixture
def dynamodb(resources: Settings) -> DynamoDB:
    return DynamoDB(AwsJson("dynamodb"))


@pytest.fixture
def table(resources: Settings) -> str:
    return resources.profiles_table


def put(dynamodb: DynamoDB, table: str, key: str, position: str) -> None:
    row = {"entity": {"S": key}, "position": {"S": position}, "history": {"B": b"history"}}
    dynamodb.write(table, [row], within(10))


def held(table: str) -> dict[str, str]:
    return {item["entity"]: item["position"] for item in table_items(table)}


@pytest.mark.parametrize("operation", ["PutItem", "DeleteItem"])
def test_a_move_that_is_cut_off_loses_nothing_and_the_next_one_ends_it(
    dynamodb: DynamoDB, table: str, operation: str
) -> None:
    put(dynamodb, table, OLD, "1#s")
    with pytest.raises(Died):
        ProfileRows(CutOff(operation), table).sweep(ERASED)
    assert set(held(table).values()) == {"1#s"}
    assert ProfileRows(dynamodb, table).sweep(ERASED).changed == 1
    assert held(table) == {NEW: "1#s"}
    assert ProfileRows(dynamodb, table).sweep(ERASED).changed == 0


@pytest.mark.parametrize(
    ("there", "comes", "stays"),
    [
        (position_of("1", "s"), position_of("2", "s"), position_of("1", "s")),
        (built_position(HOUR), built_position(2 * HOUR), built_position(2 * HOUR)),
        (built_position(2 * HOUR), built_position(HOUR), built_position(2 * HOUR)),
    ],
    ids=["the stream's under the id is never whole", "a build of a later hour", "a build of an earlier hour"],
)
def test_what_comes_under_the_id_takes_the_pseudonyms_place_only_if_it_is_a_later_build(
    dynamodb: DynamoDB, table: str, there: str, comes: str, stays: str
) -> None:
    put(dynamodb, table, NEW, there)
    put(dynamodb, table, OLD, comes)
    ProfileRows(dynamodb, table).sweep(ERASED)
    assert held(table) == {NEW: stays}


@pytest.mark.parametrize("read", ["1#s", ""], ids=["a profile", "none"])
def test_a_profile_that_counts_more_before_it_is_renamed_is_read_again(
    dynamodb: DynamoDB, table: str, read: str
) -> None:
    if read:
        put(dynamodb, table, OLD, read)
    writes, renamed = ProfileRows(dynamodb, table).renames({OLD: NEW})
    assert renamed == (1 if read else 0)
    put(dynamodb, table, OLD, "2#s")
    with pytest.raises(LostRace):
        dynamodb.transact(writes, within(10))
    assert held(table) == {OLD: "2#s"}
    writes, _ = ProfileRows(dynamodb, table).renames({OLD: NEW})
    dynamodb.transact(writes, within(10))
    assert held(table) == {NEW: "2#s"}

"""Erasure in the profiles table: an erased person's profiles go on under the pseudonym."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.erasure.rows import Row, call_deadline, rows_with
from fraudline.adapters.erasure.stores import Swept
from fraudline.erasure.people import Erased
from fraudline.errors import LostRace
from fraudline.profiles import GENERATIONS, generation_in, is_built, profile_key

Write = dict[str, Any]


class ProfileRows:
    """The profiles table as a store to sweep."""

    def __init__(self, dynamodb: DynamoDB, table: str) -> None:
        self.name = f"table {table}"
        self._dynamodb = dynamodb
        self._table = table

    def sweep(self, erased: Erased) -> Swept:
        """What the stream has left, or brought back: profiles that `move` did not meet."""
        moved = [self._move(row, erased) for row in list(self._rows())]
        return Swept(sum(moved))

    def keys_of(self, entity: str, id_: str) -> set[str]:
        """The keys of a person's profiles, of whatever generation."""
        keys = (row["entity"]["S"] for row in self._rows())
        return {key for key in keys if key == profile_key(entity, id_, generation_in(key))}

    def generations(self) -> str:
        """The names of those that somebody has begun to build, as they are told."""
        row = self._row(GENERATIONS)
        return str(row["names"]["S"]) if row else ""

    def still(self, generations: str) -> Write:
        """The write of a transaction that fails if a build of another one has begun since they were read."""
        key, name = {"entity": {"S": GENERATIONS}}, {"#names": "names"}
        if not generations:
            condition = {"ConditionExpression": "attribute_not_exists(#names)", "ExpressionAttributeNames": name}
            return {"Delete": {"TableName": self._table, "Key": key, **condition}}
        read = {"S": generations}
        put = self._put({**key, "names": read})["Put"]
        return {
            "Put": {
                **put,
                "ConditionExpression": "#names = :read",
                "ExpressionAttributeNames": name,
                "ExpressionAttributeValues": {":read": read},
            }
        }

    def move(self, key: str, erased: Erased) -> int:
        """Rename one profile, if there is one; nobody else may be at work on it."""
        row = self._row(key)
        return self._move(row, erased) if row else 0

    def renames(self, keys: Mapping[str, str]) -> tuple[list[Write], int]:
        """The writes of a transaction that gives profiles their new keys, and how many there are.

        It fails if one has counted more, or begun, since it was read.
        """
        rows = {old: self._row(old) for old in keys}
        there = {old: row for old, row in rows.items() if row}
        copies = [self._put({**row, "entity": {"S": keys[old]}}) for old, row in there.items()]
        return [*(self._removal(old, row) for old, row in rows.items()), *copies], len(there)

    def tells_of(self, id_: str) -> Iterator[str]:
        return rows_with(self._rows(), id_, self.name)

    def _move(self, row: Row, erased: Erased) -> int:
        """The copy first: cut off in between, the next try finds both and removes the old one."""
        key = row["entity"]["S"]
        if (renamed := erased.key(key)) == key:
            return 0
        copy = {"Item": {**row, "entity": {"S": renamed}}, **_unless_newer(row)}
        # A copy that is there is an earlier try's, and may have counted more since.
        with suppress(LostRace):
            self._dynamodb.single("PutItem", self._table, copy, call_deadline())
        self._dynamodb.single("DeleteItem", self._table, {"Key": {"entity": {"S": key}}}, call_deadline())
        return 1

    def _put(self, row: Row) -> Write:
        return {"Put": {"TableName": self._table, "Item": row}}

    def _removal(self, key: str, row: Row | None) -> Write:
        names = {"#is": "position" if row else "entity"}
        body = {"TableName": self._table, "Key": {"entity": {"S": key}}, "ExpressionAttributeNames": names}
        if row is None:
            return {"Delete": {**body, "ConditionExpression": "attribute_not_exists(#is)"}}
        read = {":read": row["position"]}
        return {"Delete": {**body, "ConditionExpression": "#is = :read", "ExpressionAttributeValues": read}}

    def _row(self, key: str) -> Row | None:
        body = {"Key": {"entity": {"S": key}}, "ConsistentRead": True}
        return self._dynamodb.single("GetItem", self._table, body, call_deadline()).get("Item")

    def _rows(self) -> Iterator[Row]:
        return self._dynamodb.scan(self._table, call_deadline)


def _unless_newer(row: Row) -> dict[str, Any]:
    """The condition to take a pseudonym's place: nobody has it, or what an earlier build than this row's made of it.

    A build that was under way when somebody was erased writes a whole history under the id. What the stream writes
    under an id is never whole by then.
    """
    names, position = {"#key": "entity"}, row.get("position")
    if position is None or not is_built(position["S"]):
        return {"ConditionExpression": "attribute_not_exists(#key)", "ExpressionAttributeNames": names}
    return {
        "ConditionExpression": "attribute_not_exists(#key) OR #position < :position",
        "ExpressionAttributeNames": {**names, "#position": "position"},
        "ExpressionAttributeValues": {":position": position},
    }

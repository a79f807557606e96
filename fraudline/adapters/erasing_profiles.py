"""Erasure in the profiles table: an erased person's profiles go on under the pseudonym."""

from collections.abc import Iterator
from contextlib import suppress

from fraudline.adapters.dynamodb import DynamoDB
from fraudline.adapters.erasing import Swept
from fraudline.adapters.erasing_rows import Row, call_deadline, rows_with
from fraudline.erasure import Erased
from fraudline.errors import LostRace


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

    def move(self, key: str, erased: Erased) -> int:
        """Rename one profile, if there is one; nobody else may be at work on it."""
        body = {"Key": {"entity": {"S": key}}, "ConsistentRead": True}
        answer = self._dynamodb.single("GetItem", self._table, body, call_deadline())
        return self._move(answer["Item"], erased) if "Item" in answer else 0

    def tells_of(self, id_: str) -> Iterator[str]:
        return rows_with(self._rows(), id_, self.name)

    def _move(self, row: Row, erased: Erased) -> int:
        """The copy first: cut off in between, the next try finds both and removes the old one."""
        key = row["entity"]["S"]
        if (renamed := erased.key(key)) == key:
            return 0
        copy = {
            "Item": {**row, "entity": {"S": renamed}},
            "ConditionExpression": "attribute_not_exists(#key)",
            "ExpressionAttributeNames": {"#key": "entity"},
        }
        # A copy that is there is an earlier try's, and may have counted more since.
        with suppress(LostRace):
            self._dynamodb.single("PutItem", self._table, copy, call_deadline())
        self._dynamodb.single("DeleteItem", self._table, {"Key": {"entity": {"S": key}}}, call_deadline())
        return 1

    def _rows(self) -> Iterator[Row]:
        return self._dynamodb.scan(self._table, call_deadline)

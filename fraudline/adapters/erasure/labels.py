"""Erasure in the label store: rows go by transactions, but people write notes."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.erasure.rows import Row, call_deadline, rows_with
from fraudline.adapters.erasure.stores import Swept
from fraudline.erasure.people import Erased
from fraudline.errors import LostRace


class LabelRows:
    """The label store as a store to sweep; a row that gets a verdict meanwhile is left to the next sweep."""

    def __init__(self, dynamodb: DynamoDB, table: str) -> None:
        self.name = f"table {table}"
        self._dynamodb = dynamodb
        self._table = table

    def sweep(self, erased: Erased) -> Swept:
        changed = 0
        for row in self._rows():
            # The row that tells of builds has none.
            verdicts = erased.value(row.get("verdicts"))
            if verdicts != row.get("verdicts"):
                self._replace(row, verdicts)
                changed += 1
        return Swept(changed)

    def tells_of(self, id_: str) -> Iterator[str]:
        return rows_with(self._rows(), id_, self.name)

    def _replace(self, row: Row, verdicts: dict[str, Any]) -> None:
        body = {
            "Key": {"transaction_id": row["transaction_id"]},
            "UpdateExpression": "SET verdicts = :new",
            "ConditionExpression": "verdicts = :old",
            "ExpressionAttributeValues": {":new": verdicts, ":old": row["verdicts"]},
        }
        with suppress(LostRace):
            self._dynamodb.single("UpdateItem", self._table, body, call_deadline())

    def _rows(self) -> Iterator[Row]:
        return self._dynamodb.scan(self._table, call_deadline)

"""The label store in DynamoDB: a row for each reviewed transaction, its verdicts in the order they were given."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from fraudline.adapters.backoff import Deadline
from fraudline.adapters.dynamodb import DynamoDB, Wanted
from fraudline.clock import format_micros, parse_timestamp
from fraudline.decision import Item
from fraudline.errors import LostRace
from fraudline.labels import Verdict


class Labels:
    """Adds and reads verdicts; nothing is overwritten, for a retrain as of yesterday must find what was known then."""

    def __init__(self, dynamodb: DynamoDB, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def add(self, transaction_id: str, verdict: Verdict, deadline: Deadline) -> None:
        """Append a verdict, once however often it is tried."""
        body = {
            "Key": {"transaction_id": {"S": transaction_id}},
            "UpdateExpression": "SET verdicts = list_append(if_not_exists(verdicts, :none), :new)",
            "ConditionExpression": "NOT contains(verdicts, :it)",
            "ExpressionAttributeValues": {
                ":none": {"L": []},
                ":new": {"L": [_item(verdict)]},
                ":it": _item(verdict),
            },
        }
        # A lost condition means that an earlier try, whose answer got lost, has added it.
        with suppress(LostRace):
            self._dynamodb.single("UpdateItem", self._table, body, deadline)

    def read(self, transaction_ids: Iterable[str], deadline: Deadline) -> dict[str, tuple[Verdict, ...]]:
        """The verdicts on these transactions, by id, as far as there are any."""
        keys: list[Item] = [{"transaction_id": {"S": id_}} for id_ in dict.fromkeys(transaction_ids)]
        rows = self._dynamodb.read([Wanted(self._table, keys)], deadline)[self._table]
        return dict(map(_verdicts, rows))

    def all(self, deadline: Deadline) -> dict[str, tuple[Verdict, ...]]:
        """Every verdict there is, by transaction id."""
        found: dict[str, tuple[Verdict, ...]] = {}
        body: dict[str, Any] = {"ConsistentRead": True}
        while True:
            answer = self._dynamodb.single("Scan", self._table, body, deadline)
            found |= dict(map(_verdicts, answer["Items"]))
            if "LastEvaluatedKey" not in answer:
                return found
            body["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _item(verdict: Verdict) -> dict[str, Any]:
    return {
        "M": {
            "label": {"N": str(verdict.label)},
            "known_at": {"S": format_micros(verdict.known_at)},
            "by": {"S": verdict.by},
            "note": {"S": verdict.note},
        }
    }


def _verdicts(row: dict[str, Any]) -> tuple[str, tuple[Verdict, ...]]:
    told = [verdict["M"] for verdict in row["verdicts"]["L"]]
    return row["transaction_id"]["S"], tuple(
        Verdict(int(v["label"]["N"]), parse_timestamp(v["known_at"]["S"], "UTC"), v["by"]["S"], v["note"]["S"])
        for v in told
    )

"""The two DynamoDB calls of the function: many items read in one, an item put if there is none of its key."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from fraudline.adapters.aws.backoff import Deadline, attempts
from fraudline.decision import Item
from fraudline.realtime.aws import Refused, Service

READ_KEYS = 100
_PREFIX = "DynamoDB_20120810."
_CONTENT_TYPE = "application/x-amz-json-1.0"
_CONDITION_FAILED = b"ConditionalCheckFailedException"
_WORTH_ANOTHER_TRY = (
    b"ProvisionedThroughputExceededException",
    b"ThrottlingException",
    b"RequestLimitExceeded",
    b"InternalServerError",
)


class Wanted(NamedTuple):
    """An item to read."""

    table: str
    key: Item


class _Answer(msgspec.Struct):
    responses: dict[str, list[dict[str, Any]]] = msgspec.field(name="Responses")
    unprocessed: dict[str, dict[str, Any]] = msgspec.field(name="UnprocessedKeys", default={})


class DynamoDB:
    """Calls that give up at a moment of the monotonic clock."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def connect(self) -> None:
        self._service.connect()

    def read(self, wanted: Sequence[Wanted], deadline: float) -> dict[str, list[dict[str, Any]]]:
        """The items that exist, by table, strongly consistent; binary values come as base64 text."""
        found: dict[str, list[dict[str, Any]]] = {item.table: [] for item in wanted}
        for start in range(0, len(wanted), READ_KEYS):
            left = _request(wanted[start : start + READ_KEYS])
            for _ in attempts("dynamodb", Deadline(deadline)):
                answer = msgspec.json.decode(self._call("BatchGetItem", {"RequestItems": left}, deadline), type=_Answer)
                for table, items in answer.responses.items():
                    found[table] += items
                left = answer.unprocessed
                if not left:
                    break
        return found

    def put_if_absent(self, table: str, item: Item, key: str, deadline: float) -> bool:
        """Create an item; False if there is one. `key` names an attribute of the table's key."""
        body = {
            "TableName": table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(#key)",
            "ExpressionAttributeNames": {"#key": key},
        }
        try:
            self._call("PutItem", body, deadline)
        except Refused as refused:
            if _CONDITION_FAILED in refused.body:
                return False
            raise
        return True

    def _call(self, operation: str, body: Mapping[str, Any], deadline: float) -> bytes:
        data = msgspec.json.encode(body)
        headers = {"content-type": _CONTENT_TYPE, "x-amz-target": _PREFIX + operation}
        for _ in attempts("dynamodb", Deadline(deadline)):
            try:
                return self._service.send("POST", headers=headers, body=data)
            except Refused as refused:
                if refused.status < 500 and not any(code in refused.body for code in _WORTH_ANOTHER_TRY):
                    raise
        raise AssertionError("attempts end by an answer or by Unavailable")


def _request(wanted: Sequence[Wanted]) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    for table, key in wanted:
        tables.setdefault(table, {"ConsistentRead": True, "Keys": []})["Keys"].append(key)
    return tables

"""DynamoDB in batches: many keys read, many items written, many items written each on a condition.

A 200 is not success: what DynamoDB leaves unprocessed is asked for again, alone, until the deadline.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import ClientError

from fraudline.adapters.aws.backoff import Deadline, attempts
from fraudline.adapters.aws.errors import error_code, explained
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.decision import Item
from fraudline.errors import LostRace, Unavailable

READ_KEYS = 100
WRITE_ITEMS = 25
_LOST = frozenset({"ConditionalCheckFailed", "DuplicateItem"})
_TRY_AGAIN = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ThrottlingError",
        "RequestLimitExceeded",
        "InternalServerError",
        "TransactionConflict",
    }
)
_CONDITIONS = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})


class Wanted(NamedTuple):
    """Keys of one table, none twice, and which attributes to bring (all, if none is named)."""

    table: str
    keys: Sequence[Item]
    attributes: tuple[str, ...] = ()


class Statement(NamedTuple):
    """A PartiQL write and its parameters."""

    text: str
    parameters: Sequence[Mapping[str, Any]]


class DynamoDB:
    """The batch operations, conditional writes of single rows, and reads of many pages; safe for many threads."""

    def __init__(self, service: AwsJson) -> None:
        self._service = service

    def read(self, wanted: Sequence[Wanted], deadline: Deadline) -> dict[str, list[dict[str, Any]]]:
        """The items that exist, by table, strongly consistent; binary values come as base64 text."""
        found: dict[str, list[dict[str, Any]]] = {w.table: [] for w in wanted}
        projections = {w.table: _projection(w.attributes) for w in wanted}
        keys = [(w.table, key) for w in wanted for key in w.keys]
        for chunk in _chunks(keys, READ_KEYS):
            pending = list(chunk)
            for _ in attempts("DynamoDB", deadline):
                answer = self._call("BatchGetItem", {"RequestItems": _request(pending, projections)}, deadline)
                for table, items in answer["Responses"].items():
                    found[table] += items
                left = answer.get("UnprocessedKeys") or {}
                pending = [(table, key) for table, rest in left.items() for key in rest["Keys"]]
                if not pending:
                    break
        return found

    def write(self, table: str, items: Iterable[Item | msgspec.Raw], deadline: Deadline) -> None:
        """Put items, or the JSON of items, whatever is there; no two of them may have the same key."""
        for chunk in _chunks(list(items), WRITE_ITEMS):
            pending: Any = [{"PutRequest": {"Item": item}} for item in chunk]
            for _ in attempts(f"table {table!r}", deadline):
                answer = self._call("BatchWriteItem", {"RequestItems": {table: pending}}, deadline)
                pending = (answer.get("UnprocessedItems") or {}).get(table)
                if not pending:
                    break

    def write_if(self, statements: Sequence[Statement], deadline: Deadline) -> None:
        """Run writes that carry their conditions; `LostRace` if any condition fails, the others may have been done."""
        for chunk in _chunks(statements, WRITE_ITEMS):
            pending = list(chunk)
            for _ in attempts("DynamoDB", deadline):
                body = [{"Statement": s.text, "Parameters": s.parameters} for s in pending]
                answer = self._call("BatchExecuteStatement", {"Statements": body}, deadline)
                pending = list(_unfinished(pending, answer["Responses"]))
                if not pending:
                    break

    def transact(self, items: Sequence[Mapping[str, Any]], deadline: Deadline) -> None:
        """Do all writes or none; `LostRace` if a condition fails, or another transaction works on one of the rows."""
        self._call("TransactWriteItems", {"TransactItems": items}, deadline)

    def single(self, operation: str, table: str, body: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        """PutItem, UpdateItem, DeleteItem, GetItem or one page of a Query; `LostRace` if its condition fails."""
        return self._call(operation, {"TableName": table, **body}, deadline, f"table {table!r}")

    def query(self, table: str, body: Mapping[str, Any], deadline: Callable[[], Deadline]) -> Iterator[dict[str, Any]]:
        """All items of a query, page by page; `deadline` gives each page its own."""
        return self._pages("Query", table, body, deadline)

    def scan(self, table: str, deadline: Callable[[], Deadline]) -> Iterator[dict[str, Any]]:
        """All items of a table, strongly consistent, page by page; `deadline` gives each page its own."""
        return self._pages("Scan", table, {"ConsistentRead": True}, deadline)

    def _pages(
        self, operation: str, table: str, body: Mapping[str, Any], deadline: Callable[[], Deadline]
    ) -> Iterator[dict[str, Any]]:
        while True:
            answer = self.single(operation, table, body, deadline())
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            body = {**body, "ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _call(
        self, operation: str, body: Mapping[str, Any], deadline: Deadline, thing: str = "DynamoDB"
    ) -> dict[str, Any]:
        with explained(thing):
            try:
                answer = self._service.call(operation, body, thing, deadline)
            except ClientError as error:
                if error_code(error) in _CONDITIONS:
                    raise LostRace(f"another writer was first in {thing}: read again") from error
                raise
        return msgspec.json.decode(answer, type=dict[str, Any])


def _unfinished(statements: Sequence[Statement], answers: Sequence[dict[str, Any]]) -> Iterator[Statement]:
    """The statements to run again; answers come in the statements' order."""
    for statement, answer in zip(statements, answers, strict=True):
        error = answer.get("Error")
        if not error:
            continue
        if error["Code"] in _LOST:
            raise LostRace("another writer moved a row since it was read: read again")
        if error["Code"] not in _TRY_AGAIN:
            raise Unavailable(f"DynamoDB refused a write: {error['Code']} {error.get('Message', '')}")
        yield statement


def _projection(attributes: tuple[str, ...]) -> dict[str, Any]:
    if not attributes:
        return {}
    names = {f"#{index}": name for index, name in enumerate(attributes)}
    return {"ProjectionExpression": ",".join(names), "ExpressionAttributeNames": names}


def _request(
    keys: Sequence[tuple[str, Item]], projections: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    request: dict[str, dict[str, Any]] = {}
    for table, key in keys:
        wanted = request.setdefault(table, {"Keys": [], "ConsistentRead": True, **projections[table]})
        wanted["Keys"].append(key)
    return request


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]

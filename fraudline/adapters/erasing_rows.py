"""What the erasure of all tables has in common: walking through rows, and looking for an id in them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fraudline.erasure import found_in

CALL_SECONDS = 60.0
Row = dict[str, Any]


def all_rows(scan: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[Row]:
    """Every row of a table, page by page, in DynamoDB's own JSON."""
    body: dict[str, Any] = {"ConsistentRead": True}
    while True:
        answer = scan(body)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        body["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def rows_with(rows: Iterable[Row], id_: str, table: str) -> Iterator[str]:
    """Which rows hold an id, told without it."""
    for row in rows:
        if any(found_in(text, id_) for text in _texts(row)):
            yield f"a row of {table} with {', '.join(sorted(row))}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value

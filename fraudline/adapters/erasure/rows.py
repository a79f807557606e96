"""What the erasure of all tables has in common: the time of a call, and looking for an id in them."""

from collections.abc import Iterable, Iterator
from typing import Any

from fraudline.adapters.aws.backoff import Deadline, within
from fraudline.erasure.people import found_in

_CALL_SECONDS = 60.0
Row = dict[str, Any]


def call_deadline() -> Deadline:
    """That of one call that begins now: a whole table may take long."""
    return within(_CALL_SECONDS)


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

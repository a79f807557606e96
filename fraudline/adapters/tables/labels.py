"""The label store in DynamoDB: a row for each reviewed transaction, its verdicts in the order they were given.

One row more tells which build of lagged entities reads the store, or was the last to: each verdict is written together
with that build's hour, in one transaction that fails if a newer build has begun. So a build knows every verdict of the
hours before its own, and none of its own: which of those it would have found is no matter.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fraudline.adapters.aws.backoff import Deadline, attempts
from fraudline.adapters.aws.dynamodb import DynamoDB, Wanted
from fraudline.builds import NEVER
from fraudline.clock import format_micros, parse_timestamp
from fraudline.decision import Item
from fraudline.errors import LostRace
from fraudline.labels import Verdict

# No transaction is called so: ids are printable.
_NEWEST_BUILD: Item = {"transaction_id": {"S": "\nnewest build"}}
# What a DynamoDB transaction takes, less the row of the build.
_ROWS_AT_ONCE = 99

Verdicts = Mapping[str, Sequence[Verdict]]


class Labels:
    """Adds and reads verdicts; nothing is overwritten, for a retrain as of yesterday must find what was known then."""

    def __init__(self, dynamodb: DynamoDB, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def add(self, transaction_id: str, verdict: Verdict, deadline: Deadline) -> None:
        """Append a verdict, once however often it is tried."""
        self.add_all({transaction_id: [verdict]}, deadline)

    def add_all(self, verdicts: Verdicts, deadline: Deadline) -> None:
        """Append verdicts by transaction id, each once however often it is tried, whatever `missed_by` they have."""
        ids = list(verdicts)
        for begin in range(0, len(ids), _ROWS_AT_ONCE):
            some = {id_: verdicts[id_] for id_ in ids[begin : begin + _ROWS_AT_ONCE]}
            for _ in attempts("the label store", deadline):
                if self._is_added(some, deadline):
                    break

    def read(self, transaction_ids: Iterable[str], deadline: Deadline) -> dict[str, tuple[Verdict, ...]]:
        """The verdicts on these transactions, by id, as far as there are any."""
        rows = self._rows([{"transaction_id": {"S": id_}} for id_ in dict.fromkeys(transaction_ids)], deadline)
        return {id_: _verdicts(row) for id_, row in rows.items()}

    def all(self, deadline: Deadline) -> dict[str, tuple[Verdict, ...]]:
        """Every verdict there is, by transaction id."""
        return dict(self.each(deadline))

    def each(self, deadline: Deadline) -> Iterator[tuple[str, tuple[Verdict, ...]]]:
        """The same, one transaction after the other."""
        rows = self._dynamodb.scan(self._table, lambda: deadline)
        return ((_id(row), _verdicts(row)) for row in rows if "verdicts" in row)

    def begin_build(self, through: int, deadline: Deadline) -> None:
        """Say that a build up to this hour is about to read; `LostRace` if one up to a later hour has begun."""
        body = {
            "Key": _NEWEST_BUILD,
            "UpdateExpression": "SET through = :through",
            "ConditionExpression": "attribute_not_exists(through) OR through <= :through",
            "ExpressionAttributeValues": {":through": {"N": str(through)}},
        }
        try:
            self._dynamodb.single("UpdateItem", self._table, body, deadline)
        except LostRace as lost:
            raise LostRace(
                f"a build up to a later hour than {format_micros(through)} has begun: leave it to that one"
            ) from lost

    def newest_build(self, deadline: Deadline) -> int:
        """The hour of the newest build that has begun (`NEVER`: none has)."""
        return _through(self._rows([_NEWEST_BUILD], deadline))

    def _is_added(self, verdicts: Verdicts, deadline: Deadline) -> bool:
        """Append what the rows lack; False if a build has begun meanwhile, or somebody else has moved a row."""
        rows = self._rows([_NEWEST_BUILD, *({"transaction_id": {"S": id_}} for id_ in verdicts)], deadline)
        built = _through(rows)
        updates = [
            update
            for id_, given in verdicts.items()
            if (update := _appended(id_, given, rows.get(id_, {}), built)) is not None
        ]
        if not updates:
            return True
        check = {"Key": _NEWEST_BUILD, **_is_still("through", None if built == NEVER else {"N": str(built)})}
        items = [{"ConditionCheck": check}, *({"Update": update} for update in updates)]
        for item in items:
            next(iter(item.values()))["TableName"] = self._table
        try:
            self._dynamodb.transact(items, deadline)
        except LostRace:
            return False
        return True

    def _rows(self, keys: Sequence[Item], deadline: Deadline) -> dict[str, dict[str, Any]]:
        return {_id(row): row for row in self._dynamodb.read([Wanted(self._table, keys)], deadline)[self._table]}


def _appended(id_: str, given: Sequence[Verdict], row: Mapping[str, Any], built: int) -> dict[str, Any] | None:
    """The row with the verdicts it lacks, if it is still as it was read; None if it lacks none."""
    there, new = row.get("verdicts", {"L": []})["L"], []
    for item in map(_item, given):
        if item not in there and item not in new:
            new.append(item)
    if not new:
        return None
    missed_by = [*({"N": str(verdict.missed_by)} for verdict in _verdicts(row)), *[{"N": str(built)}] * len(new)]
    condition = _is_still("verdicts", row.get("verdicts"))
    values = {":verdicts": {"L": [*there, *new]}, ":missed_by": {"L": missed_by}}
    return {
        "Key": {"transaction_id": {"S": id_}},
        "UpdateExpression": "SET verdicts = :verdicts, missed_by = :missed_by",
        **condition,
        "ExpressionAttributeValues": values | condition.get("ExpressionAttributeValues", {}),
    }


def _is_still(attribute: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    """The condition that an attribute has this value (None: does not exist)."""
    if value is None:
        return {"ConditionExpression": f"attribute_not_exists({attribute})"}
    return {"ConditionExpression": f"{attribute} = :read", "ExpressionAttributeValues": {":read": value}}


def _id(row: Mapping[str, Any]) -> str:
    id_: str = row["transaction_id"]["S"]
    return id_


def _through(rows: Mapping[str, Mapping[str, Any]]) -> int:
    row = rows.get(_NEWEST_BUILD["transaction_id"]["S"])
    return int(row["through"]["N"]) if row else NEVER


def _item(verdict: Verdict) -> dict[str, Any]:
    return {
        "M": {
            "label": {"N": str(verdict.label)},
            "known_at": {"S": format_micros(verdict.known_at)},
            "by": {"S": verdict.by},
            "note": {"S": verdict.note},
        }
    }


def _verdicts(row: Mapping[str, Any]) -> tuple[Verdict, ...]:
    told = [verdict["M"] for verdict in row.get("verdicts", {"L": []})["L"]]
    hours = [int(hour["N"]) for hour in row.get("missed_by", {"L": []})["L"]]
    # Rows from before builds were told of lack the first ones.
    missed_by = [NEVER] * (len(told) - len(hours)) + hours
    return tuple(
        Verdict(int(v["label"]["N"]), parse_timestamp(v["known_at"]["S"], "UTC"), v["by"]["S"], v["note"]["S"], missed)
        for v, missed in zip(told, missed_by, strict=True)
    )

"""Decisions and alert rows in DynamoDB: keyed, so that writing them again changes nothing."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from fraudline.adapters.aws.backoff import Deadline
from fraudline.adapters.aws.dynamodb import DynamoDB, Wanted
from fraudline.contract import Contract
from fraudline.decision import NOTIFIED, STREAM, Decision, Item, alert_item, decision_from, decision_item, expiry


class Decisions:
    """The rows of one contract. `keep_days` sets when DynamoDB may forget them (None: never)."""

    def __init__(self, dynamodb: DynamoDB, table: str, contract: Contract, keep_days: int | None = None) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._contract = contract
        self._entity_names = tuple(entity.name for entity in contract.entities)
        self._keep_days = keep_days

    def write(self, decisions: Sequence[Decision], deadline: Deadline) -> None:
        """Write decisions, and for flagged ones of the stream the alert row."""
        items = [decision_item(d, self.expires_at(d.scored_at)) for d in decisions]
        items += [
            alert_item(d, self._contract.amount.minor_units, self.expires_at(d.scored_at))
            for d in decisions
            if d.is_fraud and d.origin == STREAM
        ]
        self.write_items(items, deadline)

    def write_items(self, items: Sequence[Item | msgspec.Raw], deadline: Deadline) -> None:
        """Write rows that are ready, or their JSON; no two of them may have the same key."""
        self._dynamodb.write(self._table, items, deadline)

    def read(self, transaction_ids: Iterable[str], deadline: Deadline, origin: str = STREAM) -> dict[str, Decision]:
        """The decisions of these transactions on one path, by id, as far as there are any."""
        return {
            item["transaction_id"]["S"]: decision_from(with_bytes(item), self._entity_names)
            for item in self._rows(transaction_ids, origin, deadline)
        }

    def unsent(self, transaction_ids: Sequence[str], deadline: Deadline) -> list[str]:
        """Those of flagged transactions whose notification is not marked as sent, in their order."""
        sent = {row["transaction_id"]["S"] for row in self._rows(transaction_ids, NOTIFIED, deadline)}
        return [id_ for id_ in transaction_ids if id_ not in sent]

    def mark_sent(self, transaction_ids: Iterable[str], scored_at: int, deadline: Deadline) -> None:
        """Remember that these were notified; in a row of its own, so that no rewrite of an alert forgets it."""
        expires_at = self.expires_at(scored_at)
        expiry = {} if expires_at is None else {"expires_at": {"N": str(expires_at)}}
        items: list[Item] = [
            {"transaction_id": {"S": id_}, "origin": {"S": NOTIFIED}, **expiry} for id_ in transaction_ids
        ]
        self._dynamodb.write(self._table, items, deadline)

    def expires_at(self, scored_at: int) -> int | None:
        """When DynamoDB may forget what was scored then (epoch seconds)."""
        return expiry(scored_at, self._keep_days)

    def _rows(self, transaction_ids: Iterable[str], origin: str, deadline: Deadline) -> list[dict[str, Any]]:
        keys: list[Item] = [
            {"transaction_id": {"S": id_}, "origin": {"S": origin}} for id_ in dict.fromkeys(transaction_ids)
        ]
        return self._dynamodb.read([Wanted(self._table, keys)], deadline)[self._table]


def with_bytes(item: dict[str, Any]) -> dict[str, Any]:
    """Binary values, which JSON carries as base64, as bytes."""
    binary = {name: {"B": base64.b64decode(item[name]["B"])} for name in ("features", "digest")}
    return {**item, **binary}

"""Tombstones of erased people in DynamoDB: a row for each, under the person's keyed hash."""

import hmac
import secrets
from typing import Any

from fraudline.adapters.aws.backoff import Deadline, within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.clock import now_micros
from fraudline.clock import format_micros, parse_timestamp
from fraudline.contract import Contract
from fraudline.erasure.people import PREFIX, Erased, Tombstone, keyed_hash, nobody
from fraudline.errors import BadInput, NotReady
from fraudline.settings import ERASURE_KEY, Settings, erasure_key, load_settings

# A row beside the tombstones that only the right key can have made.
_CHECK = "#key"
READ_SECONDS = 30.0


class Tombstones:
    """The rows of one deployment. None is ever removed: without it, an old file would bring the id back."""

    def __init__(self, dynamodb: DynamoDB, table: str, key: bytes | None) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._key = key

    def of(self, entity: str, id_: str, deadline: Deadline) -> Tombstone | None:
        """The person's tombstone, if there is one."""
        rows = self._rows(deadline)
        person = keyed_hash(self._checked_key(rows, deadline), entity, id_)
        return next((_tombstone(row) for row in rows if row["person"]["S"] == person), None)

    def new(self, entity: str, id_: str, deadline: Deadline) -> Tombstone:
        """One that is still to be written, with a random pseudonym."""
        key = self._checked_key(self._rows(deadline), deadline)
        return Tombstone(keyed_hash(key, entity, id_), entity, PREFIX + secrets.token_hex(16), now_micros())

    def write(self, tombstone: Tombstone) -> dict[str, Any]:
        """The write of a transaction that sets a tombstone where there is none."""
        return {"Put": {"TableName": self._table, **_if_new(_item(tombstone))}}

    def erased(self, contract: Contract, deadline: Deadline, known: tuple[tuple[str, str], ...] = ()) -> Erased:
        """Everybody who is erased; `NotReady` if there is somebody and no key to know them by."""
        rows = self._rows(deadline)
        tombstones = [_tombstone(row) for row in rows if row["person"]["S"] != _CHECK]
        return (
            Erased(contract, self._checked_key(rows, deadline), tombstones, known) if tombstones else nobody(contract)
        )

    def _checked_key(self, rows: list[dict[str, Any]], deadline: Deadline) -> bytes:
        """The key, if it is the one that the rows were made with; the first one is remembered by what it makes."""
        if self._key is None:
            raise NotReady(f"people are to be erased and there is no key: set {ERASURE_KEY} (docs/runbook.md)")
        check = keyed_hash(self._key, _CHECK, "")
        found = next((row["check"]["S"] for row in rows if row["person"]["S"] == _CHECK), None)
        if found is None:
            self._put({"person": {"S": _CHECK}, "check": {"S": check}}, deadline)
        elif not hmac.compare_digest(found, check):
            raise BadInput(f"{ERASURE_KEY} is not the key that people were erased with here: set that one")
        return self._key

    def _put(self, item: dict[str, Any], deadline: Deadline) -> None:
        self._dynamodb.single("PutItem", self._table, _if_new(item), deadline)

    def _rows(self, deadline: Deadline) -> list[dict[str, Any]]:
        return list(self._dynamodb.scan(self._table, lambda: deadline))


def _if_new(item: dict[str, Any]) -> dict[str, Any]:
    return {"Item": item, "ConditionExpression": "attribute_not_exists(person)"}


def erased_people(settings: Settings, contract: Contract) -> Erased:
    """Everybody who is erased in a deployment."""
    store = Tombstones(DynamoDB(AwsJson("dynamodb")), settings.erasures_table, erasure_key())
    return store.erased(contract, within(READ_SECONDS))


def require_nobody_new(settings: Settings, contract: Contract, known: Erased) -> None:
    """`NotReady` if somebody was erased since `known` was read: what was read then may tell of one person twice."""
    if erased_people(settings, contract).pseudonyms != known.pseudonyms:
        raise NotReady(
            "somebody was erased while this was read, so that it may tell of one person as two: run it again"
        )


def erased_where_known(contract: Contract) -> Erased:
    """The same for work on files of somebody's own: without a key nobody is known, and no deployment is asked."""
    return erased_people(load_settings(), contract) if erasure_key() else nobody(contract)


def _item(tombstone: Tombstone) -> dict[str, Any]:
    return {
        "person": {"S": tombstone.person},
        "entity": {"S": tombstone.entity},
        "pseudonym": {"S": tombstone.pseudonym},
        "erased_at": {"S": format_micros(tombstone.erased_at)},
    }


def _tombstone(row: dict[str, Any]) -> Tombstone:
    return Tombstone(
        row["person"]["S"],
        row["entity"]["S"],
        row["pseudonym"]["S"],
        parse_timestamp(row["erased_at"]["S"], "UTC"),
    )

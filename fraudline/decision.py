"""A decision: one transaction's score on one path, with all it takes to replay it, and the form it is kept in.

Items are in DynamoDB's own JSON, ready to send: the same decision always gives the same item, so writing it
twice changes nothing.
"""

import hashlib
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from fraudline.clock import format_day, format_micros, parse_timestamp
from fraudline.durations import DAY, SECOND
from fraudline.transactions.transaction import Transaction

STREAM = "stream"
REALTIME = "realtime"
ALERT = "alert"
NOTIFIED = "notified"

Item = dict[str, dict[str, Any]]

# A batch is scored at one time, and most transactions count at their own.
_told = lru_cache(maxsize=1024)(format_micros)


class Decision(msgspec.Struct, frozen=True):
    """What was decided on a transaction, by which model, from which features.

    `origin` is the path: `stream`, `realtime` or `backfill#<name>`. `entities` maps the contract's entity names to
    ids, the partition entity first. Times are microseconds since the epoch, `amount` minor units, `features` packed
    little-endian doubles in the bundle's order. `position` is the record's own (empty off the stream);
    `profile_position` is up to where its profile had counted (empty: nothing yet). `digest` tells copies apart.
    What is kept of one made at checkout names nobody: its `entities` and `digest` are empty.
    """

    transaction_id: str
    origin: str
    score: float
    is_fraud: bool
    threshold: float
    model_version: str
    reasons: tuple[str, ...]
    event_time: int
    effective_time: int
    entities: dict[str, str]
    amount: int
    features: bytes
    position: str
    profile_position: str
    scored_at: int
    digest: bytes
    built_through: int | None = None

    @property
    def entity(self) -> str:
        """The partition entity as keys write it, such as `user#U1`."""
        name, id_ = next(iter(self.entities.items()))
        return f"{name}#{id_}"


def digest(transaction: Transaction) -> bytes:
    """Eight bytes that are equal for identical copies: BLAKE2b over the MessagePack of all values."""
    return hashlib.blake2b(msgspec.msgpack.encode(transaction), digest_size=8).digest()


def pack(features: Sequence[float]) -> bytes:
    """Features as little-endian doubles."""
    return struct.pack(f"<{len(features)}d", *features)


def unpack(data: bytes) -> tuple[float, ...]:
    """The features again, bit for bit."""
    return struct.unpack(f"<{len(data) // 8}d", data)


def expiry(scored_at: int, keep_days: int | None) -> int | None:
    """When DynamoDB may forget a row (epoch seconds): of its own clock, so that a rewrite gives the same row.

    >>> expiry(DAY, 2), expiry(DAY, None)
    (259200, None)
    """
    return None if keep_days is None else (scored_at + keep_days * DAY) // SECOND


def decision_item(decision: Decision, expires_at: int | None = None) -> Item:
    """The decision's row; `expires_at` (seconds since the epoch) where decisions are not kept for ever."""
    item: Item = {
        "transaction_id": {"S": decision.transaction_id},
        "origin": {"S": decision.origin},
        # A float's shortest text comes back as the same float.
        "score": {"N": repr(decision.score)},
        "is_fraud": {"BOOL": decision.is_fraud},
        "threshold": {"N": repr(decision.threshold)},
        "model_version": {"S": decision.model_version},
        "reasons": {"L": [{"S": reason} for reason in decision.reasons]},
        "event_time": {"S": _told(decision.event_time)},
        "effective_time": {"S": _told(decision.effective_time)},
        "entities": {"M": {name: {"S": id_} for name, id_ in decision.entities.items()}},
        "amount": {"N": str(decision.amount)},
        "features": {"B": decision.features},
        "position": {"S": decision.position},
        "profile_position": {"S": decision.profile_position},
        "scored_at": {"S": _told(decision.scored_at)},
        "digest": {"B": decision.digest},
    }
    if decision.built_through is not None:
        item["built_through"] = {"N": str(decision.built_through)}
    if decision.origin == STREAM:
        # The index over one user's transactions shows the system of record only.
        item["entity"] = {"S": decision.entity}
    if expires_at is not None:
        item["expires_at"] = {"N": str(expires_at)}
    return item


def decision_from(item: Item, entity_names: Sequence[str]) -> Decision:
    """The decision of a row; `entity_names` gives the contract's order, which a map forgets."""
    entities = item["entities"]["M"]
    built_through = item.get("built_through")
    return Decision(
        transaction_id=item["transaction_id"]["S"],
        origin=item["origin"]["S"],
        score=float(item["score"]["N"]),
        is_fraud=item["is_fraud"]["BOOL"],
        threshold=float(item["threshold"]["N"]),
        model_version=item["model_version"]["S"],
        reasons=tuple(reason["S"] for reason in item["reasons"]["L"]),
        event_time=parse_timestamp(item["event_time"]["S"], "UTC"),
        effective_time=parse_timestamp(item["effective_time"]["S"], "UTC"),
        entities={name: entities[name]["S"] for name in entity_names} if entities else {},
        amount=int(item["amount"]["N"]),
        features=item["features"]["B"],
        position=item["position"]["S"],
        profile_position=item["profile_position"]["S"],
        scored_at=parse_timestamp(item["scored_at"]["S"], "UTC"),
        digest=item["digest"]["B"],
        built_through=int(built_through["N"]) if built_through else None,
    )


def alert_item(decision: Decision, minor_units: int, expires_at: int | None = None) -> Item:
    """The row that puts a flagged transaction into the review queue of the day it was scored, dearest first.

    `expected_loss` is score times amount, in the currency's units. What people decide lives in other rows.
    """
    item: Item = {
        "transaction_id": {"S": decision.transaction_id},
        "origin": {"S": ALERT},
        "alert_day": {"S": format_day(decision.scored_at)},
        "expected_loss": {"N": repr(round(decision.score * decision.amount) / minor_units)},
        "score": {"N": repr(decision.score)},
        "amount": {"N": str(decision.amount)},
        "reasons": {"L": [{"S": reason} for reason in decision.reasons]},
        "entities": {"M": {name: {"S": id_} for name, id_ in decision.entities.items()}},
        "event_time": {"S": _told(decision.event_time)},
        "scored_at": {"S": _told(decision.scored_at)},
        "model_version": {"S": decision.model_version},
    }
    if expires_at is not None:
        item["expires_at"] = {"N": str(expires_at)}
    return item

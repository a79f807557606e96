"""Leases in DynamoDB: who may read which shard, up to where it is done, and what is being done right now.

A row for each consumer group and shard. Every change is made on the condition that the `epoch` is still the one
that was read; taking a lease raises it, which fences off whoever held it before. Rows beside them tell which
workers wait for a share.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from fraudline.adapters.aws.backoff import Deadline, never
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.clock import now_micros
from fraudline.durations import SECOND
from fraudline.errors import LostRace, NotReady, Unavailable
from fraudline.stream import Intent, Shard, timestamp_in

# Sorts behind every shard id.
_WORKER = "~worker#"


class Lease(msgspec.Struct, frozen=True):
    """A lease row as it was last read or written.

    `checkpoint` is where the shard is done up to; `intent` the batch that is under way; `closed` that the shard has
    ended and is done; `seen_through` since when (microseconds, 0: not known) records may wait; `generation` names
    the profiles that have counted it (empty: none yet). An `owner` whose lease has expired may be robbed.
    """

    shard: str
    parents: tuple[str, ...]
    checkpoint: str
    epoch: int
    owner: str = ""
    expires_at: int = 0
    intent: Intent | None = None
    closed: bool = False
    seen_through: int = 0
    generation: str = ""

    def is_held(self, now: int) -> bool:
        return bool(self.owner) and now < self.expires_at


class Leases:
    """The leases of one consumer group as one worker sees them; once `stop` says so, nothing is tried twice."""

    def __init__(
        self,
        dynamodb: DynamoDB,
        table: str,
        consumer: str,
        worker: str,
        seconds: float = 30.0,
        stop: Callable[[], bool] = never,
    ) -> None:
        self.worker = worker
        self.seconds = seconds
        self.stop = stop
        self._dynamodb = dynamodb
        self._table = table
        self._consumer = consumer

    def now(self) -> int:
        """Microseconds since the epoch. It decides how soon others may try, never who is right."""
        return now_micros()

    def deadline(self) -> Deadline:
        """Until when a call that begins now may be tried: past it the lease may be another's."""
        return Deadline(time.monotonic() + self.seconds, self.stop)

    def rows(self) -> dict[str, Lease]:
        """All leases of the group, by shard."""
        return {item["shard"]["S"]: _lease(item) for item in self._query() if _is_shard(item)}

    def workers(self, leases: Iterable[Lease]) -> set[str]:
        """The workers that are alive: this one, those that hold a lease, and those that wait for one."""
        now = self.now()
        alive = {self.worker, *(lease.owner for lease in leases if lease.is_held(now))}
        for item in self._query():
            if _is_shard(item):
                continue
            if int(item["expires_at"]["N"]) > now:
                alive.add(item["owner"]["S"])
            else:
                self._forget(item["shard"]["S"], now)
        return alive

    def report_waiting(self) -> None:
        """Let others know for one term that this worker wants its share; holding a lease says so, too."""
        item = {
            **self._key(_WORKER + self.worker),
            "owner": {"S": self.worker},
            "expires_at": {"N": str(self._expiry())},
        }
        self._single("PutItem", {"Item": item})

    def report_gone(self) -> None:
        """Forget this worker; if that fails, it is taken for dead when its time is up."""
        with suppress(Unavailable):
            self._single("DeleteItem", {"Key": self._key(_WORKER + self.worker)})

    def create(self, shard: Shard, checkpoint: str) -> None:
        """A row for a shard that has none; fine if another worker was first."""
        lease = Lease(shard.id, shard.parents, checkpoint, epoch=0, seen_through=timestamp_in(checkpoint) or 0)
        item = {**self._key(shard.id), **_attributes(lease)}
        with suppress(LostRace):
            self._single("PutItem", {"Item": item, **if_epoch_is(None)})

    def acquire(self, lease: Lease) -> Lease | None:
        """The lease in our name, or None if it is held or another worker was faster."""
        if lease.is_held(self.now()):
            return None
        taken = msgspec.structs.replace(lease, owner=self.worker, epoch=lease.epoch + 1, expires_at=self._expiry())
        condition = if_epoch_is(lease.epoch)
        # Whoever let it expire may have written since it was read, at the same epoch: nothing of that is taken back.
        condition["ConditionExpression"] += " AND #expires_at = :read"
        condition["ExpressionAttributeNames"]["#expires_at"] = "expires_at"
        condition["ExpressionAttributeValues"][":read"] = {"N": str(lease.expires_at)}
        try:
            self._single("PutItem", {"Item": {**self._key(lease.shard), **_attributes(taken)}, **condition})
        except LostRace:
            return None
        return taken

    def intend(self, lease: Lease, intent: Intent, generation: str) -> Lease:
        """Write down what is about to be done; `LostRace` if the lease is another's by now."""
        if lease.generation not in ("", generation):
            raise NotReady(
                f"{lease.shard} has profiles of generation {lease.generation}, the model needs {generation}: "
                "run `fraudline warm-up` for it first"
            )
        return self._update(lease, intent=intent, generation=generation)

    def checkpoint(self, lease: Lease, sequence: str, seen_through: int) -> Lease:
        """The batch that ends with `sequence` is done; `LostRace` if the lease is another's by now."""
        return self._update(lease, checkpoint=sequence, intent=None, seen_through=max(seen_through, lease.seen_through))

    def renew(self, lease: Lease, **known: Any) -> Lease:
        """The lease for another term; `known` may set `seen_through` and `closed`."""
        return self._update(lease, **known)

    def release(self, lease: Lease) -> None:
        """Let others have it at once; fine if another has it already, or if it has to expire by itself."""
        with suppress(LostRace, Unavailable):
            self._update(lease, owner="")

    def retire(self, lease: Lease) -> bool:
        """Remove the row of a shard that the stream no longer lists; False if another worker has moved it."""
        try:
            self._single("DeleteItem", {"Key": self._key(lease.shard), **if_epoch_is(lease.epoch)})
        except LostRace:
            return False
        return True

    def _update(self, lease: Lease, **changes: Any) -> Lease:
        """The row with `changes`, on the condition of the epoch."""
        changed = msgspec.structs.replace(lease, expires_at=self._expiry(), **changes)
        item = {**self._key(lease.shard), **_attributes(changed)}
        self._single("PutItem", {"Item": item, **if_epoch_is(lease.epoch)})
        return changed

    def _query(self) -> Iterator[dict[str, Any]]:
        return self._dynamodb.query(self._table, rows_of(self._consumer), self.deadline)

    def _forget(self, shard: str, now: int) -> None:
        body = {
            "Key": self._key(shard),
            "ConditionExpression": "#expires_at <= :now",
            "ExpressionAttributeNames": {"#expires_at": "expires_at"},
            "ExpressionAttributeValues": {":now": {"N": str(now)}},
        }
        with suppress(LostRace):
            self._single("DeleteItem", body)

    def _single(self, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._dynamodb.single(operation, self._table, body, self.deadline())

    def _key(self, shard: str) -> dict[str, Any]:
        return {"consumer": {"S": self._consumer}, "shard": {"S": shard}}

    def _expiry(self) -> int:
        return self.now() + round(self.seconds * SECOND)


def rows_of(consumer: str) -> dict[str, Any]:
    """A query for all rows of a consumer, strongly consistent."""
    return {
        "ConsistentRead": True,
        "KeyConditionExpression": "#consumer = :consumer",
        "ExpressionAttributeNames": {"#consumer": "consumer"},
        "ExpressionAttributeValues": {":consumer": {"S": consumer}},
    }


def if_epoch_is(epoch: int | None) -> dict[str, Any]:
    """The condition that a row has not changed hands since it was read (None: that there is none)."""
    names = {"#epoch": "epoch"}
    if epoch is None:
        return {"ConditionExpression": "attribute_not_exists(#epoch)", "ExpressionAttributeNames": names}
    values = {":epoch": {"N": str(epoch)}}
    return {
        "ConditionExpression": "#epoch = :epoch",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def _is_shard(item: Mapping[str, Any]) -> bool:
    return not item["shard"]["S"].startswith(_WORKER)


def _attributes(lease: Lease) -> dict[str, Any]:
    attributes = {
        "parents": {"L": [{"S": parent} for parent in lease.parents]},
        "checkpoint": {"S": lease.checkpoint},
        "epoch": {"N": str(lease.epoch)},
        "expires_at": {"N": str(lease.expires_at)},
        "closed": {"BOOL": lease.closed},
        "seen_through": {"N": str(lease.seen_through)},
        "generation": {"S": lease.generation},
        "owner": {"S": lease.owner},
    }
    if lease.intent is not None:
        attributes["intent"] = {"S": msgspec.json.encode(lease.intent).decode()}
    return attributes


def _lease(item: Mapping[str, Any]) -> Lease:
    intent = item.get("intent")
    return Lease(
        shard=item["shard"]["S"],
        parents=tuple(parent["S"] for parent in item["parents"]["L"]),
        checkpoint=item["checkpoint"]["S"],
        epoch=int(item["epoch"]["N"]),
        owner=item["owner"]["S"],
        expires_at=int(item["expires_at"]["N"]),
        intent=msgspec.json.decode(intent["S"], type=Intent) if intent else None,
        closed=item["closed"]["BOOL"],
        seen_through=int(item["seen_through"]["N"]),
        generation=item["generation"]["S"],
    )

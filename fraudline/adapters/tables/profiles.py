"""Profiles in DynamoDB: read in batches, written each on the condition that nobody has moved it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from fraudline.adapters.aws.backoff import Deadline
from fraudline.adapters.aws.dynamodb import DynamoDB, Statement, Wanted
from fraudline.clock import format_micros
from fraudline.decision import STREAM, Item
from fraudline.errors import LostRace
from fraudline.features.profile import LaggedHistory
from fraudline.microbatch.values import Reading, View
from fraudline.profiles import (
    GENERATIONS,
    Mark,
    ProfileChange,
    StoredProfile,
    built_position,
    built_through_key,
    decode_lagged,
    encode_history,
    mark_key,
)
from fraudline.stream import NOTHING

# How many lagged entities a build reads and writes within one deadline.
_AT_ONCE = 500


class Profiles:
    """The profiles of all entities and generations, and beside them what the decisions table knows of an id."""

    def __init__(self, dynamodb: DynamoDB, table: str, decisions_table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._decisions = decisions_table
        # Bandit sees texts of statements made; in them are names from the settings, values are parameters.
        self._insert = f"INSERT INTO \"{table}\" VALUE {{'entity':?,'position':?,'history':?}}"  # nosec B608
        self._update = f'UPDATE "{table}" SET "position"=? SET "history"=? WHERE "entity"=? AND "position"=?'  # nosec B608

    def view(self, reading: Reading, counted: frozenset[str] | None, deadline: Deadline) -> View:
        """What is stored of a batch's entities and ids, strongly consistent."""
        ids = () if counted is not None else dict.fromkeys(e.transaction.id for e in reading.events)
        keys = [*reading.profile_keys.values(), *reading.lagged_keys.values()]
        found = self._dynamodb.read(
            [
                Wanted(self._table, [{"entity": {"S": key}} for key in keys]),
                Wanted(
                    self._decisions,
                    [{"transaction_id": {"S": id_}, "origin": {"S": STREAM}} for id_ in ids],
                    ("transaction_id", "digest"),
                ),
            ],
            deadline,
        )
        items = {item["entity"]["S"]: item for item in found[self._table]}
        return View(
            {id_: _stored(items[key]) for id_, key in reading.profile_keys.items() if key in items},
            {at: _lagged(items[key]) for at, key in reading.lagged_keys.items() if key in items},
            {item["transaction_id"]["S"]: _binary(item["digest"]) for item in found[self._decisions]},
            counted,
        )

    def commit(self, changes: Sequence[ProfileChange], deadline: Deadline) -> None:
        """Move profiles on; `LostRace` if any of them is no longer where it was read."""
        self._dynamodb.write_if([self._statement(change) for change in changes], deadline)

    def stored(self, keys: Iterable[str], deadline: Deadline) -> dict[str, StoredProfile]:
        """The profiles that exist, by key, strongly consistent."""
        return {item["entity"]["S"]: _stored(item) for item in self._items(keys, deadline)}

    def marks(self, generation: str, shards: Iterable[str], deadline: Deadline) -> dict[str, Mark]:
        """What a generation has counted, of the shards it has counted anything of."""
        keys = {mark_key(generation, shard): shard for shard in shards}
        items = self._items(keys, deadline)
        return {keys[item["entity"]["S"]]: Mark(item["through"]["S"], item["day"]["S"]) for item in items}

    def mark(self, generation: str, marks: Mapping[str, Mark], deadline: Deadline) -> None:
        """Say so, by shard: after the profiles that these marks speak of are written."""
        items: Iterator[Item] = (
            {"entity": {"S": mark_key(generation, shard)}, "through": {"S": mark.through}, "day": {"S": mark.day}}
            for shard, mark in marks.items()
        )
        self._dynamodb.write(self._table, items, deadline)

    def announce(self, generation: str, deadline: Deadline) -> None:
        """Name a generation before any of its profiles is built: an erasure looks for the person there, too."""
        key = {"S": GENERATIONS}
        insert = f"INSERT INTO \"{self._table}\" VALUE {{'entity':?,'names':?}}"  # nosec B608
        update = f'UPDATE "{self._table}" SET "names"=? WHERE "entity"=? AND "names"=?'  # nosec B608
        while generation not in (read := self._announced(deadline)).split():
            names = {"S": f"{read} {generation}".strip()}
            statement = Statement(update, (names, key, {"S": read})) if read else Statement(insert, (key, names))
            with suppress(LostRace):
                self._dynamodb.write_if([statement], deadline)

    def _announced(self, deadline: Deadline) -> str:
        body = {"Key": {"entity": {"S": GENERATIONS}}, "ConsistentRead": True}
        item = self._dynamodb.single("GetItem", self._table, body, deadline).get("Item")
        return str(item["names"]["S"]) if item else ""

    def built_through(self, generation: str, deadline: Deadline) -> int:
        """The hour (microseconds since the epoch) up to which lagged entities are built; 0 if nothing is."""
        key = {"entity": {"S": built_through_key(generation)}}
        answer = self._dynamodb.single("GetItem", self._table, {"Key": key, "ConsistentRead": True}, deadline)
        item = answer.get("Item")
        return int(item["through"]["N"]) if item else 0

    def publish(
        self,
        generation: str,
        histories: Mapping[str, LaggedHistory],
        through: int,
        deadline: Callable[[], Deadline],
    ) -> None:
        """Write lagged entities' histories (by `profile_key`), then that all are built through this hour.

        A batch that reads some of them early reads them at its own hour, before which nothing has changed. `LostRace`
        if a build up to a later hour has written any of them: what it has written stands. `deadline` gives each part
        its own: there may be millions.
        """
        keys = list(histories)
        for start in range(0, len(keys), _AT_ONCE):
            some = {key: histories[key] for key in keys[start : start + _AT_ONCE]}
            self.commit(self._built(some, through, deadline()), deadline())
        self._move_built_through(generation, through, deadline())

    def _built(
        self, histories: Mapping[str, LaggedHistory], through: int, deadline: Deadline
    ) -> Sequence[ProfileChange]:
        position, at = built_position(through), self._positions(histories, deadline)
        if any(read > position for read in at.values()):
            raise LostRace(f"lagged entities are built beyond {format_micros(through)} by now")
        return [
            ProfileChange(key, at.get(key, NOTHING), position, encode_history(history))
            for key, history in histories.items()
        ]

    def _move_built_through(self, generation: str, through: int, deadline: Deadline) -> None:
        key, hour = {"S": built_through_key(generation)}, {"N": str(through)}
        before = self.built_through(generation, deadline)
        if before > through:
            raise LostRace(f"lagged entities are built beyond {format_micros(through)} by now")
        insert = f"INSERT INTO \"{self._table}\" VALUE {{'entity':?,'through':?}}"  # nosec B608
        update = f'UPDATE "{self._table}" SET "through"=? WHERE "entity"=? AND "through"=?'  # nosec B608
        read = {"N": str(before)}
        statement = Statement(update, (hour, key, read)) if before else Statement(insert, (key, hour))
        self._dynamodb.write_if([statement], deadline)

    def _positions(self, keys: Iterable[str], deadline: Deadline) -> dict[str, str]:
        wanted = Wanted(self._table, [{"entity": {"S": key}} for key in keys], ("entity", "position"))
        found = self._dynamodb.read([wanted], deadline)[self._table]
        return {item["entity"]["S"]: item["position"]["S"] for item in found}

    def _items(self, keys: Iterable[str], deadline: Deadline) -> list[dict[str, Any]]:
        wanted = Wanted(self._table, [{"entity": {"S": key}} for key in keys])
        return self._dynamodb.read([wanted], deadline)[self._table]

    def _statement(self, change: ProfileChange) -> Statement:
        key, position, history = {"S": change.key}, {"S": change.position}, {"B": change.history}
        if change.is_new:
            return Statement(self._insert, (key, position, history))
        return Statement(self._update, (position, history, key, {"S": change.read_position}))


def _stored(item: Mapping[str, Any]) -> StoredProfile:
    return StoredProfile(item["position"]["S"], _binary(item["history"]))


def _lagged(item: Mapping[str, Any]) -> LaggedHistory:
    return decode_lagged(_binary(item["history"]))


def _binary(value: Mapping[str, str]) -> bytes:
    # The base64 module takes several times as long for a profile, as long as half of its event's features.
    return msgspec.convert(value["B"], bytes)

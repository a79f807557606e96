"""What is stored of transactions, in one read (two where lagged entities were built anew) and within a deadline."""

import base64
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fraudline.decision import STREAM, decision_from
from fraudline.features.profile import LaggedHistory
from fraudline.profiles import built_through_key, decode_history, decode_lagged
from fraudline.realtime.decide import Decider, Stored
from fraudline.realtime.dynamodb import DynamoDB, Wanted
from fraudline.transactions.transaction import Transaction

Items = Mapping[str, dict[str, Any]]
_THREADS = 4
_BINARY = ("features", "digest")


class StoredProfiles:
    """The stream's profiles and decisions.

    The read runs in a thread of its own: no name server, connection or slow answer can hold the caller beyond its
    deadline. The stream writes a decision before it moves the profile, so an id that the profile has counted is found
    (but for a stream that does both between the two halves of one read; such a profile has another position).
    """

    def __init__(self, dynamodb: DynamoDB, profiles_table: str, decisions_table: str) -> None:
        self._dynamodb = dynamodb
        self._profiles = profiles_table
        self._decisions = decisions_table
        self._threads = ThreadPoolExecutor(_THREADS, "profiles")
        # By generation the newest hour that was read, and so one that all profiles read from now on have reached.
        self._hours: dict[str, int] = {}

    def connect(self) -> None:
        """Open a connection ahead of the first request."""
        self._threads.submit(self._dynamodb.connect)

    def look_up(self, decider: Decider, transactions: Sequence[Transaction], seconds: float) -> list[Stored]:
        deadline = time.monotonic() + seconds
        reading = self._threads.submit(self._read, decider, transactions, deadline)
        try:
            return reading.result(seconds)
        finally:
            # If it waits for a thread; a running one ends by itself, for sockets wait two seconds at most.
            reading.cancel()

    def _read(self, decider: Decider, transactions: Sequence[Transaction], deadline: float) -> list[Stored]:
        keys = [decider.profile_keys(transaction) for transaction in transactions]
        wanted = dict.fromkeys(key for each in keys for key in each)
        lags = bool(decider.bundle.contract.lagged_entities)
        if lags:
            wanted[built_through_key(decider.generation)] = None
        ids = dict.fromkeys(transaction.id for transaction in transactions)
        asked = [
            *(Wanted(self._profiles, {"entity": {"S": key}}) for key in wanted),
            *(Wanted(self._decisions, {"transaction_id": {"S": id_}, "origin": {"S": STREAM}}) for id_ in ids),
        ]
        profiles, decisions = self._found(asked, deadline)
        through = _built_through(profiles, decider.generation) if lags else None
        if through is not None and through != self._hours.get(decider.generation):
            # One read is no snapshot: the profiles may be from before a build, and its hour from after.
            self._hours[decider.generation] = through
            profiles, decisions = self._found(asked, deadline)
        return [
            _stored_or_damaged(decider, profiles, of, through, decisions.get(transaction.id))
            for of, transaction in zip(keys, transactions, strict=True)
        ]

    def _found(self, asked: Sequence[Wanted], deadline: float) -> tuple[Items, Items]:
        found = self._dynamodb.read(asked, deadline)
        profiles = {item["entity"]["S"]: item for item in found[self._profiles]}
        return profiles, {item["transaction_id"]["S"]: item for item in found[self._decisions]}


def _stored_or_damaged(
    decider: Decider,
    profiles: Items,
    keys: Sequence[str],
    through: int | None,
    recorded: dict[str, Any] | None,
) -> Stored:
    try:
        return _stored(decider, profiles, keys, through, recorded)
    except Exception as error:  # whatever a damaged item raises: it must not cost those beside it their history
        return Stored("missing", damage=error)


def _stored(
    decider: Decider,
    profiles: Items,
    keys: Sequence[str],
    through: int | None,
    recorded: dict[str, Any] | None,
) -> Stored:
    if recorded is not None:
        binary = {name: {"B": base64.b64decode(recorded[name]["B"])} for name in _BINARY}
        return Stored("recorded", recorded=decision_from({**recorded, **binary}, decider.entity_names))
    lagged = tuple(_lagged(profiles.get(key)) for key in keys[1:])
    own = profiles.get(keys[0])
    if own is None:
        return Stored("new", lagged=lagged, built_through=through)
    return Stored("found", own["position"]["S"], decode_history(_history(own)), lagged, through)


def _lagged(item: Mapping[str, Any] | None) -> LaggedHistory | None:
    return decode_lagged(_history(item)) if item else None


def _history(item: Mapping[str, Any]) -> bytes:
    return base64.b64decode(item["history"]["B"])


def _built_through(profiles: Items, generation: str) -> int:
    item = profiles.get(built_through_key(generation))
    return int(item["through"]["N"]) if item else 0

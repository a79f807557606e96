"""What is stored of transactions, in one read and within a deadline."""

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
from fraudline.transaction import Transaction

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
        found = self._dynamodb.read(
            [
                *(Wanted(self._profiles, {"entity": {"S": key}}) for key in wanted),
                *(Wanted(self._decisions, {"transaction_id": {"S": id_}, "origin": {"S": STREAM}}) for id_ in ids),
            ],
            deadline,
        )
        profiles = {item["entity"]["S"]: item for item in found[self._profiles]}
        decisions = {item["transaction_id"]["S"]: item for item in found[self._decisions]}
        through = _built_through(profiles, decider.generation) if lags else None
        return [
            _stored(decider, profiles, of, through, decisions.get(transaction.id))
            for of, transaction in zip(keys, transactions, strict=True)
        ]


def _stored(
    decider: Decider,
    profiles: Mapping[str, Mapping[str, Any]],
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


def _built_through(profiles: Mapping[str, Mapping[str, Any]], generation: str) -> int:
    item = profiles.get(built_through_key(generation))
    return int(item["through"]["N"]) if item else 0

"""Keeps the decisions the function made, beside its answers: the first one of an id stays.

They name nobody. The function cannot know who is erased, and what it does not keep nobody need erase; whose transaction
it was, the stream's decision on it says.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import BoundedSemaphore

import msgspec

from fraudline.decision import Decision, decision_item, expiry
from fraudline.errors import Unavailable
from fraudline.realtime.dynamodb import DynamoDB
from fraudline.realtime.ports import Recorded

_THREADS = 4
# A write that is still under way when its answer is out is frozen with the function, and finds its connection dead.
_ATTEMPTS = 3
_ATTEMPT_SECONDS = 2.0
# Decisions that wait for their turn, of several of the largest calls; while the table is down more would only pile up.
MOST_WAITING = 500


class DecisionRecorder:
    """Decisions as rows of origin `realtime`. What was answered at checkout stays, whoever scores the id again.

    `keep_days` sets when DynamoDB may forget them (None: never).
    """

    def __init__(self, dynamodb: DynamoDB, table: str, keep_days: int | None = None) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._keep_days = keep_days
        self._threads = ThreadPoolExecutor(_THREADS, "recorder")
        self._room = BoundedSemaphore(MOST_WAITING)

    def record(self, decisions: Sequence[Decision], seconds: float) -> Recorded:
        """Where too many wait already, a decision fails at once."""
        writes = dict(self._begun(decisions))
        done, pending = wait(writes, seconds)
        refused = {decision.transaction_id for decision in decisions} - set(writes.values())
        return Recorded(
            frozenset(writes[write] for write in done if write.exception()) | refused,
            frozenset(writes[write] for write in pending),
        )

    def _begun(self, decisions: Sequence[Decision]) -> Iterator[tuple[Future[None], str]]:
        for decision in decisions:
            if self._room.acquire(blocking=False):
                yield self._threads.submit(self._keep, decision), decision.transaction_id

    def _keep(self, decision: Decision) -> None:
        try:
            self._put(decision)
        finally:
            self._room.release()

    def _put(self, decision: Decision) -> None:
        nobodys = msgspec.structs.replace(decision, entities={}, digest=b"")
        item = decision_item(nobodys, expiry(decision.scored_at, self._keep_days))
        for attempt in range(1, _ATTEMPTS + 1):
            deadline = time.monotonic() + _ATTEMPT_SECONDS
            try:
                self._dynamodb.put_if_absent(self._table, item, "transaction_id", deadline)
                return
            except Unavailable:
                if attempt == _ATTEMPTS:
                    raise

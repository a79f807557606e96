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
        # Writes whose end nobody has been told, with their decisions' ids.
        self._untold: dict[Future[None], str] = {}

    def record(self, decisions: Sequence[Decision], seconds: float) -> Recorded:
        """Where too many wait already, a decision fails at once."""
        writes = dict(self._begun(decisions))
        wait(writes, seconds)
        self._untold |= writes
        failures = self._failures()
        if refused := {decision.transaction_id for decision in decisions} - set(writes.values()):
            failures |= dict.fromkeys(refused, f"{MOST_WAITING} decisions wait to be kept already")
        late = (writes[write] for write in writes if write in self._untold)
        return Recorded(frozenset(failures), frozenset(late), frozenset(failures.values()))

    def _failures(self) -> dict[str, str]:
        """Why which decisions are not kept, of all writes that have come to an end since this was asked."""
        ended = {write: self._untold.pop(write) for write in [*self._untold] if write.done()}
        kept = {id_ for write, id_ in ended.items() if not write.exception()}
        errors = {id_: _told(error) for write, id_ in ended.items() if (error := write.exception())}
        return {id_: told for id_, told in errors.items() if id_ not in kept}

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


def _told(error: BaseException) -> str:
    """Of what we have not worded ourselves the kind only: its text may hold what must not be logged."""
    return str(error) if isinstance(error, Unavailable) else type(error).__name__

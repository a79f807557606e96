"""Keeps the decisions the function made, beside its answers: the first one of an id stays.

They name nobody. The function cannot know who is erased, and what it does not keep nobody need erase; whose transaction
it was, the stream's decision on it says.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import msgspec

from fraudline.decision import Decision, decision_item
from fraudline.errors import Unavailable
from fraudline.realtime.dynamodb import DynamoDB
from fraudline.realtime.ports import Recorded

_THREADS = 4
# A write that is still under way when its answer is out is frozen with the function, and finds its connection dead.
_ATTEMPTS = 3
_ATTEMPT_SECONDS = 2.0


class DecisionRecorder:
    """Decisions as rows of origin `realtime`. What was answered at checkout stays, whoever scores the id again."""

    def __init__(self, dynamodb: DynamoDB, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._threads = ThreadPoolExecutor(_THREADS, "recorder")

    def record(self, decisions: Sequence[Decision], seconds: float) -> Recorded:
        writes = {self._threads.submit(self._put, decision): decision.transaction_id for decision in decisions}
        done, pending = wait(writes, seconds)
        return Recorded(
            frozenset(writes[write] for write in done if write.exception()),
            frozenset(writes[write] for write in pending),
        )

    def _put(self, decision: Decision) -> None:
        item = decision_item(msgspec.structs.replace(decision, entities={}, digest=b""))
        for attempt in range(1, _ATTEMPTS + 1):
            deadline = time.monotonic() + _ATTEMPT_SECONDS
            try:
                self._dynamodb.put_if_absent(self._table, item, "transaction_id", deadline)
                return
            except Unavailable:
                if attempt == _ATTEMPTS:
                    raise

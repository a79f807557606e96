"""Keeps the decisions the function made, beside its answers: the first one of an id stays."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from fraudline.decision import Decision, decision_item
from fraudline.realtime.dynamodb import DynamoDB
from fraudline.realtime.ports import Recorded

_THREADS = 4
# How long a write goes on in the background once its answer is out.
_PATIENCE_SECONDS = 5.0


class DecisionRecorder:
    """Decisions as rows of origin `realtime`."""

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
        deadline = time.monotonic() + _PATIENCE_SECONDS
        self._dynamodb.put_if_absent(self._table, decision_item(decision), "transaction_id", deadline)

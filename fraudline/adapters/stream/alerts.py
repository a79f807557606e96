"""Notifications of flagged transactions: at least once, a message for each entity of a batch, ids inside."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from fraudline.adapters.aws.backoff import Deadline, attempts
from fraudline.adapters.aws.errors import explained
from fraudline.clock import format_micros
from fraudline.decision import Decision

_CALL_MESSAGES = 10
# Ten such messages stay below the 256 KiB that one call may carry.
_MESSAGE_DECISIONS = 25


class Alerts:
    """Publishes to one SNS topic. `client` is a boto3 SNS client."""

    def __init__(self, client: Any, topic_arn: str, minor_units: int) -> None:
        self._client = client
        self._topic_arn = topic_arn
        self._minor_units = minor_units

    def notify(self, decisions: Sequence[Decision], deadline: Deadline) -> None:
        """Tell of flagged decisions; the user's id is left to those who may look the transaction up."""
        messages = [self._message(group) for group in _groups(decisions)]
        for start in range(0, len(messages), _CALL_MESSAGES):
            self._publish(messages[start : start + _CALL_MESSAGES], deadline)

    def _publish(self, messages: Sequence[str], deadline: Deadline) -> None:
        thing = "the alerts topic"
        pending = [{"Id": str(index), "Message": message} for index, message in enumerate(messages)]
        for _ in attempts(thing, deadline):
            with explained(thing):
                answer = self._client.publish_batch(TopicArn=self._topic_arn, PublishBatchRequestEntries=pending)
            failed = {told["Id"] for told in answer.get("Failed", ())}
            pending = [entry for entry in pending if entry["Id"] in failed]
            if not pending:
                return

    def _message(self, decisions: Sequence[Decision]) -> str:
        told = [
            {
                "transaction_id": decision.transaction_id,
                "score": decision.score,
                "amount": decision.amount / self._minor_units,
                "event_time": format_micros(decision.event_time),
                "reasons": decision.reasons,
                "model_version": decision.model_version,
            }
            for decision in decisions
        ]
        return msgspec.json.encode({"transactions": told}).decode()


def _groups(decisions: Sequence[Decision]) -> Iterator[list[Decision]]:
    """Decisions of one entity together, in bounded numbers."""
    ordered = sorted(decisions, key=lambda decision: decision.entity)
    for _, group in groupby(ordered, key=lambda decision: decision.entity):
        members = list(group)
        for start in range(0, len(members), _MESSAGE_DECISIONS):
            yield members[start : start + _MESSAGE_DECISIONS]

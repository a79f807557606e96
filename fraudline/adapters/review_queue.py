"""The review queue where it is kept: alerts of a day, one alert with what else its user did, and verdicts."""

from itertools import islice

from fraudline.adapters.aws.backoff import Deadline
from fraudline.adapters.aws.dynamodb import DynamoDB, Wanted
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.tables.decisions import with_bytes
from fraudline.adapters.tables.keys import BY_ALERT_DAY, BY_ENTITY
from fraudline.adapters.tables.labels import Labels
from fraudline.clock import format_micros
from fraudline.contract import Contract
from fraudline.decision import ALERT, Decision, Item, decision_from
from fraudline.errors import BadInput
from fraudline.labels import Verdict
from fraudline.review import Alert, alert_from
from fraudline.settings import Settings


class ReviewQueue:
    """What people decide on. Reading it changes nothing; a verdict goes into the label store, beside the alert."""

    def __init__(self, dynamodb: DynamoDB, decisions_table: str, labels: Labels, contract: Contract) -> None:
        self._dynamodb = dynamodb
        self._table = decisions_table
        self._labels = labels
        self._contract = contract

    def alerts(self, day: str, deadline: Deadline, most: int | None = None) -> list[Alert]:
        """Alerts of a day of scoring (2026-01-31, UTC), the largest expected loss first; all, or so many."""
        condition = {"KeyConditionExpression": "alert_day = :day", "ExpressionAttributeValues": {":day": {"S": day}}}
        body = {"IndexName": BY_ALERT_DAY, "ScanIndexForward": False, **condition}
        rows = self._dynamodb.query(self._table, body, lambda: deadline)
        return [alert_from(row, self._contract.amount.minor_units) for row in islice(rows, most)]

    def alert(self, transaction_id: str, deadline: Deadline) -> Alert:
        """One alert; `BadInput` if the transaction was not flagged."""
        keys: list[Item] = [{"transaction_id": {"S": transaction_id}, "origin": {"S": ALERT}}]
        rows = self._dynamodb.read([Wanted(self._table, keys)], deadline)[self._table]
        if not rows:
            raise BadInput(f"transaction {transaction_id!r} was not flagged: take an id from `fraudline review`")
        return alert_from(rows[0], self._contract.amount.minor_units)

    def recent(self, alert: Alert, most: int, deadline: Deadline) -> list[Decision]:
        """The latest decisions on the same partition entity up to the alert, the newest first."""
        name = self._contract.entities[0].name
        condition = {
            "KeyConditionExpression": "entity = :entity AND event_time <= :time",
            "ExpressionAttributeValues": {
                ":entity": {"S": f"{name}#{alert.entities[name]}"},
                ":time": {"S": format_micros(alert.event_time)},
            },
        }
        body = {"IndexName": BY_ENTITY, "ScanIndexForward": False, "Limit": most, **condition}
        names = [entity.name for entity in self._contract.entities]
        rows = self._dynamodb.single("Query", self._table, body, deadline)["Items"]
        return [decision_from(with_bytes(row), names) for row in rows]

    def verdicts(self, alerts: list[Alert], deadline: Deadline) -> dict[str, tuple[Verdict, ...]]:
        """What was found so far, by transaction id."""
        return self._labels.read((alert.transaction_id for alert in alerts), deadline)

    def decide(self, transaction_id: str, verdict: Verdict, deadline: Deadline) -> None:
        """Record a verdict on a flagged transaction: from its time on it is the label."""
        self._labels.add(self.alert(transaction_id, deadline).transaction_id, verdict, deadline)


def review_queue(settings: Settings, contract: Contract) -> ReviewQueue:
    """The queue of a deployment."""
    dynamodb = DynamoDB(AwsJson("dynamodb"))
    return ReviewQueue(dynamodb, settings.decisions_table, Labels(dynamodb, settings.labels_table), contract)

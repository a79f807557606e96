"""The review queue: flagged transactions, the dearest first, until somebody has decided on them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from fraudline.clock import parse_timestamp
from fraudline.labels import Verdict, standing
from fraudline.transactions.table import UNKNOWN


class Alert(msgspec.Struct, frozen=True):
    """A flagged transaction as its row tells it; money in the currency's units, times in microseconds.

    `expected_loss` is score times amount. `entity` is what its transactions are found by, such as `user#U1`.
    """

    transaction_id: str
    expected_loss: float
    score: float
    amount: float
    reasons: tuple[str, ...]
    entities: dict[str, str]
    event_time: int
    scored_at: int
    model_version: str


def alert_from(item: dict[str, Any], minor_units: int) -> Alert:
    """The alert of a row in DynamoDB's JSON (`fraudline.decision.alert_item`)."""
    return Alert(
        transaction_id=item["transaction_id"]["S"],
        expected_loss=float(item["expected_loss"]["N"]),
        score=float(item["score"]["N"]),
        amount=int(item["amount"]["N"]) / minor_units,
        reasons=tuple(reason["S"] for reason in item["reasons"]["L"]),
        entities={name: id_["S"] for name, id_ in item["entities"]["M"].items()},
        event_time=parse_timestamp(item["event_time"]["S"], "UTC"),
        scored_at=parse_timestamp(item["scored_at"]["S"], "UTC"),
        model_version=item["model_version"]["S"],
    )


def waiting(alerts: Iterable[Alert], verdicts: Mapping[str, Sequence[Verdict]]) -> list[Alert]:
    """Those without a verdict that stands, in their order: who withdraws one puts its alert back into the queue."""
    return [alert for alert in alerts if standing(verdicts.get(alert.transaction_id, ())) == UNKNOWN]

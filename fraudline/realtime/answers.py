"""What the function answers with: decisions, problems, or what to do without a model; never more than it must say."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from fraudline.decision import Decision
from fraudline.realtime.config import Fallback
from fraudline.realtime.decide import ProfileState
from fraudline.realtime.events import BadRequest
from fraudline.transactions.transaction import CONFLICTING_ID, Problem

RETRY_AFTER_SECONDS = 5

# The shape that API Gateway, Function URLs and the seed's callers read.
Response = dict[str, Any]


class Answer(msgspec.Struct, frozen=True):
    """A decision, as a shop reads it; `profile` says what history the score knows."""

    is_fraud: int
    fraud_probability: float
    transaction_id: str
    threshold: float
    model_version: str
    reasons: tuple[str, ...]
    profile: ProfileState


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why there is no decision; where that is not the caller's fault, `is_fraud` says what to do without one."""

    errors: tuple[Problem, ...]
    is_fraud: int | None = None


class Outcome(NamedTuple):
    """What became of one record: an HTTP status, and an `Answer` (200) or a `Refusal`."""

    status: int
    body: Answer | Refusal


def answered(decision: Decision, profile: ProfileState) -> Outcome:
    answer = Answer(
        int(decision.is_fraud),
        decision.score,
        decision.transaction_id,
        decision.threshold,
        decision.model_version,
        decision.reasons,
        profile,
    )
    return Outcome(200, answer)


def bad_request(bad: BadRequest) -> Outcome:
    return Outcome(bad.status, Refusal((Problem(bad.field, bad.code, str(bad)),)))


def refused(problems: tuple[Problem, ...]) -> Outcome:
    """Bad input: 413 if it is too large, 409 if its id is taken, else 400."""
    return Outcome(_STATUS.get(problems[0].code, 400), Refusal(problems))


def conflicting() -> Outcome:
    message = "the id is taken by an earlier transaction with other values: send it under an id of its own"
    return refused((Problem("", CONFLICTING_ID, message),))


def unavailable(code: str, message: str, fallback: Fallback) -> Outcome:
    """No fault of the caller: try again, and until then do as `fallback` says."""
    return Outcome(503, Refusal((Problem("", code, message),), int(fallback == "closed")))


def single(outcome: Outcome) -> Response:
    """The response to a request with one transaction."""
    return _response(outcome.status, msgspec.json.encode(outcome.body))


def batch(outcomes: Sequence[Outcome]) -> Response:
    """The response to a request with many, each with its status; 200 unless no decision is to be had at all."""
    if all(outcome.status == 503 for outcome in outcomes):
        return single(outcomes[0])
    items = [{"status": outcome.status, **msgspec.to_builtins(outcome.body)} for outcome in outcomes]
    return _response(200, msgspec.json.encode({"answers": items}))


def item_failures(ids: Sequence[str]) -> Response:
    """The response to an event source mapping: which records to deliver again."""
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in ids]}


_STATUS = {"too_large": 413, CONFLICTING_ID: 409}
_JSON = {"content-type": "application/json"}


def _response(status: int, body: bytes) -> Response:
    headers = {**_JSON, "retry-after": str(RETRY_AFTER_SECONDS)} if status == 503 else _JSON
    return {"statusCode": status, "headers": headers, "body": body.decode()}

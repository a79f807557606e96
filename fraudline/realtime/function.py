"""The function: a call in, its answer out. All it works with is given to it; `start.py` makes the real things."""

import time
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

from fraudline.adapters.clock import now_micros
from fraudline.decision import Decision, digest
from fraudline.errors import Unavailable
from fraudline.realtime import answers
from fraudline.realtime.answers import Outcome, Refusal, Response
from fraudline.realtime.config import Config
from fraudline.realtime.decide import MISSING, Decider, ProfileState, Stored
from fraudline.realtime.events import BadRequest, Record, Request, parse
from fraudline.realtime.model import Models
from fraudline.realtime.ports import Profiles, Recorded, Recorder
from fraudline.realtime.telemetry import CallFacts, Telemetry
from fraudline.transactions.transaction import Rejected, Transaction

# Nobody waits for the second opinion on the stream, and one without history would be worth nothing.
STREAM_SECONDS = 3.0


class Result(NamedTuple):
    """One record's outcome, and what is counted and kept of it where it was scored."""

    outcome: Outcome
    profile: ProfileState | None = None
    decision: Decision | None = None


class Function:
    """Answers Lambda events."""

    def __init__(
        self,
        config: Config,
        models: Models,
        profiles: Profiles,
        recorder: Recorder,
        telemetry: Telemetry,
    ) -> None:
        self._config = config
        self._models = models
        self._profiles = profiles
        self._recorder = recorder
        self._telemetry = telemetry
        self._is_cold = True

    def answer(self, event: object, context: Any) -> Response:
        """The response to an event. Bad input, a missing model and a broken scorer are answers, too."""
        try:
            return self._answer(event, context)
        except Exception as error:  # a defect of ours: the shop still needs to know what to do, the stream to try again
            self._tell_defect("the call failed", error)
            if isinstance(event, dict) and "Records" in event:
                # Lambda logs what is raised, with its text and the place of each call.
                raise RuntimeError("the call failed: the line before tells of what and where") from None
            return answers.single(answers.unavailable("defect", "the function failed", self._config.fallback))

    def _answer(self, event: object, context: Any) -> Response:
        started = time.perf_counter()
        # The one model of this call, whichever takes over meanwhile.
        decider = self._models.current
        try:
            request = parse(event)
        except BadRequest as bad:
            request, results = Request("single", ()), [Result(answers.bad_request(bad))]
        else:
            results = self._results(decider, request)
        recorded = self._record(request, results)
        version = decider.bundle.version if decider else None
        self._tell(context, version, request.kind, results, recorded, time.perf_counter() - started)
        return _response(request, results, recorded)

    def _results(self, decider: Decider | None, request: Request) -> list[Result]:
        if decider is None:
            message = "there is no model yet: try again"
            return [Result(answers.unavailable("no_model", message, self._config.fallback))] * len(request.records)
        now = now_micros()
        decoded = [_decode(decider, record, now) for record in request.records]
        transactions = [transaction for transaction in decoded if isinstance(transaction, Transaction)]
        stored = iter(self._look_up(decider, transactions, request.kind == "stream"))
        return [
            Result(answers.refused(transaction.problems))
            if isinstance(transaction, Rejected)
            else self._decide(decider, transaction, next(stored), now)
            for transaction in decoded
        ]

    def _look_up(self, decider: Decider, transactions: Sequence[Transaction], is_stream: bool) -> Sequence[Stored]:
        if not transactions:
            return ()
        try:
            seconds = STREAM_SECONDS if is_stream else self._config.profile_deadline
            return self._profiles.look_up(decider, transactions, seconds)
        except (TimeoutError, Unavailable) as error:
            told = str(error) or type(error).__name__
            self._telemetry.event("WARNING", "profiles were not read in time", "ProfileReadsFailed", error=told)
        except Exception as error:  # a defect of ours must not keep a shop waiting for its answer
            self._tell_defect("profiles could not be read", error)
        return [MISSING] * len(transactions)

    def _decide(self, decider: Decider, transaction: Transaction, stored: Stored, now: int) -> Result:
        if stored.damage is not None:
            self._tell_defect("what is stored of a transaction is damaged", stored.damage)
        if stored.recorded is not None and stored.recorded.digest != digest(transaction):
            return Result(answers.conflicting())
        try:
            decision = decider.decide(transaction, stored, now)
        except Exception as error:  # whatever a scorer may raise, the shop needs to know what to do
            self._tell_defect("the scorer failed", error)
            return Result(answers.unavailable("scorer_error", "the scorer failed", self._config.fallback))
        return Result(answers.answered(decision, stored.state), stored.state, decision)

    def _record(self, request: Request, results: Sequence[Result]) -> Recorded:
        """Keep what was decided here; the second opinion only where it knew the history."""
        is_stream = request.kind == "stream"
        unwanted = ("recorded", "missing") if is_stream else ("recorded",)
        decisions = [r.decision for r in results if r.decision is not None and r.profile not in unwanted]
        return self._recorder.record(decisions, STREAM_SECONDS if is_stream else self._config.record_budget)

    def _tell(
        self,
        context: Any,
        version: str | None,
        kind: str,
        results: Sequence[Result],
        recorded: Recorded,
        seconds: float,
    ) -> None:
        profiles, refused = _counts(results)
        facts = CallFacts(
            getattr(context, "aws_request_id", ""),
            version,
            profiles,
            refused,
            sorted(recorded.errors),
            kind=kind,
            latency=seconds * 1000,
            transactions=len(results),
            refusals=sum(refused.values()),
            profile_misses=profiles.get("missing", 0),
            records_failed=len(recorded.failed),
            records_late=len(recorded.late),
            cold_starts=int(self._is_cold),
            scores=[result.decision.score for result in results if result.decision is not None],
        )
        self._telemetry.call(facts)
        self._is_cold = False

    def _tell_defect(self, message: str, error: Exception) -> None:
        """The error's kind and place; its text may hold what must not be logged."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}, {frame.name}"
        self._telemetry.event("ERROR", message, "Defects", error=type(error).__name__, place=place)


def _counts(results: Sequence[Result]) -> tuple[dict[str, int], dict[str, int]]:
    """How many records had which profile state, and how many were refused by which code."""
    profiles: dict[str, int] = {}
    refused: dict[str, int] = {}
    for outcome, profile, _ in results:
        if profile is not None:
            profiles[profile] = profiles.get(profile, 0) + 1
        if isinstance(outcome.body, Refusal):
            code = outcome.body.errors[0].code
            refused[code] = refused.get(code, 0) + 1
    return profiles, refused


def _decode(decider: Decider, record: Record, now: int) -> Transaction | Rejected:
    arrived_at = now if record.arrived_at is None else record.arrived_at
    if isinstance(record.data, bytes):
        return decider.validator.decode(record.data, arrived_at)
    return decider.validator.validate(record.data, arrived_at)


def _response(request: Request, results: Sequence[Result], recorded: Recorded) -> Response:
    if request.kind == "stream":
        return answers.item_failures(_failed_ids(request, results, recorded))
    outcomes = [result.outcome for result in results]
    return answers.batch(outcomes) if request.kind == "batch" else answers.single(outcomes[0])


def _failed_ids(request: Request, results: Sequence[Result], recorded: Recorded) -> list[str]:
    """Records to deliver again: no fault of theirs, they have no decision that is kept. Bad input is none of them."""
    lost = recorded.failed | recorded.late
    return [
        record.id
        for record, result in zip(request.records, results, strict=True)
        if result.outcome.status == 503
        or result.profile == "missing"
        or (result.decision is not None and result.decision.transaction_id in lost)
    ]

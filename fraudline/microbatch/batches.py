"""A batch read, then decided: both are functions of their arguments alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from fraudline.archive import Account, Refusal, Row
from fraudline.decision import STREAM, Decision, digest, pack
from fraudline.errors import Unavailable
from fraudline.features.online import OnlineFeatures
from fraudline.features.profile import History
from fraudline.microbatch.copies import Copies
from fraudline.microbatch.values import Event, Outcome, Reading, ScoringBundle, View
from fraudline.model.judging import judge
from fraudline.profiles import ProfileChange, decode_history, encode_history, profile_key
from fraudline.stream import NOTHING, Batch, Record, Shard
from fraudline.transactions.transaction import Problem, Rejected, Transaction
from fraudline.transactions.validation import Validator

# Reasons to refuse a record that are not the validator's.
WRONG_PARTITION_KEY = "wrong_partition_key"
WRONG_SHARD = "wrong_shard"
SCORER_ERROR = "scorer_error"
ENTITY_FULL = "entity_full"


class MicroBatches:
    """`read` and `decide` for one bundle, compiled once."""

    def __init__(self, bundle: ScoringBundle) -> None:
        self.bundle = bundle
        self.contract = bundle.contract
        self._online = OnlineFeatures(bundle.contract)
        self._validator = Validator(bundle.contract)
        self._entity_names = tuple(entity.name for entity in bundle.contract.entities)

    @property
    def generation(self) -> str:
        """Names the profiles this bundle reads and writes."""
        return self._online.set.hash

    def read(self, batch: Batch) -> Reading:
        """Decode and validate every record, and say what must be looked up."""
        events: list[Event] = []
        refused: list[Refusal] = []
        for record in batch.records:
            transaction = self._decode(record, batch.shard)
            if isinstance(transaction, Rejected):
                refused.append(Refusal(record.position, transaction.problems))
            else:
                events.append(Event(record, transaction, digest(transaction)))
        entities = [event.transaction.entities for event in events]
        keys = {
            (index, ids[index]): profile_key(name, ids[index], self.generation)
            for index, name in enumerate(self._entity_names)
            for ids in entities
        }
        return Reading(
            tuple(events),
            tuple(refused),
            {id_: key for (index, id_), key in keys.items() if index == 0},
            {(index - 1, id_): key for (index, id_), key in keys.items() if index > 0},
        )

    def _decode(self, record: Record, shard: Shard) -> Transaction | Rejected:
        transaction = self._validator.decode(record.data, record.arrived_at)
        if isinstance(transaction, Rejected):
            return transaction
        column = self.contract.partition_entity.column
        if record.partition_key != transaction.entities[0]:
            message = "is not the record's partition key: send the record under it"
            return Rejected((Problem(column, WRONG_PARTITION_KEY, message),))
        if not shard.owns(record.placed_by or record.partition_key):
            message = "does not hash into this shard: send the record without an explicit hash key"
            return Rejected((Problem(column, WRONG_SHARD, message),))
        return transaction

    def decide(self, batch: Batch, reading: Reading, view: View) -> Outcome:
        """Score what is new, in order; the rest is a duplicate, refused, or done by an earlier attempt."""
        copies, (scored, failed, profiles) = self._score(batch, reading.events, view)
        refused = sorted((*reading.refused, *copies.conflicts, *failed), key=lambda r: r.position)
        return Outcome(
            tuple([self._decision(batch, event) for event in scored]),
            tuple([_row(event) for event in scored]),
            tuple(_change(profile) for profile in profiles.values()),
            tuple(refused),
            tuple(copies.duplicates),
        )

    def _score(self, batch: Batch, events: Sequence[Event], view: View) -> tuple[Copies, "_Scores"]:
        copies = Copies(view)
        fresh = [event for event in events if copies.is_fresh(event)]
        try:
            return copies, self._score_together(batch, fresh, view)
        except Exception:  # whatever a scorer may raise: find out below which records it is about
            copies = Copies(view)
            return copies, self._score_apart(batch, events, view, copies)

    def _score_together(self, batch: Batch, events: Sequence[Event], view: View) -> "_Scores":
        working: dict[str, _Working] = {}
        computed = [self._advance(batch, event, self._profile(event, working, view), view) for event in events]
        scores = self.bundle.scorer.score_many([row.features for row in computed])
        scored = [self._judged(row, score) for row, score in zip(computed, scores, strict=True)]
        if not all(self._online.has_room(profile.history) for profile in working.values()):
            raise OverflowError("a profile has counted more than fits")
        return _Scores(scored, [], working)

    def _score_apart(self, batch: Batch, events: Sequence[Event], view: View, copies: Copies) -> "_Scores":
        """One by one, so that a record that no scorer or profile takes is refused alone and never counted.

        Nor is it the first copy of its id: one that follows is judged as if it came in a later batch.
        """
        working: dict[str, _Working] = {}
        scored: list[_Scored] = []
        failed: list[Refusal] = []
        for event in events:
            if not copies.is_fresh(event):
                continue
            tried = self._tried(batch, event, self._profile(event, working, view), view)
            if isinstance(tried, Problem):
                failed.append(copies.refused(event, tried))
            else:
                row, working[event.transaction.entities[0]] = tried
                scored.append(row)
        return _Scores(scored, failed, {id_: p for id_, p in working.items() if p.has_moved})

    def _tried(
        self, batch: Batch, event: Event, profile: "_Working", view: View
    ) -> "tuple[_Scored, _Working] | Problem":
        """The event scored, and its profile moved on; or why it is refused, and the profile is as it was."""
        try:
            trial = profile.copy()
            row = self._advance(batch, event, trial, view)
            judged = self._judged(row, self.bundle.scorer.score(row.features))
        except Unavailable:
            # Of the moment, not of the record: the batch is done again.
            raise
        except Exception as error:
            return Problem("", SCORER_ERROR, f"the scorer failed: {type(error).__name__}: {error}")
        return (judged, trial) if self._online.has_room(trial.history) else self._full()

    def _full(self) -> Problem:
        message = "has had all the transactions that can be summed up exactly: name an entity first that has fewer"
        return Problem(self.contract.partition_entity.column, ENTITY_FULL, message)

    def _profile(self, event: Event, working: dict[str, "_Working"], view: View) -> "_Working":
        id_ = event.transaction.entities[0]
        profile = working.get(id_)
        if profile is None:
            stored = view.profiles.get(id_)
            position = stored.position if stored else NOTHING
            history = decode_history(stored.history) if stored else self._online.new_history()
            key = profile_key(self._entity_names[0], id_, self.generation)
            profile = working[id_] = _Working(key, position, position, history)
        return profile

    def _advance(self, batch: Batch, event: Event, profile: "_Working", view: View) -> "_Scored":
        """The event's features, and the profile moved on by it."""
        transaction = event.transaction
        lagged = [view.lagged.get(key) for key in enumerate(transaction.entities[1:])]
        computed = self._online.features(transaction, profile.history, lagged, batch.intent.built_through)
        seen = profile.position
        self._online.count(profile.history, transaction, computed.effective_time)
        profile.position = event.record.position
        return _Scored(event, computed.features, computed.effective_time, seen)

    def _judged(self, row: "_Scored", score: float) -> "_Scored":
        judgement = judge(self.bundle, row.features, score)
        return row._replace(score=score, is_fraud=judgement.is_fraud, reasons=judgement.reasons)

    def _decision(self, batch: Batch, scored: "_Scored") -> Decision:
        transaction, intent, bundle = scored.event.transaction, batch.intent, self.bundle
        return Decision(
            transaction_id=transaction.id,
            origin=STREAM,
            score=scored.score,
            is_fraud=scored.is_fraud,
            threshold=bundle.threshold,
            model_version=bundle.version,
            reasons=scored.reasons,
            event_time=transaction.timestamp,
            effective_time=scored.effective_time,
            entities=dict(zip(self._entity_names, transaction.entities, strict=True)),
            amount=transaction.amount,
            features=pack(scored.features),
            position=scored.event.record.position,
            profile_position=scored.profile_position,
            scored_at=intent.scored_at,
            digest=scored.event.digest,
            built_through=intent.built_through,
        )


def account_of(batch: Batch, outcome: Outcome) -> Account:
    """What became of the batch's records, as the first attempt that archives it writes down."""
    intent = batch.intent
    return Account(
        shard=batch.shard.id,
        first=batch.records[0].position,
        last=batch.records[-1].position,
        model_version=intent.model_version,
        scored_at=intent.scored_at,
        built_through=intent.built_through,
        read=len(batch.records),
        scored=len(outcome.decisions),
        duplicates=outcome.duplicates,
        refused=outcome.refused,
        alerts=tuple(d.transaction_id for d in outcome.decisions if d.is_fraud),
    )


class _Scored(NamedTuple):
    event: Event
    features: list[float]
    effective_time: int
    profile_position: str
    score: float = -1.0
    is_fraud: bool = False
    reasons: tuple[str, ...] = ()


@dataclass
class _Working:
    """A profile as the batch moves it on; the stored one stays as it was read."""

    key: str
    read_position: str
    position: str
    history: History

    @property
    def has_moved(self) -> bool:
        return self.position != self.read_position

    def copy(self) -> "_Working":
        return _Working(self.key, self.read_position, self.position, decode_history(encode_history(self.history)))


class _Scores(NamedTuple):
    scored: list[_Scored]
    failed: list[Refusal]
    profiles: dict[str, _Working]


def _row(scored: _Scored) -> Row:
    record = scored.event.record
    return Row(record.position, record.arrived_at, scored.effective_time, msgspec.Raw(record.data))


def _change(profile: _Working) -> ProfileChange:
    return ProfileChange(profile.key, profile.read_position, profile.position, encode_history(profile.history))

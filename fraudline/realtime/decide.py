"""The decision on a transaction, from what is stored of its entities: the stream's features and scorer, read-only."""

from typing import Literal, NamedTuple

from fraudline.decision import REALTIME, Decision, digest, pack
from fraudline.features.online import OnlineFeatures
from fraudline.features.profile import History, LaggedHistory
from fraudline.model.bundle import Bundle
from fraudline.model.judging import judge
from fraudline.profiles import profile_key
from fraudline.stream import NOTHING
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator

# found: the entity's profile was read; new: it has none yet; missing: it could not be read in time or is damaged, so
# the score knows no history; recorded: the stream has decided on this very transaction already, and that is the answer.
ProfileState = Literal["found", "new", "missing", "recorded"]


class Stored(NamedTuple):
    """What is stored of one transaction: its entities' histories and the stream's decision, where there are any.

    `position` is what the partition entity's profile has counted; `lagged` follows the contract's lagged entities;
    `built_through` is the hour they are built through (None where the contract has none). `damage` is what reading it
    raised, where it is missing for that.
    """

    state: ProfileState
    position: str = NOTHING
    history: History | None = None
    lagged: tuple[LaggedHistory | None, ...] = ()
    built_through: int | None = None
    recorded: Decision | None = None
    damage: Exception | None = None


MISSING = Stored("missing")


class Decider:
    """Validates, computes features and scores for one bundle, compiled once; safe to use from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.validator = Validator(bundle.contract)
        self.online = OnlineFeatures(bundle.contract)
        self.entity_names = tuple(entity.name for entity in bundle.contract.entities)

    @property
    def generation(self) -> str:
        """Names the profiles this bundle reads."""
        return self.online.set.hash

    def profile_keys(self, transaction: Transaction) -> list[str]:
        """The keys of the transaction's profiles, the partition entity's first."""
        pairs = zip(self.entity_names, transaction.entities, strict=True)
        return [profile_key(name, id_, self.generation) for name, id_ in pairs]

    def decide(self, transaction: Transaction, stored: Stored, now: int) -> Decision:
        """The decision, made at `now` (microseconds since the epoch); the stream's own where it was first.

        `ValueError` if the scorer gives no probability: the stream refuses such a record, too.
        """
        if stored.recorded is not None:
            return stored.recorded
        bundle = self.bundle
        computed = self.online.features(transaction, stored.history, stored.lagged, stored.built_through)
        judgement = judge(bundle, computed.features, bundle.scorer.score(computed.features))
        return Decision(
            transaction_id=transaction.id,
            origin=REALTIME,
            score=judgement.score,
            is_fraud=judgement.is_fraud,
            threshold=bundle.threshold,
            model_version=bundle.version,
            reasons=judgement.reasons,
            event_time=transaction.timestamp,
            effective_time=computed.effective_time,
            entities=dict(zip(self.entity_names, transaction.entities, strict=True)),
            amount=transaction.amount,
            features=pack(computed.features),
            position=NOTHING,
            profile_position=stored.position,
            scored_at=now,
            digest=digest(transaction),
            built_through=stored.built_through,
        )

"""What goes into a micro-batch's decisions, and what comes out."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from fraudline.archive import Refusal, Row
from fraudline.contract import Contract
from fraudline.decision import Decision
from fraudline.features.profile import LaggedHistory
from fraudline.model.judging import Judge
from fraudline.model.scoring import Scorer
from fraudline.profiles import ProfileChange, StoredProfile
from fraudline.stream import Record
from fraudline.transactions.transaction import Transaction


class ScoringBundle(Judge, Protocol):
    """What scoring needs of a model version."""

    @property
    def version(self) -> str: ...

    @property
    def contract(self) -> Contract: ...

    @property
    def scorer(self) -> Scorer: ...


class Event(NamedTuple):
    """A record that is a transaction."""

    record: Record
    transaction: Transaction
    digest: bytes


class Reading(NamedTuple):
    """A decoded batch: events and refusals in order, and the keys of what to look up.

    `profile_keys` are by entity id, `lagged_keys` by (index of the lagged entity, id).
    """

    events: tuple[Event, ...]
    refused: tuple[Refusal, ...]
    profile_keys: dict[str, str]
    lagged_keys: dict[tuple[int, str], str]


class View(NamedTuple):
    """What is stored when the batch is decided, by the keys of `Reading`; of ids already decided, the digest.

    `counted` is None for a batch that has no archive object yet; otherwise the positions which that object lists,
    the only ones that may count, whatever is recorded (which then is left out: it may be this batch's own).
    """

    profiles: Mapping[str, StoredProfile]
    lagged: Mapping[tuple[int, str], LaggedHistory]
    recorded: Mapping[str, bytes]
    counted: frozenset[str] | None = None


class Outcome(NamedTuple):
    """What to write; `duplicates` holds positions. On a replay, only what an earlier attempt left undone."""

    decisions: tuple[Decision, ...]
    rows: tuple[Row, ...]
    changes: tuple[ProfileChange, ...]
    refused: tuple[Refusal, ...]
    duplicates: tuple[str, ...]

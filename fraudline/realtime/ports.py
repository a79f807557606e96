"""What the function needs of the outside: profiles to look up, and a place to keep decisions."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fraudline.decision import Decision
from fraudline.realtime.decide import Decider, Stored
from fraudline.transactions.transaction import Transaction


class Profiles(Protocol):
    """Where the function looks transactions up."""

    def look_up(self, decider: Decider, transactions: Sequence[Transaction], seconds: float) -> list[Stored]:
        """What is stored of each, in their order; `TimeoutError` or `Unavailable` if that takes over `seconds`."""
        ...


class Recorded(NamedTuple):
    """How it went by the end of its budget: ids of decisions that are not kept, and of those that still may be.

    `failed` has those of earlier calls, too, whose end was not known then; `errors` are sentences why, without values.
    """

    failed: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    errors: frozenset[str] = frozenset()


class Recorder(Protocol):
    """Where decisions are kept."""

    def record(self, decisions: Sequence[Decision], seconds: float) -> Recorded:
        """Start to keep them and wait no longer than `seconds`; called by one thread at a time."""
        ...


class NoRecorder:
    """Keeps nothing."""

    def record(self, decisions: Sequence[Decision], seconds: float) -> Recorded:
        return Recorded()

"""What one set of decisions flags and another does not, and what that costs.

Everything is a sum over transactions, so days are compared one by one and added: a diff of a year takes the memory of
its largest day. "Before" is what the new decisions are held against, whichever was made first.
"""

import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

# Of after - before: an odd number of bins between these and their negatives, the middle one for equal scores.
SHIFTS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5)
EDGES = (*(-shift for shift in reversed(SHIFTS)), *SHIFTS)
# Flips that are kept one by one, the dearest first.
DEAREST = 10


@dataclass(frozen=True)
class Tally:
    """Counts of transactions that both sides decided on; amounts in minor units.

    `raised` were flagged only after, `dropped` only before. `labelled` have a label, `frauds` of them are fraud; of the
    alerts that have a label, `caught` are right.
    """

    transactions: int = 0
    alerts_before: int = 0
    alerts_after: int = 0
    raised: int = 0
    dropped: int = 0
    raised_amount: int = 0
    dropped_amount: int = 0
    labelled: int = 0
    frauds: int = 0
    labelled_alerts_before: int = 0
    labelled_alerts_after: int = 0
    caught_before: int = 0
    caught_after: int = 0
    raised_frauds: int = 0
    dropped_frauds: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*map(operator.add, astuple(self), astuple(other)))

    @property
    def flipped(self) -> int:
        return self.raised + self.dropped

    @property
    def money_at_stake(self) -> int:
        """The sum of the amounts of flipped transactions, in minor units."""
        return self.raised_amount + self.dropped_amount

    @property
    def precision_before(self) -> float | None:
        """The share of frauds among labelled alerts; None where there is none."""
        return _share(self.caught_before, self.labelled_alerts_before)

    @property
    def precision_after(self) -> float | None:
        return _share(self.caught_after, self.labelled_alerts_after)

    @property
    def recall_before(self) -> float | None:
        """The share of known frauds that were flagged; None where none is known."""
        return _share(self.caught_before, self.frauds)

    @property
    def recall_after(self) -> float | None:
        return _share(self.caught_after, self.frauds)


@dataclass(frozen=True)
class Flip:
    """A transaction on which the two sides differ; `amount` in minor units, `label` -1 where none is known."""

    transaction_id: str
    timestamp: int
    amount: int
    before: float
    after: float
    raised: bool
    label: int


@dataclass(frozen=True)
class Diff:
    """Some days compared. `segments` are by category (or flag) and its value, `shifts` counts by bin of `EDGES`.

    `only_before` and `only_after` count what just one side decided on: it is in no tally. `flips` are the dearest.
    """

    days: Mapping[str, Tally] = field(default_factory=dict)
    segments: Mapping[tuple[str, str], Tally] = field(default_factory=dict)
    shifts: tuple[int, ...] = (0,) * (len(EDGES) + 1)
    equal_scores: int = 0
    only_before: int = 0
    only_after: int = 0
    flips: tuple[Flip, ...] = ()
    versions_before: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Diff") -> "Diff":
        return Diff(
            _added(self.days, other.days),
            _added(self.segments, other.segments),
            tuple(map(operator.add, self.shifts, other.shifts)),
            self.equal_scores + other.equal_scores,
            self.only_before + other.only_before,
            self.only_after + other.only_after,
            dearest((*self.flips, *other.flips)),
            Counter(self.versions_before) + Counter(other.versions_before),
        )

    @cached_property
    def total(self) -> Tally:
        return sum(self.days.values(), Tally())


def dearest(flips: tuple[Flip, ...]) -> tuple[Flip, ...]:
    """The `DEAREST` flips of each way by amount, those raised first; ties by id, so that the order of days is none."""
    ordered = sorted(flips, key=lambda flip: (-flip.amount, flip.transaction_id))
    ways = ([flip for flip in ordered if flip.raised is raised][:DEAREST] for raised in (True, False))
    return tuple(flip for way in ways for flip in way)


def shift_labels() -> tuple[str, ...]:
    """What each bin of `Diff.shifts` holds, in words."""
    outer = [f"{low:g} to {high:g}" for low, high in pairwise(SHIFTS)] + [f"{SHIFTS[-1]:g} or more"]
    return (*(f"down by {words}" for words in reversed(outer)), f"within {SHIFTS[0]:g}", *(f"up by {w}" for w in outer))


def _added(one: Mapping[Any, Tally], other: Mapping[Any, Tally]) -> dict[Any, Tally]:
    return {key: one.get(key, Tally()) + other.get(key, Tally()) for key in (*one, *(k for k in other if k not in one))}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

"""The skew monitor: one transaction scored on two paths at equal profile positions must have equal bits.

Unequal positions are no skew but staleness: one path saw an older profile. Any other difference is an alarm, and it
names the features.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from fraudline.decision import Decision, pack, unpack
from fraudline.features.definition import FeatureSet
from fraudline.features.online import OnlineFeatures
from fraudline.features.profile import History
from fraudline.transactions.transaction import Transaction

SCORE = "score"

# Features by transaction id, in the feature set's order.
Recomputed = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Difference:
    """Where two paths disagree on one transaction: a feature by name, or the score."""

    transaction_id: str
    what: str
    left: float
    right: float


@dataclass(frozen=True)
class Skew:
    """`compared` = equal + stale + transactions with differences."""

    compared: int
    stale: int
    differences: tuple[Difference, ...]

    @property
    def skewed(self) -> int:
        """Transactions that differ."""
        return len({difference.transaction_id for difference in self.differences})

    @property
    def equal(self) -> int:
        return self.compared - self.stale - self.skewed

    @property
    def named(self) -> dict[str, int]:
        """How many transactions differ in each feature, most first."""
        return dict(Counter(difference.what for difference in self.differences).most_common())


def compare_paths(left: Mapping[str, Decision], right: Mapping[str, Decision], names: Sequence[str]) -> Skew:
    """Decisions on the same transactions by two paths, by id; ids that only one of them has are not compared."""
    both = [(left[id_], right[id_]) for id_ in left if id_ in right]
    same = [(a, b) for a, b in both if _saw_the_same(a, b)]
    return Skew(len(both), len(both) - len(same), tuple(d for a, b in same for d in _differences(a, b, names)))


def compare_offline(decisions: Mapping[str, Decision], recomputed: Sequence[Recomputed], features: FeatureSet) -> Skew:
    """Recorded decisions against features that offline code computed, from each past that profiles may have counted.

    A feature differs if no past gives its recorded value. What a lagged entity's labels said then no archive knows:
    features of its risk are not compared.
    """
    risks = {f"{entity.name} risk" for entity in features.contract.lagged_entities}
    alike = [index for index, feature in enumerate(features.features) if feature.topic not in risks]
    both = [id_ for id_ in recomputed[0] if id_ in decisions]
    differences = (
        Difference(id_, features.names[index], recorded[index], recomputed[0][id_][index])
        for id_ in both
        for recorded in (unpack(decisions[id_].features),)
        for index in alike
        if all(_differ(recorded[index], past[id_][index]) for past in recomputed)
    )
    return Skew(len(both), 0, tuple(differences))


def rebuild(online: OnlineFeatures, counted: Iterable[tuple[Transaction, int]]) -> History:
    """An entity's history from all its archived transactions and their effective times, in the order they counted."""
    history = online.new_history()
    for transaction, effective_time in counted:
        online.count(history, transaction, effective_time)
    return history


def profile_differences(stored: History, rebuilt: History) -> list[str]:
    """The parts of a profile that its archive does not bear out."""
    left, right = msgspec.structs.asdict(stored), msgspec.structs.asdict(rebuilt)
    return [name for name in left if left[name] != right[name]]


def _saw_the_same(left: Decision, right: Decision) -> bool:
    return (left.profile_position, left.built_through, left.model_version) == (
        right.profile_position,
        right.built_through,
        right.model_version,
    )


def _differences(left: Decision, right: Decision, names: Sequence[str]) -> Iterator[Difference]:
    if left.features != right.features:
        values = zip(names, unpack(left.features), unpack(right.features), strict=True)
        yield from (Difference(left.transaction_id, name, a, b) for name, a, b in values if _differ(a, b))
    if left.score != right.score:
        yield Difference(left.transaction_id, SCORE, left.score, right.score)


def _differ(left: float, right: float) -> bool:
    """Bit for bit: a zero and a negative zero differ."""
    return pack([left]) != pack([right])

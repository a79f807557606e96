"""Whether one scorer is better than another beyond noise: a paired bootstrap over entities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.evaluation.judged import Floats, Labels


@dataclass(frozen=True)
class Comparison:
    """A difference in a utility between two scorers of the same rows, with the noise of a paired bootstrap."""

    difference: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Better beyond noise: the lower end of the 95% interval is above zero."""
        return self.low > 0.0

    @property
    def worse(self) -> bool:
        return self.high < 0.0


def compare_average_precision(
    label: Labels, ours: Floats, theirs: Floats, blocks: npt.NDArray[Any], seed: int = 0, rounds: int = 400
) -> Comparison:
    """Average precision of `ours` less that of `theirs`, blocks (entities) drawn with replacement.

    Frauds of one entity come in episodes, so entities are drawn, not rows. Drawing is by Poisson weights: the order of
    scores is sorted once for all rounds.
    """
    rng = np.random.default_rng(seed)
    first, second = _Ranked(label, ours), _Ranked(label, theirs)
    _, where = np.unique(blocks, return_inverse=True)
    count = int(where.max()) + 1
    differences = np.empty(rounds)
    for round_ in range(rounds):
        weight = rng.poisson(1.0, count)[where].astype(np.float64)
        differences[round_] = first.average_precision(weight) - second.average_precision(weight)
    whole = np.ones(len(label))
    low, high = np.quantile(differences, [0.025, 0.975])
    return Comparison(first.average_precision(whole) - second.average_precision(whole), float(low), float(high))


class _Ranked:
    """Labels in descending order of score, for average precision under any weights."""

    def __init__(self, label: Labels, score: Floats) -> None:
        self._order = np.argsort(-score, kind="stable")
        ranked = score[self._order]
        self._ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
        self._fraud = label[self._order] == 1

    def average_precision(self, weight: Floats) -> float:
        weight = weight[self._order]
        hits = np.cumsum(np.where(self._fraud, weight, 0.0))[self._ends]
        seen = np.cumsum(weight)[self._ends]
        if hits[-1] == 0.0:
            return 0.0
        steps = np.diff(np.r_[0.0, hits])
        return float((steps * hits / np.maximum(seen, 1e-300)).sum() / hits[-1])

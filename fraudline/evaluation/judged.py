"""What is measured: scores beside what became known of their transactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.durations import DAY
from fraudline.transactions.table import Integers

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Scored:
    """Scored transactions whose label is not known: people are alerted to them all the same."""

    score: Floats
    time: Integers


NONE_SCORED = Scored(np.zeros(0), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Judged:
    """Scored, labelled transactions: label 1 is fraud, amounts in the currency, times in microseconds.

    `score` is what was said without having seen the transaction. `served` (None: the same) is what thresholds are held
    against: the same margin under the calibration that is published, which has seen these transactions.
    `unlabelled` are the others of the same days, as served: they count as alerts, and in no other figure.
    """

    score: Floats
    label: Labels
    amount: Floats
    time: Integers
    entity: npt.NDArray[np.int32]
    unlabelled: Scored = NONE_SCORED
    served: Floats | None = None

    @property
    def held(self) -> Floats:
        """What thresholds are held against."""
        return self.score if self.served is None else self.served

    def take(self, rows: npt.NDArray[Any]) -> "Judged":
        """Some of the labelled ones, alone."""
        return Judged(
            self.score[rows],
            self.label[rows],
            self.amount[rows],
            self.time[rows],
            self.entity[rows],
            served=self.held[rows],
        )

    @property
    def days(self) -> int:
        """Calendar days with transactions, at least one."""
        return max(1, len(np.unique(np.r_[self.time, self.unlabelled.time] // DAY)))


def joined(parts: Sequence[Judged]) -> Judged:
    def column(name: str) -> npt.NDArray[Any]:
        return np.concatenate([attrgetter(name)(part) for part in parts])

    return Judged(
        score=column("score"),
        label=column("label"),
        amount=column("amount"),
        time=column("time"),
        entity=column("entity"),
        unlabelled=Scored(column("unlabelled.score"), column("unlabelled.time")),
        served=column("held"),
    )

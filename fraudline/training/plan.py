"""What to fit on which days: spans of time alone, before any row is looked at."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.features.definition import FeatureSet, feature_set
from fraudline.training.candidates import CANDIDATES, Candidate
from fraudline.transactions.table import TransactionTable

Mask = npt.NDArray[np.bool_]

TEST_LENGTH = 7 * DAY
FOLDS = 3


@dataclass(frozen=True)
class Fold:
    """A test span and the training span that ends a label delay before it; [begin, end) in microseconds."""

    train_begin: int
    train_end: int
    test_begin: int
    test_end: int


@dataclass
class Plan:
    """What to fit and when, derived from the contract and the as-of time."""

    contract: Contract
    as_of: int
    seed: int = 0
    candidates: tuple[Candidate, ...] = CANDIDATES
    excluded: Mask | None = None
    features: FeatureSet = field(init=False)

    def __post_init__(self) -> None:
        self.features = feature_set(self.contract)

    @property
    def mature_until(self) -> int:
        """Transactions before this have labels that are due: a midnight, for what is told by the day."""
        return (self.as_of - self.contract.label_delay) // DAY * DAY

    @property
    def newest_window(self) -> tuple[int, int]:
        """What the published model is fitted on: [begin, end) in microseconds."""
        return self.mature_until - self.contract.training_window, self.mature_until

    @property
    def earliest(self) -> int:
        """The first moment that any fold trains on."""
        folds = FOLDS * TEST_LENGTH
        return self.mature_until - folds - self.contract.label_delay - self.contract.training_window

    def window(self, table: TransactionTable) -> Mask:
        """The rows that folds and refit may use."""
        return (table.timestamp >= self.earliest) & (table.timestamp < self.mature_until)

    def folds(self, length: int, count: int) -> Iterator[Fold]:
        """So many test spans of a length in a row up to the newest mature day, oldest first, whatever is in them."""
        for number in reversed(range(count)):
            end = self.mature_until - number * length
            train_end = end - length - self.contract.label_delay
            yield Fold(train_end - self.contract.training_window, train_end, end - length, end)

"""The rows that a retrain learns from and is judged on, with their features."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudline.clock import format_day
from fraudline.errors import NotReady
from fraudline.evaluation.judged import Judged, Scored
from fraudline.features.offline import offline_features
from fraudline.training.plan import FOLDS, TEST_LENGTH, Fold, Mask, Plan
from fraudline.transactions.table import UNKNOWN, TransactionTable

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Unlabelled:
    """Transactions of the test spans whose label is not known, `features` (rows, features) and `time`."""

    features: Matrix
    time: npt.NDArray[np.int64]

    def tests(self, fold: Fold) -> Mask:
        return (self.time >= fold.test_begin) & (self.time < fold.test_end)


NONE_UNLABELLED = Unlabelled(np.zeros((0, 0)), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Dataset:
    """Labelled rows of the mature past with their features, and the table they came from.

    `rows` are positions in `table`; `features` (rows, features), `label`, `time` align with them. `unlabelled` are
    fitted and judged on by nothing, but count against the alert budget.
    """

    table: TransactionTable
    rows: npt.NDArray[np.int64]
    features: Matrix
    label: npt.NDArray[np.int8]
    time: npt.NDArray[np.int64]
    unlabelled: Unlabelled = NONE_UNLABELLED

    @property
    def known_at(self) -> npt.NDArray[np.int64]:
        return self.table.known_at[self.rows]

    @property
    def entity(self) -> npt.NDArray[np.int32]:
        """Whose each row is, numbered as they appear here: draws of entities tell nothing of what else was read."""
        return self.table.entities[0].take(self.rows).by_appearance().codes

    def span(self, begin: int, end: int) -> Mask:
        return (self.time >= begin) & (self.time < end)

    def trains(self, fold: Fold) -> Mask:
        """Rows that the fold's model may learn from: of its training span, labels known when its test span begins."""
        return self.span(fold.train_begin, fold.train_end) & (self.known_at <= fold.test_begin)

    def tests(self, fold: Fold) -> Mask:
        """Rows that the fold's model is judged on."""
        return self.span(fold.test_begin, fold.test_end)

    def judged(self, mask: Mask, score: Matrix, served: Matrix, unlabelled: Scored) -> Judged:
        rows, contract = self.rows[mask], self.table.contract
        return Judged(
            score=score,
            label=self.label[mask],
            amount=self.table.amount[rows] / contract.amount.minor_units,
            time=self.time[mask],
            entity=self.entity[mask],
            unlabelled=unlabelled,
            served=served,
        )


def prepare(table: TransactionTable, plan: Plan) -> Dataset:
    """Features of the labelled rows that folds and refit need; every earlier row is history.

    Rows that expectations excluded stay history but are not trained or judged on.
    """
    known = table.labels_known_by(plan.as_of)
    wanted, others = labelled(known, plan), _unlabelled(known, plan)
    label, time = known.label[wanted], known.timestamp[wanted]
    if not others.any():
        return Dataset(known, np.flatnonzero(wanted), offline_features(known, wanted), label, time)
    features, told = offline_features(known, wanted | others), wanted[wanted | others]
    unlabelled = Unlabelled(features[~told], known.timestamp[others])
    return Dataset(known, np.flatnonzero(wanted), features[told], label, time, unlabelled)


def _unlabelled(known: TransactionTable, plan: Plan) -> Mask:
    """The rows that no label is known of, of the days that folds may judge."""
    judged = known.timestamp >= plan.mature_until - FOLDS * TEST_LENGTH
    mask: Mask = (known.label == UNKNOWN) & plan.window(known) & judged
    return mask if plan.excluded is None else mask & ~plan.excluded


def labelled(known: TransactionTable, plan: Plan) -> Mask:
    """The rows that folds and refit may use, of a table with the labels known; `NotReady` without both classes."""
    wanted = (known.label >= 0) & plan.window(known)
    if plan.excluded is not None:
        wanted &= ~plan.excluded
    if not wanted.any():
        raise NotReady(_no_labels(plan, known))
    label = known.label[wanted]
    if label.min() == label.max():
        only = "fraud" if label[0] else "honest"
        raise NotReady(
            f"all {len(label)} mature transactions before {format_day(plan.mature_until)} are {only}: a model needs"
            " both; check the label column, or give a longer history"
        )
    return wanted


def _no_labels(plan: Plan, known: TransactionTable) -> str:
    as_of, earliest, mature = map(format_day, (plan.as_of, plan.earliest, plan.mature_until))
    if not len(known):
        return f"no transactions before {as_of}: choose a later --as-of, or give earlier files"
    first, last = format_day(int(known.timestamp.min())), format_day(int(known.timestamp.max()))
    if int(known.timestamp.max()) < plan.earliest:
        return (
            f"the newest transaction is of {last}, and a retrain as of {as_of} learns from {earliest} on: choose an"
            " earlier --as-of, or give later files"
        )
    if plan.window(known).any():
        return (
            f"no transaction from {earliest} to {mature} that may train has a label known by {as_of}: fill column"
            f" {plan.contract.label.column!r}, or give files of labels with --labels"
        )
    return (
        f"no mature labels as of {as_of}: labels come {plan.contract.label.delay} after their transaction and the file"
        f" spans {first} to {last}; choose a later --as-of"
    )

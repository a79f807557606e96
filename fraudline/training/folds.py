"""Walk-forward folds that a dataset has enough frauds for."""

from fraudline.clock import format_day
from fraudline.durations import DAY
from fraudline.errors import NotReady
from fraudline.training.dataset import Dataset
from fraudline.training.plan import FOLDS, TEST_LENGTH, Fold, Mask, Plan

# Fewer frauds than this measure nothing, and fit nothing.
MIN_FRAUDS = 10


def folds(dataset: Dataset, plan: Plan) -> list[Fold]:
    """Walk-forward folds, oldest first: at least two, each with enough frauds to train and to judge on.

    `NotReady` if there are not, or if the newest window, which the published model is fitted on, has not.
    """
    begin, end = plan.newest_window
    if not _enough(dataset, dataset.span(begin, end)):
        raise NotReady(
            f"fewer than {MIN_FRAUDS} frauds or honest transactions from {format_day(begin)} to"
            f" {format_day(end)}, the newest mature training window, are too few to train on: check its"
            " labels, or choose another --as-of"
        )
    for length, count in ((TEST_LENGTH, FOLDS), (TEST_LENGTH // 7 * 3, 2), (DAY, 2)):
        found = [fold for fold in plan.folds(length, count) if _usable(dataset, fold)]
        if len(found) >= 2:
            return found
    frauds = int((dataset.label == 1).sum())
    raise NotReady(
        f"{len(dataset.label)} mature transactions with {frauds} frauds before {format_day(plan.mature_until)} are too"
        f" few to train and judge on: {MIN_FRAUDS} frauds are needed in each of two test spans and before them;"
        " give a longer history"
    )


def _usable(dataset: Dataset, fold: Fold) -> bool:
    return _enough(dataset, dataset.trains(fold)) and _enough(dataset, dataset.tests(fold))


def _enough(dataset: Dataset, mask: Mask) -> bool:
    label = dataset.label[mask]
    return bool((label == 1).sum() >= MIN_FRAUDS and (label == 0).sum() >= MIN_FRAUDS)

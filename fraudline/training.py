"""One retrain, from a table to a measured, calibrated challenger: what is fitted on which days, and how it is judged.

All splits are by time and keep the gap that labels leave in service: a model that scores week w was fitted on labels
known when w began. Walk-forward folds measure each recipe; the published model is the winning recipe refitted on the
newest mature window. Nothing here reads files, clocks or settings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from fraudline.candidates import CANDIDATES, Candidate, Parameters, stripped
from fraudline.clock import format_day
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.errors import NotReady
from fraudline.evaluation import (
    Comparison,
    Judged,
    LabelAge,
    Metrics,
    Scored,
    Thresholds,
    average_precision,
    choose_thresholds,
    compare_average_precision,
    joined,
    measure,
    measure_ahead,
    measure_by_label_age,
)
from fraudline.export import check_agreement, margins_of, scorer_files, to_scorer
from fraudline.features.definition import FeatureSet, feature_set
from fraudline.features.offline import offline_features
from fraudline.scoring import Calibration, Scorer
from fraudline.scoring_matrix import score_matrix
from fraudline.table import UNKNOWN, TransactionTable

Mask = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float64]

TEST_LENGTH = 7 * DAY
FOLDS = 3
# Fewer frauds than this measure nothing, and fit nothing.
MIN_FRAUDS = 10


@dataclass(frozen=True)
class Fold:
    """A test span and the training span that ends a label delay before it; [begin, end) in microseconds."""

    train_begin: int
    train_end: int
    test_begin: int
    test_end: int


@dataclass(frozen=True)
class Unlabelled:
    """Transactions of the test spans whose label is not known, `features` (rows, features) and `time`."""

    features: Matrix
    time: npt.NDArray[np.int64]

    def span(self, begin: int, end: int) -> Mask:
        return (self.time >= begin) & (self.time < end)


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


@dataclass(frozen=True)
class Measured:
    """A recipe on walk-forward folds: parameters chosen, out-of-fold margins, figures over the judged folds."""

    candidate: Candidate
    parameters: Parameters
    tried: tuple[tuple[Parameters, float], ...]
    # Out-of-fold margins and labels of every fold, oldest first; what calibration is fitted on.
    margins: tuple[Matrix, ...]
    calibration: Calibration
    # Scores of the judged folds, calibrated on the folds before them; served as the published calibration does.
    judged: Judged
    thresholds: Thresholds
    metrics: Metrics
    # The judged folds, oldest first, and the figures of each.
    spans: tuple[Fold, ...]
    weekly: tuple[Metrics, ...]
    by_label_age: tuple[LabelAge, ...]
    # The newest fold at the threshold that the folds before it would have chosen; None if there are none.
    ahead: Metrics | None


@dataclass(frozen=True)
class Challenger:
    """The winning recipe refitted: its scorer, its pipeline for audit, and how it was chosen."""

    measured: Measured
    all_measured: tuple[Measured, ...]
    choice: str
    scorer: Scorer
    files: dict[str, bytes]
    pipeline: Pipeline
    training: dict[str, Any]
    train_features: Matrix
    train_scores: Matrix
    # What the newest judged fold's model says of its rows: comparable to a champion that never saw them.
    recent: Judged
    recent_rows: npt.NDArray[np.int64]


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
    def earliest(self) -> int:
        """The first moment that any fold trains on."""
        folds = FOLDS * TEST_LENGTH
        return self.mature_until - folds - self.contract.label_delay - self.contract.training_window

    def window(self, table: TransactionTable) -> Mask:
        """The rows that folds and refit may use."""
        return (table.timestamp >= self.earliest) & (table.timestamp < self.mature_until)


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


def folds(dataset: Dataset, plan: Plan) -> list[Fold]:
    """Walk-forward folds, oldest first: at least two, each with enough frauds to train and to judge on.

    `NotReady` if there are not, or if the newest window, which the published model is fitted on, has not.
    """
    begin = plan.mature_until - plan.contract.training_window
    if not _enough(dataset, dataset.span(begin, plan.mature_until)):
        raise NotReady(
            f"fewer than {MIN_FRAUDS} frauds or honest transactions from {format_day(begin)} to"
            f" {format_day(plan.mature_until)}, the newest mature training window, are too few to train on: check its"
            " labels, or choose another --as-of"
        )
    for length, count in ((TEST_LENGTH, FOLDS), (TEST_LENGTH // 7 * 3, 2), (DAY, 2)):
        found = [fold for fold in _spans(plan, length, count) if _usable(dataset, fold)]
        if len(found) >= 2:
            return found
    frauds = int((dataset.label == 1).sum())
    raise NotReady(
        f"{len(dataset.label)} mature transactions with {frauds} frauds before {format_day(plan.mature_until)} are too"
        f" few to train and judge on: {MIN_FRAUDS} frauds are needed in each of two test spans and before them;"
        " give a longer history"
    )


def _spans(plan: Plan, length: int, count: int) -> Iterator[Fold]:
    for number in reversed(range(count)):
        end = plan.mature_until - number * length
        train_end = end - length - plan.contract.label_delay
        yield Fold(train_end - plan.contract.training_window, train_end, end - length, end)


def _usable(dataset: Dataset, fold: Fold) -> bool:
    return _enough(dataset, dataset.trains(fold)) and _enough(dataset, dataset.span(fold.test_begin, fold.test_end))


def _enough(dataset: Dataset, mask: Mask) -> bool:
    label = dataset.label[mask]
    return bool((label == 1).sum() >= MIN_FRAUDS and (label == 0).sum() >= MIN_FRAUDS)


def measure_candidate(candidate: Candidate, dataset: Dataset, plan: Plan) -> Measured:
    """Search on the oldest fold, then walk forward with the parameters found; each fold calibrated on those before."""
    spans = folds(dataset, plan)
    parameters, tried, first = _search(candidate, dataset, plan, spans[0])
    labels = [dataset.label[dataset.span(fold.test_begin, fold.test_end)] for fold in spans]
    margins, tests = [first], []
    for fold in spans[1:]:
        before = calibrate(np.concatenate(margins), np.concatenate(labels[: len(margins)]))
        known, unknown = _margins(candidate, parameters, dataset, plan, fold)
        margins.append(known)
        tests.append(_Tested(fold, known, unknown, before))
    calibration = calibrate(np.concatenate(margins), np.concatenate(labels))
    weeks = [_judge(dataset, tested, calibration) for tested in tests]
    judged, alerts = joined(weeks), plan.contract.alerts
    thresholds = choose_thresholds(judged, alerts)
    threshold = thresholds.chosen(alerts)
    known_at = [dataset.known_at[dataset.span(fold.test_begin, fold.test_end)] for fold in spans[1:]]
    return Measured(
        candidate=candidate,
        parameters=parameters,
        tried=tried,
        margins=tuple(margins),
        calibration=calibration,
        judged=judged,
        thresholds=thresholds,
        metrics=measure(judged, threshold, alerts),
        spans=tuple(spans[1:]),
        weekly=tuple(measure(week, threshold, alerts) for week in weeks),
        by_label_age=measure_by_label_age(judged, plan.as_of - np.concatenate(known_at), threshold, alerts),
        ahead=measure_ahead([_judge(dataset, tested, tests[-1].before) for tested in tests], alerts),
    )


def _search(
    candidate: Candidate, dataset: Dataset, plan: Plan, fold: Fold
) -> tuple[Parameters, tuple[tuple[Parameters, float], ...], Matrix]:
    tried, best = [], None
    for parameters in candidate.grid:
        margins = fold_margins(candidate, parameters, dataset, plan, fold)
        figure = average_precision(dataset.label[dataset.span(fold.test_begin, fold.test_end)], margins)
        tried.append((parameters, figure))
        if best is None or figure > best[1]:
            best = (parameters, figure, margins)
    assert best is not None  # grids are not empty
    return best[0], tuple(tried), best[2]


def _fit(candidate: Candidate, parameters: Parameters, dataset: Dataset, plan: Plan, mask: Mask) -> Pipeline:
    """Fitted on the rows of the mask, sampler stripped. One thread: the sums of two differ in the last bit."""
    with threadpool_limits(1):
        pipeline = candidate.build(plan.features, parameters, plan.seed)
        return stripped(pipeline.fit(dataset.features[mask], dataset.label[mask]))


def fold_margins(candidate: Candidate, parameters: Parameters, dataset: Dataset, plan: Plan, fold: Fold) -> Matrix:
    """Margins of the fold's test rows, by the scorer of a model fitted on its training rows."""
    return _margins(candidate, parameters, dataset, plan, fold)[0]


def _margins(
    candidate: Candidate, parameters: Parameters, dataset: Dataset, plan: Plan, fold: Fold
) -> tuple[Matrix, Matrix]:
    """Margins of the fold's test rows, and of the unlabelled ones beside them."""
    mask = dataset.trains(fold)
    pipeline = _fit(candidate, parameters, dataset, plan, mask)
    scorer = to_scorer(candidate.kind, pipeline, plan.features, Calibration(), dataset.features[mask])
    known, unknown = (part.span(fold.test_begin, fold.test_end) for part in (dataset, dataset.unlabelled))
    return margins_of(scorer, dataset.features[known]), margins_of(scorer, dataset.unlabelled.features[unknown])


def calibrate(margins: Matrix, label: npt.NDArray[np.int8]) -> Calibration:
    """Platt's map, fitted on margins of time that the model was not fitted on."""
    platt = LogisticRegression(C=1e6).fit(margins.reshape(-1, 1), label)
    return Calibration(float(platt.coef_[0, 0]), float(platt.intercept_[0]))


def _calibrated(margins: Matrix, calibration: Calibration) -> Matrix:
    return np.fromiter(map(calibration.score, margins.tolist()), np.float64, len(margins))


class _Tested(NamedTuple):
    """Margins of a fold's test rows and of the unlabelled ones beside them; the calibration of the folds before it."""

    fold: Fold
    known: Matrix
    unknown: Matrix
    before: Calibration


def _judge(dataset: Dataset, tested: _Tested, published: Calibration) -> Judged:
    """Scored without having seen the fold; served as by a model with the `published` calibration.

    A threshold is chosen of what is served: on each fold's own scale it would let other numbers through.
    """
    span = tested.fold.test_begin, tested.fold.test_end
    return dataset.judged(
        dataset.span(*span),
        score=_calibrated(tested.known, tested.before),
        served=_calibrated(tested.known, published),
        unlabelled=Scored(
            _calibrated(tested.unknown, published), dataset.unlabelled.time[dataset.unlabelled.span(*span)]
        ),
    )


def choose(measured: list[Measured]) -> tuple[Measured, str]:
    """The candidate with the best average precision, unless a simpler one is within noise of it; and why."""
    ranking = [m for m in measured if m.calibration.slope > 0]
    if not ranking:
        raise NotReady(
            "no candidate gives frauds higher scores than honest transactions: check the labels, or add earlier files"
        )
    best = max(ranking, key=lambda m: m.metrics.average_precision)
    for simpler in ranking[: ranking.index(best)]:
        gain = _gain(best, simpler)
        if not gain.better:
            return simpler, (
                f"{simpler.candidate.name} is simpler than {best.candidate.name}, whose average precision"
                f" ({best.metrics.average_precision:.4f} against {simpler.metrics.average_precision:.4f})"
                f" is within noise (95% interval of the difference: {gain.low:+.4f} to {gain.high:+.4f})"
            )
    return best, f"{best.candidate.name} has the best average precision ({best.metrics.average_precision:.4f})"


def _gain(ours: Measured, theirs: Measured) -> Comparison:
    return compare_average_precision(ours.judged.label, ours.judged.score, theirs.judged.score, ours.judged.entity)


def refit(measured: Measured, dataset: Dataset, plan: Plan, choice: str, others: tuple[Measured, ...]) -> Challenger:
    """The recipe on the newest mature window, calibrated on all its out-of-fold margins."""
    end = plan.mature_until
    begin = end - plan.contract.training_window
    mask = dataset.span(begin, end)
    pipeline = _fit(measured.candidate, measured.parameters, dataset, plan, mask)
    train = dataset.features[mask]
    kind = measured.candidate.kind
    scorer = to_scorer(kind, pipeline, plan.features, measured.calibration, train)
    check_agreement(kind, scorer, pipeline, train)
    newest = folds(dataset, plan)[-1]
    recent = dataset.span(newest.test_begin, newest.test_end)
    tail = measured.judged.take(measured.judged.time >= newest.test_begin)
    return Challenger(
        measured=measured,
        all_measured=others,
        choice=choice,
        scorer=scorer,
        files=scorer_files(scorer, pipeline),
        pipeline=pipeline,
        training={
            "begin": format_day(begin),
            "end": format_day(end),
            "transactions": int(mask.sum()),
            "frauds": int((dataset.label[mask] == 1).sum()),
            "seed": plan.seed,
            "published": "the measured recipe, refitted on the newest mature window",
        },
        train_features=train,
        train_scores=score_matrix(scorer, train),
        recent=tail,
        recent_rows=dataset.rows[recent],
    )

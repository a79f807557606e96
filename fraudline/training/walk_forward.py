"""A recipe measured as it would fare in service: fitted, calibrated and judged fold after fold in time order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from fraudline.evaluation.judged import Judged, Scored, joined
from fraudline.evaluation.metrics import LabelAge, Metrics, average_precision, measure, measure_by_label_age
from fraudline.evaluation.thresholds import Thresholds, choose_thresholds, measure_ahead
from fraudline.model.scoring import Calibration
from fraudline.training.candidates import Candidate, Parameters, stripped
from fraudline.training.dataset import Dataset, Matrix
from fraudline.training.export import margins_of, to_scorer
from fraudline.training.folds import folds
from fraudline.training.plan import Fold, Mask, Plan


@dataclass(frozen=True)
class Measured:
    """A recipe on walk-forward folds: parameters chosen, calibration, figures over the judged folds."""

    candidate: Candidate
    parameters: Parameters
    tried: tuple[tuple[Parameters, float], ...]
    # Fitted on the out-of-fold margins of every fold.
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


def measure_candidate(candidate: Candidate, dataset: Dataset, plan: Plan) -> Measured:
    """Search on the oldest fold, then walk forward with the parameters found; each fold calibrated on those before."""
    spans = folds(dataset, plan)
    parameters, tried, first = _search(candidate, dataset, plan, spans[0])
    tests: list[_Tested] = []
    margins, calibration = [first], _calibrate(dataset, spans[:1], [first])
    for fold in spans[1:]:
        known, unknown = _margins(candidate, parameters, dataset, plan, fold)
        tests.append(_Tested(fold, known, unknown, calibration))
        margins.append(known)
        calibration = _calibrate(dataset, spans[: len(margins)], margins)
    weeks = [_judge(dataset, tested, calibration) for tested in tests]
    judged, alerts = joined(weeks), plan.contract.alerts
    thresholds = choose_thresholds(judged, alerts)
    threshold = thresholds.chosen(alerts)
    known_at = [dataset.known_at[dataset.tests(fold)] for fold in spans[1:]]
    return Measured(
        candidate=candidate,
        parameters=parameters,
        tried=tried,
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
        figure = average_precision(dataset.label[dataset.tests(fold)], margins)
        tried.append((parameters, figure))
        if best is None or figure > best[1]:
            best = (parameters, figure, margins)
    assert best is not None  # grids are not empty
    return best[0], tuple(tried), best[2]


def fold_margins(candidate: Candidate, parameters: Parameters, dataset: Dataset, plan: Plan, fold: Fold) -> Matrix:
    """Margins of the fold's test rows, by the scorer of a model fitted on its training rows."""
    return _margins(candidate, parameters, dataset, plan, fold)[0]


def _margins(
    candidate: Candidate, parameters: Parameters, dataset: Dataset, plan: Plan, fold: Fold
) -> tuple[Matrix, Matrix]:
    """Margins of the fold's test rows, and of the unlabelled ones beside them."""
    mask = dataset.trains(fold)
    pipeline = fit(candidate, parameters, dataset, plan, mask)
    scorer = to_scorer(candidate.kind, pipeline, plan.features, Calibration(), dataset.features[mask])
    known, unknown = (part.tests(fold) for part in (dataset, dataset.unlabelled))
    return margins_of(scorer, dataset.features[known]), margins_of(scorer, dataset.unlabelled.features[unknown])


def fit(candidate: Candidate, parameters: Parameters, dataset: Dataset, plan: Plan, mask: Mask) -> Pipeline:
    """Fitted on the rows of the mask, sampler stripped. One thread: the sums of two differ in the last bit."""
    with threadpool_limits(1):
        pipeline = candidate.build(plan.features, parameters, plan.seed)
        return stripped(pipeline.fit(dataset.features[mask], dataset.label[mask]))


def calibrate(margins: Matrix, label: npt.NDArray[np.int8]) -> Calibration:
    """Platt's map, fitted on margins of time that the model was not fitted on."""
    platt = LogisticRegression(C=1e6).fit(margins.reshape(-1, 1), label)
    return Calibration(float(platt.coef_[0, 0]), float(platt.intercept_[0]))


def _calibrate(dataset: Dataset, spans: Sequence[Fold], margins: Sequence[Matrix]) -> Calibration:
    """On the margins of all these folds."""
    label = np.concatenate([dataset.label[dataset.tests(fold)] for fold in spans])
    return calibrate(np.concatenate(margins), label)


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
    unlabelled = dataset.unlabelled.time[dataset.unlabelled.tests(tested.fold)]
    return dataset.judged(
        dataset.tests(tested.fold),
        score=_calibrated(tested.known, tested.before),
        served=_calibrated(tested.known, published),
        unlabelled=Scored(_calibrated(tested.unknown, published), unlabelled),
    )

"""The winning recipe and the model that is published of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.clock import format_day
from fraudline.errors import NotReady
from fraudline.evaluation.bootstrap import Comparison, compare_average_precision
from fraudline.evaluation.judged import Judged
from fraudline.model.matrix import score_matrix
from fraudline.model.scoring import Scorer
from fraudline.training.dataset import Dataset, Matrix
from fraudline.training.export import check_agreement, scorer_files, to_scorer
from fraudline.training.folds import folds
from fraudline.training.plan import Mask, Plan
from fraudline.training.walk_forward import Measured, fit


@dataclass(frozen=True)
class Challenger:
    """The winning recipe refitted: its scorer, its files, and how it was chosen."""

    measured: Measured
    all_measured: tuple[Measured, ...]
    choice: str
    scorer: Scorer
    files: dict[str, bytes]
    training: dict[str, Any]
    train_features: Matrix
    train_scores: Matrix
    # What the newest judged fold's model says of its rows: comparable to a champion that never saw them.
    recent: Judged
    recent_rows: npt.NDArray[np.int64]


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
    mask, kind = dataset.span(*plan.newest_window), measured.candidate.kind
    pipeline = fit(measured.candidate, measured.parameters, dataset, plan, mask)
    train = dataset.features[mask]
    scorer = to_scorer(kind, pipeline, plan.features, measured.calibration, train)
    check_agreement(kind, scorer, pipeline, train)
    newest = folds(dataset, plan)[-1]
    return Challenger(
        measured=measured,
        all_measured=others,
        choice=choice,
        scorer=scorer,
        files=scorer_files(scorer, pipeline),
        training=_told(dataset, mask, plan),
        train_features=train,
        train_scores=score_matrix(scorer, train),
        recent=measured.judged.take(measured.judged.time >= newest.test_begin),
        recent_rows=dataset.rows[dataset.tests(newest)],
    )


def _told(dataset: Dataset, mask: Mask, plan: Plan) -> dict[str, Any]:
    """What the manifest says of the rows that the published model was fitted on."""
    begin, end = map(format_day, plan.newest_window)
    return {
        "begin": begin,
        "end": end,
        "transactions": int(mask.sum()),
        "frauds": int((dataset.label[mask] == 1).sum()),
        "seed": plan.seed,
        "published": "the measured recipe, refitted on the newest mature window",
    }

"""Champion or challenger: one decision, made on the same recent rows, with its reason in a sentence."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from fraudline.evaluation.bootstrap import Comparison, compare_average_precision
from fraudline.evaluation.judged import Judged
from fraudline.evaluation.metrics import Metrics, average_precision

Action = Literal["promote", "shadow", "reject"]
# A first model must rank this many times better than chance to be acceptable; where fraud is so common that this can
# hardly be, half of the way from chance to perfection.
MIN_LIFT = 3.0
# Predicted frauds over actual ones: outside this range scores do not mean probabilities.
CALIBRATION_RANGE = (0.5, 2.0)
# Fewer frauds, or honest transactions, than this tell nothing of two models.
MIN_COMPARED = 10
# A challenger may lose this much average precision in no segment with at least so many frauds.
SEGMENT_MARGIN = 0.05
MIN_SEGMENT_FRAUDS = 30

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Decision:
    """What becomes of a challenger, why, and the figures it was decided on."""

    action: Action
    reason: str
    metrics: dict[str, float] = field(default_factory=dict)


def decide_first(metrics: Metrics) -> Decision:
    """No champion yet: the first acceptable model becomes it."""
    chance = max(1, metrics.frauds) / metrics.transactions
    lift, needed = metrics.average_precision / chance, min(MIN_LIFT, (1 + chance) / 2 / chance)
    if lift < needed:
        return Decision("reject", f"it ranks frauds only {lift:.1f} times better than chance; {needed:.2g} are needed")
    if problem := calibration_problem(metrics.predicted_to_actual):
        return Decision("reject", problem)
    return Decision("promote", f"first acceptable model: average precision {metrics.average_precision:.4f}")


def decide_unequal(metrics: Metrics, champion: str) -> Decision:
    """The champion has other features, so neither can score for the other: an acceptable model waits for people."""
    alone = decide_first(metrics)
    if alone.action == "reject":
        return alone
    return Decision(
        "shadow",
        f"the features changed, so it was not compared with champion {champion} (average precision of the"
        f" challenger: {metrics.average_precision:.4f}): `fraudline warm-up` builds their profiles, then promote it",
    )


def decide(challenger: Judged, champion_scores: npt.NDArray[np.float64], segments: dict[str, Mask]) -> Decision:
    """Challenger against champion on the same rows, which neither has learned from.

    `segments` are masks of these rows by name.
    """
    frauds, honest = (int((challenger.label == label).sum()) for label in (1, 0))
    if min(frauds, honest) < MIN_COMPARED:
        return Decision(
            "reject",
            f"only {frauds + honest} of the transactions to compare on, {frauds} of them fraud, are new to the"
            " champion, which remembers the rest: retrain as of a later day, or promote it by hand if you know it is"
            " better",
        )
    gain = compare_average_precision(challenger.label, challenger.score, champion_scores, challenger.entity)
    figures = {
        "challenger_average_precision": average_precision(challenger.label, challenger.score),
        "champion_average_precision": average_precision(challenger.label, champion_scores),
        "difference": gain.difference,
        "difference_low": gain.low,
        "difference_high": gain.high,
        "transactions": float(len(challenger.label)),
        "frauds": float(frauds),
    }
    interval = f"{gain.difference:+.4f} of average precision, 95% interval {gain.low:+.4f} to {gain.high:+.4f}"
    if not gain.better:
        return Decision("reject", f"{_verdict(gain)}: {interval}", figures)
    broken = _guards(challenger, champion_scores, segments)
    if broken:
        return Decision("shadow", f"better than the champion ({interval}), but {'; '.join(broken)}", figures)
    return Decision("promote", f"better than the champion: {interval}", figures)


def _verdict(gain: Comparison) -> str:
    return "worse than the champion" if gain.worse else "not better than the champion beyond noise"


def _guards(challenger: Judged, champion_scores: npt.NDArray[np.float64], segments: dict[str, Mask]) -> list[str]:
    frauds = max(1, int((challenger.label == 1).sum()))
    problems = [calibration_problem(float(challenger.score.sum()) / frauds)]
    problems += [
        _segment_problem(name, challenger.take(mask), champion_scores[mask]) for name, mask in segments.items()
    ]
    return [problem for problem in problems if problem]


def calibration_problem(predicted_to_actual: float) -> str | None:
    low, high = CALIBRATION_RANGE
    if low <= predicted_to_actual <= high:
        return None
    return f"it predicts {predicted_to_actual:.2f} times the frauds there were; {low} to {high} are allowed"


def _segment_problem(name: str, challenger: Judged, champion_scores: npt.NDArray[np.float64]) -> str | None:
    if (challenger.label == 1).sum() < MIN_SEGMENT_FRAUDS or (challenger.label == 0).sum() < MIN_SEGMENT_FRAUDS:
        return None
    loss = average_precision(challenger.label, champion_scores) - average_precision(challenger.label, challenger.score)
    return f"where {name} it loses {loss:.3f} ({SEGMENT_MARGIN} is allowed)" if loss > SEGMENT_MARGIN else None

"""Champion or challenger: one decision, made on the same recent rows, with its reason in a sentence."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from fraudline.evaluation import Comparison, Judged, Metrics, average_precision, compare_average_precision

Action = Literal["promote", "shadow", "reject"]
# A first model must rank this many times better than chance to be acceptable.
MIN_LIFT = 3.0
# Predicted frauds over actual ones: outside this range scores do not mean probabilities.
CALIBRATION_RANGE = (0.5, 2.0)
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
    lift = metrics.average_precision * metrics.transactions / max(1, metrics.frauds)
    if lift < MIN_LIFT:
        return Decision(
            "reject", f"it ranks frauds only {lift:.1f} times better than chance; {MIN_LIFT:.0f} are needed"
        )
    if problem := calibration_problem(metrics.predicted_to_actual):
        return Decision("reject", problem)
    return Decision("promote", f"first acceptable model: average precision {metrics.average_precision:.4f}")


def decide(challenger: Judged, champion_scores: npt.NDArray[np.float64], segments: dict[str, Mask]) -> Decision:
    """Challenger against champion on the same rows; `segments` are masks of these rows by name."""
    gain = compare_average_precision(challenger.label, challenger.score, champion_scores, challenger.entity)
    figures = {
        "challenger_average_precision": average_precision(challenger.label, challenger.score),
        "champion_average_precision": average_precision(challenger.label, champion_scores),
        "difference": gain.difference,
        "difference_low": gain.low,
        "difference_high": gain.high,
        "transactions": float(len(challenger.label)),
        "frauds": float((challenger.label == 1).sum()),
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

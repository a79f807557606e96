"""`evaluation.png`: what a model does, in six panels. Same figures, same bytes."""

import io
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt

matplotlib.use("Agg")
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from fraudline.contract import Contract
from fraudline.evaluation.judged import Judged
from fraudline.evaluation.metrics import Metrics

FRAUD, HONEST, LINE = "#c0392b", "#2c6fbb", "#444444"
# What is predicted below this is drawn at it.
LOWEST_SHARE = 1e-5
Panel = Any
Floats = npt.NDArray[np.float64]


def evaluation_picture(judged: Judged, metrics: Metrics, threshold: float, contract: Contract, title: str) -> bytes:
    """PNG bytes of precision-recall, ROC, confusion matrix, calibration, scores and cost over the threshold."""
    figure = Figure(figsize=(15, 9), dpi=80, layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    figure.suptitle(title, fontsize=14)
    _precision_recall(panels[0], judged, metrics)
    _roc(panels[1], judged, metrics)
    _confusion(panels[2], judged, threshold)
    _calibration(panels[3], judged, metrics)
    _scores(panels[4], judged, threshold)
    _cost(panels[5], judged, threshold, contract)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _precision_recall(panel: Panel, judged: Judged, metrics: Metrics) -> None:
    precision, recall, _ = precision_recall_curve(judged.label, judged.score)
    panel.plot(recall, precision, color=FRAUD)
    panel.scatter([metrics.recall], [metrics.precision], color=LINE, zorder=3, label="at the threshold")
    panel.axhline(metrics.frauds / metrics.transactions, color=LINE, lw=0.8, ls=":", label="by chance")
    panel.set(xlabel="Recall", ylabel="Precision", xlim=(0, 1.01), ylim=(0, 1.02))
    panel.set_title(f"Average precision {metrics.average_precision:.3f}")
    panel.legend(frameon=False, loc="lower left")


def _roc(panel: Panel, judged: Judged, metrics: Metrics) -> None:
    false_rate, true_rate, _ = roc_curve(judged.label, judged.score)
    panel.plot(false_rate, true_rate, color=FRAUD)
    panel.plot([0, 1], [0, 1], color=LINE, lw=0.8, ls=":")
    panel.set(xlabel="False positive rate", ylabel="True positive rate", xlim=(-0.01, 1), ylim=(0, 1.02))
    panel.set_title(f"ROC AUC {metrics.roc_auc:.3f}")


def _confusion(panel: Panel, judged: Judged, threshold: float) -> None:
    alert, fraud = judged.held >= threshold, judged.label == 1
    counts = np.array(
        [[(~alert & ~fraud).sum(), (alert & ~fraud).sum()], [(~alert & fraud).sum(), (alert & fraud).sum()]]
    )
    panel.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = count / counts[row].sum()
        panel.text(column, row, f"{count:,}\n{share:.1%}", ha="center", va="center", color="w" if share > 0.5 else "k")
    panel.set_xticks([0, 1], ["no alert", "alert"])
    panel.set_yticks([0, 1], ["honest", "fraud"])
    panel.set_title(f"At the threshold {threshold:.4f}")


def _calibration(panel: Panel, judged: Judged, metrics: Metrics) -> None:
    """Twentieths of the transactions; those without a fraud are the upper end of their interval alone."""
    groups = np.array_split(np.argsort(judged.score, kind="stable"), 20)
    predicted = np.array([max(float(judged.score[g].mean()), LOWEST_SHARE) for g in groups])
    actual = np.array([float(judged.label[g].mean()) for g in groups])
    bottoms, tops = _interval(actual, np.array([len(g) for g in groups]))
    low = min(float(predicted.min()), float(actual[actual > 0].min())) / 2
    panel.plot([low, 1], [low, 1], color=LINE, lw=0.8, ls=":", label="as predicted")
    panel.vlines(predicted, np.maximum(bottoms, low), tops, color=HONEST, lw=1, label="95% interval")
    panel.plot(predicted[actual > 0], actual[actual > 0], "o", color=HONEST, ms=4)
    panel.set(xscale="log", yscale="log", xlabel="Predicted share of fraud", ylabel="Actual share")
    panel.set(xlim=(low, 1.2), ylim=(low, 1.2))
    panel.legend(frameon=False, loc="upper left")
    error, ratio = metrics.expected_calibration_error, metrics.predicted_to_actual
    panel.set_title(f"Calibration: error {error:.4f}, {ratio:.2f} predicted per fraud")


def _interval(share: Floats, count: Floats) -> tuple[Floats, Floats]:
    """Where the true share lies with 95% confidence (Wilson), when `share` of `count` were seen."""
    z = 1.96
    middle = (share * count + z * z / 2) / (count + z * z)
    half = z * np.sqrt(share * (1 - share) * count + z * z / 4) / (count + z * z)
    return middle - half, middle + half


def _scores(panel: Panel, judged: Judged, threshold: float) -> None:
    bins = np.linspace(0, 1, 41)
    panel.hist(judged.held[judged.label == 0], bins, color=HONEST, alpha=0.75, label="honest")
    panel.hist(judged.held[judged.label == 1], bins, color=FRAUD, alpha=0.75, label="fraud")
    panel.axvline(threshold, color=LINE, lw=1, ls="--", label="threshold")
    panel.set(yscale="log", xlabel="Score", ylabel="Transactions")
    panel.set_title("Scores")
    panel.legend(frameon=False)


def _cost(panel: Panel, judged: Judged, threshold: float, contract: Contract) -> None:
    order = np.argsort(-judged.held, kind="stable")
    lost = np.where(judged.label == 1, judged.amount, 0.0)
    alerts = np.arange(1, len(order) + 1)
    cost = (lost.sum() - np.cumsum(lost[order]) + contract.alerts.review_cost * alerts) / judged.days
    shown = alerts <= 10 * contract.alerts.per_day * judged.days
    panel.plot(alerts[shown] / judged.days, cost[shown], color=FRAUD)
    panel.axvline(float((judged.held >= threshold).sum()) / judged.days, color=LINE, lw=1, ls="--", label="threshold")
    panel.axhline(lost.sum() / judged.days, color=LINE, lw=0.8, ls=":", label="without a model")
    among = ", labelled ones" if len(judged.unlabelled.score) else ""
    panel.set(xlabel=f"Alerts a day{among}", ylabel=f"{contract.amount.currency} a day", ylim=(0, None))
    panel.set_title("Missed fraud plus reviews")
    panel.legend(frameon=False)

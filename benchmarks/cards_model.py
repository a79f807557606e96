"""Average precision and ROC AUC on public card data, beside the handbook's features with the same learners.

    python -m benchmarks.cards_model [FOLDER] [--weeks N]

Each test week of June and July: train on 7 days, labels 7 days late. "unknown cards" leaves out, day by day, cards
whose fraud was known by then, as the handbook does. FOLDER holds the months' Parquet files (by default
../shared/data/cards).
"""

import argparse
import sys
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits

from fraudline.adapters.inputs.files import load_transactions
from fraudline.clock import day_start
from fraudline.contract import load_contract
from fraudline.durations import DAY
from fraudline.features.definition import Feature
from fraudline.features.offline import offline_features
from fraudline.training.candidates import CANDIDATES, Candidate
from fraudline.training.dataset import Dataset
from fraudline.training.plan import Fold, Plan
from fraudline.training.walk_forward import calibrate, fold_margins
from fraudline.transactions.table import TransactionTable

FIRST_WEEK, WEEKS = date(2018, 6, 1), 8
DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "cards"


@dataclass(frozen=True)
class Week:
    """Figures of one candidate on one test week."""

    average_precision: float
    roc_auc: float
    unknown_average_precision: float
    unknown_roc_auc: float
    margins: npt.NDArray[np.float64]
    label: npt.NDArray[np.int8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--weeks", type=int, default=WEEKS)
    arguments = parser.parse_args()
    if not arguments.folder.exists():
        sys.exit(f"{arguments.folder} is not there: this benchmark needs the public card data")
    contract = load_contract("cards")
    table = load_transactions(contract, [str(arguments.folder)]).table
    plan = Plan(contract, day_start(date(2018, 8, 1)))
    rows = np.flatnonzero(table.timestamp >= day_start(FIRST_WEEK) - 14 * DAY)
    wanted = np.zeros(len(table), bool)
    wanted[rows] = True
    label, time = table.label[rows], table.timestamp[rows]
    ours = Dataset(table, rows, offline_features(table, wanted), label, time)
    handbook = replace(ours, features=handbook_features(table)[rows])
    out = Table(title=f"{arguments.weeks} test weeks from {FIRST_WEEK}: mean (spread) of each figure")
    for column in ("features", "candidate", "AP", "AUC", "AP unknown cards", "AUC unknown cards", "predicted/actual"):
        out.add_column(column, justify="right")
    with threadpool_limits(1):
        for name, dataset, definition in (("fraudline", ours, None), ("handbook", handbook, HANDBOOK)):
            for candidate in CANDIDATES:
                weeks = [_week(candidate, dataset, plan, w, definition) for w in range(arguments.weeks)]
                out.add_row(name, candidate.name, *_row(weeks))
    Console(width=140).print(out)


def _row(weeks: list[Week]) -> list[str]:
    names = ("average_precision", "roc_auc", "unknown_average_precision", "unknown_roc_auc")
    figures = np.array([[getattr(week, name) for name in names] for week in weeks])
    shown = [f"{mean:.4f} ({spread:.3f})" for mean, spread in zip(figures.mean(0), figures.std(0), strict=True)]
    return [*shown, f"{_predicted_to_actual(weeks):.3f}"]


def _predicted_to_actual(weeks: list[Week]) -> float:
    """Frauds predicted over actual ones in all weeks but the first, each calibrated on those before it."""
    predicted = actual = 0.0
    for number in range(1, len(weeks)):
        before = weeks[:number]
        calibration = calibrate(
            np.concatenate([week.margins for week in before]), np.concatenate([week.label for week in before])
        )
        predicted += sum(calibration.score(margin) for margin in weeks[number].margins.tolist())
        actual += float(weeks[number].label.sum())
    return predicted / actual if actual else float("nan")


def _week(candidate: Candidate, dataset: Dataset, plan: Plan, number: int, definition: Any) -> Week:
    begin = day_start(FIRST_WEEK) + number * 7 * DAY
    fold = Fold(begin - 14 * DAY, begin - 7 * DAY, begin, begin + 7 * DAY)
    if definition is not None:
        plan = replace(plan)
        plan.features = plan.features._replace(features=definition)
    margins = fold_margins(candidate, candidate.grid[0], dataset, plan, fold)
    test = dataset.span(fold.test_begin, fold.test_end)
    label = dataset.label[test]
    unknown = _unknown_cards(dataset, fold)[test]
    return Week(
        float(average_precision_score(label, margins)),
        float(roc_auc_score(label, margins)),
        float(average_precision_score(label[unknown], margins[unknown])),
        float(roc_auc_score(label[unknown], margins[unknown])),
        margins,
        label,
    )


def _unknown_cards(dataset: Dataset, fold: Fold) -> npt.NDArray[np.bool_]:
    """Rows of the test week whose card had no fraud known by that day."""
    cards = dataset.table.entities[0].codes[dataset.rows]
    keep = np.zeros(len(cards), bool)
    for day in range(fold.test_begin, fold.test_end, DAY):
        known = dataset.span(fold.train_begin, day - 7 * DAY) & (dataset.label == 1)
        keep |= dataset.span(day, day + DAY) & ~np.isin(cards, np.unique(cards[known]))
    return keep


HANDBOOK = tuple(
    Feature(name, "", name, name)
    for name in (
        "amount",
        "weekend",
        "night",
        *(f"customer_{what}_{w}" for w in (1, 7, 30) for what in ("count", "mean")),
        *(f"terminal_{what}_{w}" for w in (1, 7, 30) for what in ("count", "risk")),
    )
)


def handbook_features(table: TransactionTable) -> npt.NDArray[np.float64]:
    """The handbook's 15: amount, weekend, night; per customer count and mean amount, per terminal count and risk."""
    time = pd.to_datetime(table.timestamp, unit="us")
    frame = pd.DataFrame(
        {
            "time": time,
            "customer": table.entities[0].codes,
            "terminal": table.entities[1].codes,
            "amount": table.amount / 100,
            "fraud": table.label.astype(float),
            "one": 1.0,
        }
    )
    columns: list[Any] = [frame["amount"], (time.day_of_week >= 5).astype(float), (time.hour <= 6).astype(float)]
    for days in (1, 7, 30):
        count = _rolling(frame, "customer", "one", days)
        columns += [count, _rolling(frame, "customer", "amount", days) / count]
    late_count, late_fraud = (_rolling(frame, "terminal", what, 7) for what in ("one", "fraud"))
    for days in (1, 7, 30):
        count = _rolling(frame, "terminal", "one", days + 7) - late_count
        fraud = _rolling(frame, "terminal", "fraud", days + 7) - late_fraud
        columns += [count, np.where(count > 0, fraud / np.maximum(count, 1), 0.0)]
    return np.column_stack(columns)


def _rolling(frame: pd.DataFrame, key: str, value: str, days: int) -> npt.NDArray[np.float64]:
    """Sum of a column over the last days of the same customer or terminal, this row included."""
    ordered = frame.sort_values([key, "time"], kind="stable")
    sums = ordered.set_index("time").groupby(key)[value].rolling(f"{days}D").sum()
    out = np.empty(len(frame))
    out[ordered.index.to_numpy()] = sums.to_numpy()
    return out


if __name__ == "__main__":
    main()

"""Average precision on simulated shops, beside the seed's pipeline on the same later week.

    python -m benchmarks.ecommerce_model [--seeds 0 1 2 3 4]

Train on days [10, 38) as in service, labels 7 days late; test on the week that follows.
"""

import argparse

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score
from threadpoolctl import threadpool_limits

from benchmarks.seed_baseline import fit_seed_pipeline, score
from fraudline.contract import load_contract
from fraudline.durations import DAY
from fraudline.features.offline import offline_features
from fraudline.simulate import Population, simulate
from fraudline.training.candidates import CANDIDATES
from fraudline.training.dataset import Dataset
from fraudline.training.plan import Fold, Plan
from fraudline.training.walk_forward import fold_margins
from fraudline.transactions.columns import screen

AS_OF, TEST_DAYS, DELAY_DAYS, TRAIN_DAYS = 38, 7, 7, 28


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--users", type=int, default=2000)
    arguments = parser.parse_args()
    names = ["seed's pipeline", *(candidate.name for candidate in CANDIDATES)]
    rows = [_figures(seed, arguments.users) for seed in arguments.seeds]
    table = Table(title="Average precision on the same later week")
    for column in ("population", *names):
        table.add_column(column, justify="right")
    for seed, figures in zip(arguments.seeds, rows, strict=True):
        table.add_row(str(seed), *(f"{figure:.3f}" for figure in figures))
    table.add_row("mean", *(f"{figure:.3f}" for figure in np.mean(rows, axis=0)))
    Console(width=120).print(table)


def _figures(seed: int, users: int) -> list[float]:
    frame = simulate(Population(users=users, seed=seed))
    contract = load_contract("ecommerce")
    table = screen(contract, pa.Table.from_pandas(frame, preserve_index=False), "simulated").table.sorted()
    first = int(table.timestamp.min()) // DAY * DAY
    test = first + AS_OF * DAY
    train_end = test - DELAY_DAYS * DAY
    fold = Fold(train_end - TRAIN_DAYS * DAY, train_end, test, test + TEST_DAYS * DAY)
    every = np.arange(len(table))
    dataset = Dataset(table, every, offline_features(table), table.label, table.timestamp)
    plan = Plan(contract, test)
    label = table.label[dataset.span(fold.test_begin, fold.test_end)]
    with threadpool_limits(1):
        ours = [
            float(average_precision_score(label, fold_margins(c, c.grid[-1], dataset, plan, fold))) for c in CANDIDATES
        ]
    train, later = (
        frame[dataset.span(*span)] for span in ((fold.train_begin, train_end), (fold.test_begin, fold.test_end))
    )
    theirs = average_precision_score(later["is_fraud"], score(fit_seed_pipeline(train), later))
    return [float(theirs), *ours]


if __name__ == "__main__":
    main()

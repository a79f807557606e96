"""The seed's fraud pipeline, to be beaten: a random forest on each transaction's own columns, no history.

One-hot `device_type`, `location`, `card_type` and `is_vpn`, with amount, hour and weekday; median imputer,
scaler, SMOTE, 200 trees of depth 10. Simulates populations, trains on 28 days of mature labels, and prints
the average precision on the week that follows the label delay:

    python -m benchmarks.seed_baseline --seeds 0 1 2
"""

import argparse
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fraudline.simulate import LABEL, Population, simulate

CATEGORIES = ["device_type", "location", "card_type", "is_vpn"]
NUMBERS = ["amount", "hour", "weekday"]
TRAIN_DAYS, LABEL_DELAY_DAYS, TEST_DAYS = 28, 7, 7


def raw_columns(transactions: pd.DataFrame) -> pd.DataFrame:
    """The seed's inputs: the row's own columns, with hour and weekday (Monday is 0) of its UTC timestamp."""
    moment = pd.to_datetime(transactions["timestamp"], utc=True)
    return transactions[[*CATEGORIES, "amount"]].assign(hour=moment.dt.hour, weekday=moment.dt.day_of_week)


def fit_seed_pipeline(train: pd.DataFrame, seed: int = 0) -> Pipeline:
    """Fit the seed's pipeline on labelled transactions."""
    columns = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
        ]
    )
    forest = RandomForestClassifier(n_estimators=200, max_depth=10, random_state=seed, n_jobs=2)
    pipeline = Pipeline([("columns", columns), ("smote", SMOTE(random_state=seed)), ("forest", forest)])
    return pipeline.fit(raw_columns(train), train[LABEL])


def score(pipeline: Pipeline, transactions: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The seed's probability of fraud of each transaction."""
    return np.asarray(pipeline.predict_proba(raw_columns(transactions))[:, 1])


def split(transactions: pd.DataFrame, as_of: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test rows as of a day: four weeks with labels known by then, and the week from then on."""
    moment = pd.to_datetime(transactions["timestamp"], utc=True)
    mature = as_of - timedelta(days=LABEL_DELAY_DAYS)
    train = moment.between(mature - timedelta(days=TRAIN_DAYS), mature, inclusive="left")
    test = moment.between(as_of, as_of + timedelta(days=TEST_DAYS), inclusive="left")
    return transactions[train], transactions[test]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="populations to simulate")
    print("seed    rows  test frauds  average precision  ROC AUC")
    for seed in parser.parse_args().seeds:
        population = Population(seed=seed)
        as_of = pd.Timestamp(population.start, tz="UTC") + timedelta(days=population.days - TEST_DAYS)
        transactions = simulate(population)
        train, test = split(transactions, as_of)
        scores, truth = score(fit_seed_pipeline(train), test), test[LABEL]
        precision, auc = average_precision_score(truth, scores), roc_auc_score(truth, scores)
        print(f"{seed:4d} {len(transactions):7d} {truth.sum():12d} {precision:18.3f} {auc:8.3f}", flush=True)


if __name__ == "__main__":
    main()

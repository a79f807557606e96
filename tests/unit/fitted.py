"""Real models fitted on simulated transactions, small enough for a unit test, and whole versions made of them."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from fraudline.contract import Contract, load_contract
from fraudline.features.definition import feature_set
from fraudline.model.scoring import Calibration, Scorer
from fraudline.training.candidates import CANDIDATES, Candidate, stripped
from fraudline.training.export import to_scorer
from tests.realtime.bundles import examples

SMALL: dict[str, dict[str, Any]] = {
    "logistic": {"C": 0.01},
    "logistic_smote": {"C": 0.01, "fraud_share": 0.2},
    "boosted_trees": {"trees": 40, "learning_rate": 0.1, "depth": 3, "smallest_leaf": 10},
}


@dataclass(frozen=True)
class Fitted:
    """A candidate fitted on `features` (rows, features) and `label`, and the scorer made of it."""

    contract: Contract
    candidate: Candidate
    pipeline: Pipeline
    scorer: Scorer
    features: npt.NDArray[np.float64]
    label: npt.NDArray[np.int8]


@lru_cache(maxsize=1)
def simulated() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    features, labels = examples(load_contract("ecommerce"))
    return np.array(features, order="F"), np.array(labels, dtype=np.int8)


@lru_cache(maxsize=4)
def fitted(name: str) -> Fitted:
    contract = load_contract("ecommerce")
    features, label = simulated()
    candidate = next(candidate for candidate in CANDIDATES if candidate.name == name)
    definition = feature_set(contract)
    pipeline = stripped(candidate.build(definition, SMALL[name], 0).fit(features, label))
    scorer = to_scorer(candidate.kind, pipeline, definition, Calibration(0.9, -0.4), features)
    return Fitted(contract, candidate, pipeline, scorer, features, label)

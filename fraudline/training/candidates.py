"""The models that every retrain fits, each a scikit-learn pipeline with a small, bounded set of parameters to try.

They stand from simple to complex: of two that measure alike, the earlier one is chosen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from imblearn.over_sampling import SMOTE, SMOTENC
from imblearn.pipeline import Pipeline as SamplingPipeline
from imblearn.under_sampling import RandomUnderSampler
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from fraudline.errors import BadInput
from fraudline.features.definition import FeatureSet
from fraudline.pieces import PiecewiseLinear

Parameters = dict[str, Any]
Build = Callable[[FeatureSet, Parameters, int], Pipeline]
# Boosting sees all frauds and so many honest transactions for each; calibration puts the rate right again.
HONEST_PER_FRAUD = 20


@dataclass(frozen=True)
class Candidate:
    """A kind of model: how to build it from parameters and a seed, and which parameters to try."""

    name: str
    kind: Literal["linear", "trees"]
    build: Build
    grid: tuple[Parameters, ...]
    sentence: str


def _logistic(_: FeatureSet, parameters: Parameters, seed: int) -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("pieces", PiecewiseLinear()), ("model", _regression(parameters))])


def _logistic_smote(features: FeatureSet, parameters: Parameters, seed: int) -> Pipeline:
    """SMOTE between scaling and pieces: neighbours are sought, and points made, among comparable features."""
    share = parameters["fraud_share"]
    binary = binary_features(features)
    sampler = (
        SMOTENC(binary.tolist(), sampling_strategy=_OverSample(share), random_state=seed)
        if len(binary)
        else SMOTE(sampling_strategy=_OverSample(share), random_state=seed)
    )
    steps = [("scale", StandardScaler()), ("smote", sampler), ("pieces", PiecewiseLinear())]
    return SamplingPipeline([*steps, ("model", _regression(parameters))])


def _boosted_trees(_: FeatureSet, parameters: Parameters, seed: int) -> Pipeline:
    """Exact splits rather than histograms: 255 quantile bins hide the informative top of the amounts."""
    model = GradientBoostingClassifier(
        n_estimators=parameters["trees"],
        learning_rate=parameters["learning_rate"],
        max_depth=parameters["depth"],
        subsample=0.7,
        max_features=0.2,
        min_samples_leaf=parameters["smallest_leaf"],
        random_state=seed,
    )
    sampler = RandomUnderSampler(sampling_strategy=_UnderSample(HONEST_PER_FRAUD), random_state=seed)
    return SamplingPipeline([("sample", sampler), ("model", model)])


def _regression(parameters: Parameters) -> LogisticRegression:
    return LogisticRegression(C=parameters["C"], max_iter=500, tol=1e-4)


class _OverSample:
    """Frauds wanted: this share of the honest transactions, never fewer than there are."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, y: npt.NDArray[Any]) -> dict[int, int]:
        frauds, honest = int((y == 1).sum()), int((y == 0).sum())
        return {1: max(frauds, round(self.share * honest))}

    def __repr__(self) -> str:
        return f"frauds up to {self.share} of the honest"


class _UnderSample:
    """Honest transactions wanted: so many for each fraud, never more than there are."""

    def __init__(self, per_fraud: int) -> None:
        self.per_fraud = per_fraud

    def __call__(self, y: npt.NDArray[Any]) -> dict[int, int]:
        frauds, honest = int((y == 1).sum()), int((y == 0).sum())
        return {0: min(honest, self.per_fraud * frauds)}


def binary_features(features: FeatureSet) -> npt.NDArray[np.int64]:
    """Positions of the features that are 0 or 1: nothing lies between them."""
    flags = {flag.name for flag in features.contract.flags}
    binary = [f.name in flags or f.expression.startswith("indicator(") for f in features.features]
    return np.flatnonzero(binary)


CANDIDATES = (
    Candidate(
        "logistic",
        "linear",
        _logistic,
        ({"C": 0.002}, {"C": 0.1}),
        "Logistic regression on piecewise-linear features",
    ),
    Candidate(
        "logistic_smote",
        "linear",
        _logistic_smote,
        ({"C": 0.002, "fraud_share": 0.05}, {"C": 0.1, "fraud_share": 0.05}),
        "The same on frauds multiplied by SMOTE",
    ),
    Candidate(
        "boosted_trees",
        "trees",
        _boosted_trees,
        (
            {"trees": 200, "learning_rate": 0.06, "depth": 4, "smallest_leaf": 30},
            {"trees": 200, "learning_rate": 0.06, "depth": 4, "smallest_leaf": 10},
        ),
        "Gradient-boosted trees",
    ),
)


def candidates_named(names: Sequence[str]) -> tuple[Candidate, ...]:
    """The candidates of these names, from simple to complex; all of them for none."""
    known = [candidate.name for candidate in CANDIDATES]
    if unknown := [name for name in names if name not in known]:
        raise BadInput(f"there is no candidate {unknown[0]!r}: choose of {', '.join(known)}")
    return tuple(candidate for candidate in CANDIDATES if not names or candidate.name in names)


def stripped(pipeline: Pipeline) -> Pipeline:
    """The fitted pipeline without its sampler: it predicts the same, and carries no training rows."""
    return Pipeline([step for step in pipeline.steps if not hasattr(step[1], "fit_resample")])

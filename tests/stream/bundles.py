"""A small bundle with the real linear scorer: no training, and scores that move with every feature."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from fraudline.contract import Contract, load_contract
from fraudline.features.definition import feature_set
from fraudline.model.scoring import Calibration, Curve, LinearModel, LinearScorer


@dataclass(frozen=True)
class SmallBundle:
    """Everything that scoring asks of a bundle."""

    contract: Contract
    scorer: LinearScorer
    version: str
    threshold: float

    def reasons(self, features: Sequence[float]) -> list[str]:
        shares = self.scorer.contributions(features)
        strongest = max(range(len(shares)), key=shares.__getitem__)
        return [feature_set(self.contract).features[strongest].sentence]


def small_bundle(contract_name: str = "ecommerce", seed: int = 1, threshold: float = 0.5) -> SmallBundle:
    """A linear model with random slopes on every feature, drawn from `seed`, which is also its version."""
    contract = load_contract(contract_name)
    rng = random.Random(seed)
    names = feature_set(contract).names
    curves = tuple(Curve(name, (0.0, 20.0), (0.0, 0.0, 0.0), (0.0, rng.uniform(-0.3, 0.3), 0.0)) for name in names)
    model = LinearModel(-1.0, curves, Calibration(), tuple(0.0 for _ in names))
    return SmallBundle(contract, LinearScorer(model), f"2026-01-31-{seed:012d}", threshold)

"""Small honest bundles to test with: additive log-odds of quantile bins, learnt from simulated transactions."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from itertools import pairwise
from math import log
from pathlib import Path

import msgspec

from fraudline.contract import Contract, load_contract
from fraudline.features.definition import feature_set
from fraudline.features.online import OnlineFeatures
from fraudline.model.bundle import GOLDEN, SCORER, Manifest, seal
from fraudline.model.golden import make_golden
from fraudline.model.scoring import Calibration, Curve, LinearModel, LinearScorer
from fraudline.simulate import LABEL, Population, simulate
from fraudline.simulate.records import rows
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator

KNOTS = 8
Files = dict[str, bytes]


@lru_cache(maxsize=4)
def bundle_files(contract_name: str = "ecommerce", offset: float = -1.0, threshold: float = 0.3) -> Files:
    """All files of a version; another `offset` or `threshold` makes another version."""
    contract = load_contract(contract_name)
    features, labels = examples(contract)
    columns = list(zip(*features, strict=True))
    curves = tuple(
        _curve(name, column, labels) for name, column in zip(feature_set(contract).names, columns, strict=True)
    )
    usual = tuple(sum(_at(curve, value) for value in column) / len(column) for curve, column in zip(curves, columns))
    model = LinearModel(0.0, curves, Calibration(0.2, offset), usual)
    files = {
        SCORER: msgspec.json.encode(model),
        GOLDEN: make_golden(contract, LinearScorer(model)),
    }
    return seal(_manifest(contract, columns, threshold), files)[1]


def tree_files() -> Files:
    """All files of a version with a few boosted trees."""
    # Needs scikit-learn and the converter, which no other bundle here does.
    import numpy as np
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    from fraudline.training.export import scorer_files, to_scorer

    contract = load_contract("ecommerce")
    features, labels = examples(contract)
    model = Pipeline([("model", GradientBoostingClassifier(n_estimators=20, max_depth=3, random_state=0))])
    pipeline = model.fit(np.array(features), labels)
    scorer = to_scorer("trees", pipeline, feature_set(contract), Calibration(), np.array(features))
    files = {**scorer_files(scorer, pipeline), GOLDEN: make_golden(contract, scorer)}
    manifest = _manifest(contract, list(zip(*features, strict=True)), 0.5)
    return seal(msgspec.structs.replace(manifest, candidate="boosted_trees", kind="trees"), files)[1]


def version_of(files: Files) -> str:
    return str(msgspec.json.decode(files["manifest.json"])["version"])


def write_version(files: Files, folder: Path) -> Path:
    """The files as a folder, as a registry or a package holds them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@lru_cache(maxsize=4)
def population(users: int = 60, seed: int = 7) -> list[dict[str, object]]:
    """Simulated records in time order, without labels."""
    return list(rows(simulate(Population(users=users, days=45, seed=seed, fraud_rate=0.03))))


def examples(contract: Contract) -> tuple[list[list[float]], list[int]]:
    """Features and labels of transactions that keep the contract."""
    online = OnlineFeatures(contract)
    histories: dict[str, object] = {}
    features = []
    transactions = list(_labelled(contract))
    for transaction in transactions:
        history = histories.setdefault(transaction.entities[0], online.new_history())
        computed = online.features(transaction, history)  # type: ignore[arg-type]
        online.count(history, transaction, computed.effective_time)  # type: ignore[arg-type]
        features.append(computed.features)
    return features, [transaction.label or 0 for transaction in transactions]


def _labelled(contract: Contract) -> list[Transaction]:
    if contract.name != "ecommerce":
        return _made_up(contract)
    frame = simulate(Population(users=60, days=45, seed=7, fraud_rate=0.03))
    validator = Validator(contract)
    records = [{**record, LABEL: int(label)} for record, label in zip(rows(frame), frame[LABEL], strict=True)]
    return [t for t in map(validator.validate, records) if isinstance(t, Transaction)]


def _made_up(contract: Contract) -> list[Transaction]:
    """For a contract that nothing simulates: any amounts, by few entities."""
    choose, start = random.Random(3), 1_767_225_600_000_000
    return [
        Transaction(
            f"t{n}",
            start + n * 3_600_000_000,
            choose.randrange(100, 90_000),
            tuple(f"{entity.name}{choose.randrange(9)}" for entity in contract.entities),
            tuple(choose.choice(category.values or ("a", "b")) for category in contract.categories),
            tuple(choose.randrange(2) for _ in contract.flags),
            int(choose.random() < 0.1),
        )
        for n in range(600)
    ]


def _curve(name: str, column: Sequence[float], labels: Sequence[int]) -> Curve:
    """Straight lines between the smoothed log-odds at the column's quantiles, flat outside."""
    ordered = sorted(column)
    knots = sorted({ordered[len(ordered) * k // KNOTS] for k in range(KNOTS)} | {ordered[-1]})
    heights = _log_odds(knots, column, labels)
    intercepts, slopes = [heights[0]], [0.0]
    for (left, right), (low, high) in zip(pairwise(knots), pairwise(heights), strict=True):
        slope = (high - low) / (right - left)
        intercepts.append(low - slope * left)
        slopes.append(slope)
    return Curve(name, tuple(knots), (*intercepts, heights[-1]), (*slopes, 0.0))


def _log_odds(knots: Sequence[float], column: Sequence[float], labels: Sequence[int]) -> list[float]:
    base = (sum(labels) + 1) / (len(labels) + 2)
    frauds, counts = [base] * len(knots), [1.0] * len(knots)
    for value, label in zip(column, labels):
        bin_ = min(max(bisect_right(knots, value) - 1, 0), len(knots) - 1)
        frauds[bin_] += label
        counts[bin_] += 1
    return [log(fraud / (count - fraud)) - log(base / (1 - base)) for fraud, count in zip(frauds, counts)]


def _at(curve: Curve, value: float) -> float:
    piece = bisect_right(curve.knots, value)
    return curve.intercepts[piece] + curve.slopes[piece] * value


def _manifest(contract: Contract, columns: Sequence[Sequence[float]], threshold: float) -> Manifest:
    features = feature_set(contract)
    return Manifest(
        format=1,
        version="",
        contract=contract.to_json(),
        feature_hash=features.hash,
        features=features.names,
        usual=tuple(sorted(column)[len(column) // 2] for column in columns),
        candidate="additive",
        kind="linear",
        parameters={"knots": KNOTS},
        as_of=date(2026, 2, 19).isoformat(),
        training={"rows": len(columns[0])},
        metrics={},
        threshold=threshold,
        threshold_rule={"rule": "fixed"},
        reference={},
        libraries={},
        files={},
    )

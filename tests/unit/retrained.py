"""A whole retrain in seconds: simulated transactions, a contract of short spans, each candidate with one setting."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from fraudline.clock import day_start
from fraudline.contract import Contract, contract_from, load_contract
from fraudline.model.bundle import Manifest
from fraudline.simulate import Population, simulate
from fraudline.training.candidates import CANDIDATES, Candidate
from fraudline.training.challenger import Challenger, choose, refit
from fraudline.training.dataset import prepare
from fraudline.training.plan import Plan
from fraudline.training.publishing import assemble
from fraudline.training.walk_forward import measure_candidate
from fraudline.transactions.table import TransactionTable
from tests.unit.fitted import SMALL

AS_OF = date(2026, 1, 19)


@lru_cache(maxsize=1)
def shop() -> Contract:
    """The default contract with labels after a day and three days of training."""
    values = load_contract("ecommerce").to_json()
    return contract_from({**values, "label": {**values["label"], "delay": "1d"}, "training": {"window": "3d"}}, "test")


def frame() -> pd.DataFrame:
    """Twenty days of a small shop, in the columns of its contract."""
    return _frame().copy()


@lru_cache(maxsize=1)
def _frame() -> pd.DataFrame:
    return simulate(Population(users=500, days=20, seed=5, fraud_rate=0.06))


def quick(name: str) -> Candidate:
    candidate = next(candidate for candidate in CANDIDATES if candidate.name == name)
    return replace(candidate, grid=(SMALL[name],))


def plan(contract: Contract | None = None, as_of: date = AS_OF, **changes: Any) -> Plan:
    return Plan(contract or shop(), day_start(as_of), **changes)


@dataclass(frozen=True)
class Retrained:
    manifest: Manifest
    files: dict[str, bytes]
    challenger: Challenger


def retrain(
    table: TransactionTable, plan: Plan, names: Sequence[str] = ("logistic",), *, draw: bool = False
) -> Retrained:
    """What `fraudline retrain` makes of a table, apart from the expectations, the registry and the champion.

    Without `draw` the picture, which takes seconds, is the text of everything that would be drawn.
    """
    known = table.take(table.timestamp < plan.as_of)
    dataset = prepare(known, plan)
    measured = [measure_candidate(quick(name), dataset, plan) for name in names]
    best, why = choose(measured)
    challenger = refit(best, dataset, plan, why, tuple(measured))
    with nullcontext() if draw else patch("fraudline.training.publishing.evaluation_picture", _told):
        manifest, files = assemble(challenger, known, plan)
    return Retrained(manifest, files, challenger)


def _told(*drawn: object) -> bytes:
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        return repr(drawn).encode()

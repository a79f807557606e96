"""Files as they land: simulated transactions, clean or with known faults, read as every path reads them."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from expectations import load_suite
from fraudline.adapters.inputs.files import load_transactions
from fraudline.contract import Contract, load_contract
from fraudline.quality.check import check
from fraudline.quality.measures import Context
from fraudline.quality.outcome import QualityResult
from fraudline.quality.suite import Stage
from fraudline.simulate import Population, simulate
from fraudline.transactions.landed import Landed

Read = Callable[[pd.DataFrame], Landed]


@pytest.fixture(scope="session")
def contract() -> Contract:
    return load_contract("ecommerce")


@pytest.fixture(scope="session")
def clean() -> pd.DataFrame:
    """About 35,000 transactions of 45 days; do not change it, copy it."""
    return simulate(Population(users=1_000, seed=11))


@pytest.fixture
def read(contract: Contract, tmp_path: Path) -> Read:
    """Writes a frame as CSV and reads it back."""

    def write_and_read(frame: pd.DataFrame) -> Landed:
        path = tmp_path / "transactions.csv"
        frame.to_csv(path, index=False)
        return load_transactions(contract, [str(path)])

    return write_and_read


@pytest.fixture(scope="session")
def landed_clean(contract: Contract, clean: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Landed:
    path = tmp_path_factory.mktemp("clean") / "transactions.csv"
    clean.to_csv(path, index=False)
    return load_transactions(contract, [str(path)])


@pytest.fixture(scope="session")
def judge(contract: Contract) -> Callable[..., QualityResult]:
    """Judges with the suite kept in the repository."""

    def against_the_suite(landed: Landed, stage: Stage = "training", context: Context | None = None) -> QualityResult:
        return check(landed, contract, stage, load_suite(contract, stage), context)

    return against_the_suite

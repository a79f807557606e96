"""Files worked on disk, in parts and by several workers, give the very bytes that they give in memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fraudline.adapters import landing_runs, large_backfill
from fraudline.adapters.files import load_transactions
from fraudline.adapters.large_backfill import PastOnDisk, land_files, scratch_beside, shuffled
from fraudline.adapters.partitions import PartitionFile, PartitionFolder, fill
from fraudline.adapters.workers import Workers
from fraudline.backfilling import Past, PastInMemory
from fraudline.bundle import Bundle, load_bundle
from fraudline.clock import day_start
from fraudline.contract import Contract, load_contract
from tests.realtime.bundles import bundle_files, version_of
from tests.unit.retrained import frame

WINDOW = (day_start(date(2026, 1, 12)), day_start(date(2026, 1, 17)))
ROOT = Path(__file__).parents[2]


def silent(what: str, done: int, total: int) -> None:
    """Nobody listens."""


def bundle_of(files: dict[str, bytes]) -> Bundle:
    return load_bundle(files.__getitem__, version_of(files))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that a few thousand rows are many runs and partitions, where the work stays in this process."""
    monkeypatch.setattr(large_backfill, "PARTITION_ROWS", 700)
    monkeypatch.setattr(landing_runs, "RUN_ROWS", 300)
    monkeypatch.setattr(large_backfill, "REPEATED_ROWS", 1000)


@pytest.fixture
def threads() -> Iterator[Workers]:
    with ThreadPoolExecutor(2) as pool:
        yield Workers(pool, 2)


def shops(folder: Path) -> list[Path]:
    """Three files, not in the order of time, with ids that come again in the same file and in others."""
    rows = frame()
    again = rows.iloc[[5, 700, 900]].copy()
    conflicting = rows.iloc[[6, 1200]].assign(amount=1.25)
    bad = rows.iloc[[40, 41]].assign(transaction_id=["bad-1", "bad-2"], device_type="fax")
    parts = [rows.iloc[900:], pd.concat([rows.iloc[:500], again, bad]), pd.concat([rows.iloc[500:900], conflicting])]
    paths = [folder / f"{name}.parquet" for name in "abc"]
    for path, part in zip(paths, parts, strict=True):
        part.sample(frac=1.0, random_state=1).to_parquet(path, row_group_size=250)
    return paths


def cards(folder: Path) -> list[Path]:
    """Cards at terminals, some of which are used for fraud, many at the same second."""
    random = np.random.default_rng(3)
    rows, users = 4000, random.integers(0, 40, 4000)
    seconds = np.sort(random.integers(0, 40 * 86_400 // 600, rows)) * 600
    fraud = (users % 7 == 0) & (random.random(rows) < 0.3)
    data = pd.DataFrame(
        {
            "TRANSACTION_ID": np.arange(rows),
            "TX_DATETIME": pd.Timestamp("2025-12-15") + pd.to_timedelta(seconds, unit="s"),
            "CUSTOMER_ID": users,
            "TERMINAL_ID": random.integers(0, 30, rows),
            "TX_AMOUNT": np.round(random.gamma(2.0, 30.0, rows) * np.where(fraud & (users % 2 == 0), 6, 1), 2),
            "TX_FRAUD": fraud.astype(int),
        }
    )
    paths = [folder / "1.parquet", folder / "2.parquet"]
    data.iloc[:2500].to_parquet(paths[0], row_group_size=400)
    data.iloc[2500:].to_parquet(paths[1], row_group_size=400)
    return paths


def in_memory(contract: Contract, paths: list[Path], bundle: Bundle) -> Past:
    return PastInMemory.of(load_transactions(contract, [str(path) for path in paths]).table, *WINDOW, bundle)


def on_disk(contract: Contract, paths: list[Path], bundle: Bundle, scratch: Path, workers: Workers) -> PastOnDisk:
    landing = land_files(contract, paths, scratch, workers, silent)
    return shuffled(contract, landing, WINDOW, bundle, lambda table: table, scratch, workers, silent)


def write(past: Past, bundle: Bundle, out: Path) -> None:
    targets = [PartitionFolder(out / "days", bundle.contract.name, bundle.version), PartitionFile(out / "all.parquet")]
    fill(targets, past.score(past.partitions))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["ecommerce", "cards"])
def test_runs_partitions_and_joins_give_the_bytes_of_one_table(name: str, threads: Workers, tmp_path: Path) -> None:
    contract, bundle = load_contract(name), bundle_of(bundle_files(name))
    (tmp_path / "in").mkdir()
    paths = (shops if name == "ecommerce" else cards)(tmp_path / "in")
    write(in_memory(contract, paths, bundle), bundle, tmp_path / "memory")
    with scratch_beside(tmp_path / "disk") as scratch:
        past = on_disk(contract, paths, bundle, scratch, threads)
        assert past.shuffle.partitions > 1
        write(past, bundle, tmp_path / "disk")
    assert contents(tmp_path / "disk") == contents(tmp_path / "memory")
    assert len(contents(tmp_path / "disk")) == 7

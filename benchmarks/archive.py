"""What it takes to read all that has landed, which each retrain and each hourly build of lagged entities does.

    python -m benchmarks.archive
    python -m benchmarks.archive --rows 250000 1000000 4000000

The archive is written to a folder first, in batches of 500 transactions of the cards contract; each part runs in a
process of its own, with what it starts. On S3 the requests come on top: one for each batch.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.backfill import Cost, measured
from fraudline.adapters.archive.landing import PREFIX, SUFFIX
from fraudline.adapters.archive.reading import read_archive
from fraudline.adapters.large.build import LargeBuild
from fraudline.adapters.large.landing import landing_of, read_history
from fraudline.adapters.large.workers import processes
from fraudline.adapters.storage.objects import open_objects
from fraudline.archive import Account, Row, encode_archive
from fraudline.clock import format_day, format_micros
from fraudline.contract import load_contract
from fraudline.durations import DAY, HOUR
from fraudline.materializing import build_lagged

BATCH, DAYS, CARDS, TERMINALS = 500, 365, 50_000, 10_000
SHARD = "shardId-000000000000"
BEGIN = 1_767_225_600_000_000


def main() -> None:
    out = Table(title="Reading all that has landed")
    for column in ("part", "rows", "seconds", "CPU us a row", "peak memory (MiB)"):
        out.add_column(column, justify="right")
    for rows in _options().rows:
        with tempfile.TemporaryDirectory() as folder:
            _write(folder, rows)
            for name, part in (("read", _read), ("read and build", _build), ("the same on disk", _build_on_disk)):
                cost = _alone(part, folder, rows)
                costs = f"{cost.seconds:.1f}", f"{1e6 * cost.cpu / rows:.1f}", f"{cost.peak / 2**20:,.0f}"
                out.add_row(name, f"{rows:,}", *costs)
    Console(width=100).print(out)


def _write(folder: str, rows: int) -> None:
    rng = np.random.default_rng(1)
    for first in range(0, rows, BATCH):
        batch = list(_rows(rng, first, min(BATCH, rows - first), rows))
        account = Account(
            SHARD,
            batch[0].position,
            batch[-1].position,
            "v",
            batch[-1].arrived_at,
            None,
            len(batch),
            len(batch),
            (),
            (),
            (),
        )
        path = Path(folder, f"{PREFIX}{format_day(batch[0].arrived_at)}/{SHARD}/{first}{SUFFIX}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_archive(account, batch))


def _rows(rng: np.random.Generator, first: int, count: int, rows: int) -> Iterator[Row]:
    for number in range(first, first + count):
        at = BEGIN + number * DAYS * DAY // rows
        record = {
            "TRANSACTION_ID": f"T{number}",
            "TX_DATETIME": format_micros(at),
            "CUSTOMER_ID": f"C{rng.integers(CARDS)}",
            "TERMINAL_ID": f"M{rng.integers(TERMINALS)}",
            "TX_AMOUNT": round(float(rng.lognormal(3, 1)), 2),
        }
        yield Row(f"{number:056d}#{SHARD}", at, at, msgspec.Raw(msgspec.json.encode(record)))


def _read(folder: str) -> None:
    read_archive(open_objects(folder), load_contract("cards"))


def _build(folder: str) -> None:
    table = read_archive(open_objects(folder), load_contract("cards")).table
    build_lagged(table, BEGIN + DAYS * DAY - HOUR)


def _build_on_disk(folder: str) -> None:
    contract = load_contract("cards")
    with tempfile.TemporaryDirectory() as scratch, processes(print) as workers:
        parts = read_history(contract, open_objects(folder), Path(scratch), workers, _silent)
        landing = landing_of(contract, parts, workers)
        build = LargeBuild(contract, landing, lambda ids, entity: ids, Path(scratch), workers, _silent)
        build(BEGIN + DAYS * DAY - HOUR, BEGIN + DAYS * DAY - HOUR)


def _silent(what: str, done: int, total: int) -> None:
    """Nobody listens."""


def _alone(part: Callable[[str], None], folder: str, rows: int) -> Cost:
    # Not a daemon, as a pool's processes are: it starts some of its own.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, part, folder, rows).result()


def _measured(part: Callable[[str], None], folder: str, rows: int) -> Cost:
    with measured(rows) as cost:
        part(folder)
    return cost()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 1_000_000])
    return parser.parse_args()


if __name__ == "__main__":
    main()

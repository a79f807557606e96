"""What it takes to read all that has landed, which each retrain and each hourly build of later entities does.

    python -m benchmarks.archive
    python -m benchmarks.archive --rows 250000 1000000 4000000

The archive is written to a folder first, in batches of 500 transactions of the cards contract; each part runs in a
process of its own. On S3 the requests come on top: one for each batch.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from fraudline.adapters.archive import read_archive
from fraudline.adapters.landing import PREFIX, SUFFIX
from fraudline.adapters.objects import open_objects
from fraudline.archive import Account, Row, encode_archive
from fraudline.clock import format_day, format_micros
from fraudline.contract import load_contract
from fraudline.durations import DAY, HOUR
from fraudline.materializing import build_lagged

BATCH, DAYS, CARDS, TERMINALS = 500, 365, 50_000, 10_000
SHARD = "shardId-000000000000"
BEGIN = 1_767_225_600_000_000


class Cost(msgspec.Struct, frozen=True):
    """Of one part: CPU seconds, and the peak of its process's memory in MiB, of which `idle` were there before."""

    cpu: float
    peak: float
    idle: float


def main() -> None:
    out = Table(title="Reading all that has landed")
    for column in ("part", "rows", "CPU us a row", "bytes a row", "peak memory (MiB)"):
        out.add_column(column, justify="right")
    for rows in _options().rows:
        with tempfile.TemporaryDirectory() as folder:
            _write(folder, rows)
            for name, part in (("read", _read), ("read and build", _build)):
                cost = _alone(part, folder)
                a_row = f"{1e6 * cost.cpu / rows:.1f}", f"{(cost.peak - cost.idle) * 2**20 / rows:,.0f}"
                out.add_row(name, f"{rows:,}", *a_row, f"{cost.peak:,.0f}")
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


def _alone(part: Callable[[str], None], folder: str) -> Cost:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (part, folder))


def _measured(part: Callable[[str], None], folder: str) -> Cost:
    idle, begin = _peak(), time.process_time()
    part(folder)
    return Cost(time.process_time() - begin, _peak(), idle)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 1_000_000])
    return parser.parse_args()


if __name__ == "__main__":
    main()

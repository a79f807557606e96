"""Parquet to Parquet: features and scores of up to ten million card transactions, beside pandas' groupby-rolling.

    python -m benchmarks.backfill [FOLDER] [--rows 1000000 3000000 10000000] [--scratch FOLDER] [--s3]

The public card data is repeated, each time with other transactions, cards and terminals at the same moments, and scored
by a logistic regression as `fraudline backfill` does it. Memory is the sum of all processes' resident sets, sampled
while it runs. Pandas gets a part of the same rows, computes the same features (`pandas_features.py`), and scikit-learn
scores them by the pipeline that the version was exported from; reading and writing are left out there. With `--s3` the
same files lie in a bucket of the local emulator, whose memory and CPU are not counted: on AWS they are not ours either.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import joblib
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.pandas_features import TIME, pandas_features
from fraudline.adapters.aws.clients import client
from fraudline.adapters.registry import open_registry
from fraudline.contract import load_contract
from fraudline.local.emulator import environment_of, running_emulator
from fraudline.model.bundle import PIPELINE

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "cards"
PANDAS_ROWS = 100_000
AS_OF = "2018-06-15"
GIB = 2**30
# What a row takes on disk while it is worked, at most: input, runs, partitions, primitives and output.
BYTES_A_ROW = 600


@dataclass(frozen=True)
class Cost:
    """What a piece of work took: seconds, seconds of CPU of all processes, and their memory at the highest (bytes)."""

    rows: int
    seconds: float
    cpu: float
    peak: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--s3", action="store_true", help="read the input from a bucket of the local emulator")
    arguments = parser.parse_args()
    if not arguments.folder.exists():
        sys.exit(f"{arguments.folder} is not there: this benchmark needs the public card data")
    with (
        tempfile.TemporaryDirectory(dir=arguments.scratch, prefix="backfill-") as folder,
        local_bucket(Path(folder) / "aws") if arguments.s3 else nullcontext() as bucket,
    ):
        _check_room(Path(folder), max(arguments.rows))
        models = Path(folder) / "models"
        version = retrain(arguments.folder, models)
        pandas = pandas_cost(arguments.folder, open_registry(str(models), "cards").read(version)[PIPELINE])
        print_results(measure(arguments.folder, arguments.rows, Path(folder), version, bucket), pandas, arguments.s3)


@contextmanager
def local_bucket(folder: Path) -> Iterator[str]:
    """An empty bucket of an emulator that AWS's variables point to."""
    with running_emulator(folder) as emulator, environment_of(emulator.environment):
        client("s3").create_bucket(Bucket="backfill")
        yield "backfill"


def _check_room(folder: Path, rows: int) -> None:
    free, needed = shutil.disk_usage(folder).free, rows * BYTES_A_ROW
    if free < needed:
        sys.exit(f"{folder} has {free / GIB:.1f} GiB free, {needed / GIB:.1f} are needed: name another --scratch")


def measure(cards: Path, sizes: list[int], folder: Path, version: str, bucket: str | None) -> Iterator[Cost]:
    """The cost of a backfill of each size, from its files, here or in the bucket, to its files."""
    # Not above: worker processes import this module, and need no flows.
    from flows.backfill import BackfillRequest, backfill

    for rows in sizes:
        source = folder / "in"
        first, last = repeated_cards(cards, rows, source)
        request = BackfillRequest(
            contract="cards",
            transactions=[str(source) if bucket is None else moved(source, f"{rows}/", bucket)],
            start=first,
            end=last,
            model=version,
            models=str(folder / "models"),
            quarantine=str(folder),
            out=str(folder / "out"),
        )
        with measured(rows) as cost:
            result = backfill.fn(request)
        assert result.rows == rows, result
        sys.stderr.write(f"{cost()}\n")
        yield cost()
        shutil.rmtree(folder / "out")
        shutil.rmtree(source)


def moved(folder: Path, prefix: str, bucket: str) -> str:
    """Where the folder's files are in the bucket; they are there only."""
    for path in folder.iterdir():
        client("s3").upload_file(str(path), bucket, prefix + path.name)
        path.unlink()
    return f"s3://{bucket}/{prefix}"


def retrain(cards: Path, models: Path) -> str:
    """A logistic regression of the cards, published by `fraudline retrain`: its version."""
    program = Path(sys.executable).with_name("fraudline")
    options = ("--contract", "cards", "--as-of", AS_OF, "--candidate", "logistic", "--models", models)
    subprocess.run([program, "retrain", "--transactions", cards, *options], check=True, stdout=subprocess.DEVNULL)
    return open_registry(str(models), "cards").resolve("champion")


def repeated_cards(cards: Path, rows: int, folder: Path) -> tuple[date, date]:
    """So many transactions in files, and the days [first, last) they are of."""
    folder.mkdir()
    table = pa.concat_tables([pq.read_table(path) for path in sorted(cards.glob("*.parquet"))]).combine_chunks()
    table = table.replace_schema_metadata(None)
    for again in range(-(-rows // len(table))):
        part = table.slice(0, rows - again * len(table))
        for column in ("TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID"):
            index = part.schema.get_field_index(column)
            values = part[column].cast(pa.int64())
            shift = again * (pc.max(table[column]).as_py() + 1)
            part = part.set_column(index, column, pc.add(values, shift))
        pq.write_table(part, folder / f"{again:02}.parquet", row_group_size=2**17)
    days = pc.min_max(table["TX_DATETIME"]).as_py()
    return days["min"].date(), days["max"].date() + timedelta(days=1)


def pandas_cost(cards: Path, model: bytes) -> Cost:
    """The same features and scores by pandas and scikit-learn, of rows that are in memory already."""
    frame = pd.read_parquet(sorted(cards.glob("*.parquet"))[0]).head(PANDAS_ROWS).sort_values(TIME, ignore_index=True)
    # Its bytes were published a moment ago, in a folder of this run's own.
    contract, pipeline = load_contract("cards"), joblib.load(io.BytesIO(model))
    with measured(len(frame)) as cost:
        pipeline.predict_proba(pandas_features(contract, frame).to_numpy())
    return cost()


@contextmanager
def measured(rows: int) -> Iterator[Callable[[], Cost]]:
    """Seconds, CPU and memory of the block, by this process and all that it starts there."""
    family, done, peaks, cpu = psutil.Process(), threading.Event(), [0], dict[int, float]()
    others = set(family.children(recursive=True))

    def sample() -> None:
        while not done.wait(0.2):
            peaks.append(0)
            for process in {family, *family.children(recursive=True)} - others:
                try:
                    peaks[-1] += process.memory_info().rss
                    times = process.cpu_times()
                    cpu[process.pid] = times.user + times.system
                except psutil.NoSuchProcess:
                    # It has ended since it was listed.
                    continue

    sampler = threading.Thread(target=sample)
    begin, own = time.monotonic(), time.process_time()
    sampler.start()
    try:
        yield lambda: Cost(rows, seconds, spent + sum(cpu.values()), max(peaks))
    finally:
        seconds, spent = time.monotonic() - begin, time.process_time() - own
        done.set()
        sampler.join()
        cpu.pop(family.pid, None)


def print_results(costs: Iterator[Cost], pandas: Cost, from_s3: bool) -> None:
    place = " in S3" if from_s3 else ""
    table = Table(title=f"Backfill, Parquet{place} to Parquet, on {os.cpu_count()} cores")
    for column in ("rows", "seconds", "rows a second", "CPU us a row", "peak memory, MiB", "pandas / backfill"):
        table.add_column(column, justify="right")
    for cost in costs:
        factor = (pandas.seconds / pandas.rows) / (cost.seconds / cost.rows)
        table.add_row(*cells(cost), f"{factor:.0f}x")
    table.add_row(*cells(pandas), "pandas")
    Console(width=120).print(table)


def cells(cost: Cost) -> list[str]:
    """A cost as people read it."""
    return [
        f"{cost.rows:,}",
        f"{cost.seconds:.1f}",
        f"{cost.rows / cost.seconds:,.0f}",
        f"{cost.cpu / cost.rows * 1e6:.1f}",
        f"{cost.peak / 2**20:,.0f}",
    ]


if __name__ == "__main__":
    main()

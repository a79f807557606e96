"""A backfill of all that has landed, as the Prefect form does it when nothing is filled in, beside one table in memory.

    python -m benchmarks.backfill_landed [FOLDER] [--rows 1000000 4000000] [--scratch FOLDER]

The public card data, repeated as `benchmarks.backfill` does it, lies in the archive of a deployment on the local
emulator: batches of 500 that were scored an hour after the newest build of the terminals, a build a week, and a verdict
on each fraud. The emulator's memory and CPU are not counted.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.backfill import DEFAULT, Cost, cells, measured, repeated_cards, retrain
from fraudline.adapters.archive.builds import record_build
from fraudline.adapters.archive.history import landed_keys
from fraudline.adapters.archive.landing import PREFIX, SUFFIX
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.storage.objects import Objects, open_objects
from fraudline.adapters.tables.labels import Labels
from fraudline.archive import Account, Row, encode_archive
from fraudline.clock import format_day, format_micros
from fraudline.contract import load_contract
from fraudline.durations import DAY, HOUR, floor_hour
from fraudline.labels import Verdict
from fraudline.local.emulator import environment_of, running_emulator
from fraudline.local.resources import create_resources
from fraudline.settings import load_settings

BATCH, ROWS_AT_ONCE, WRITERS = 500, 100_000, 8
BUILD_EVERY = 7 * DAY
SECONDS = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000_000, 4_000_000])
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    if not arguments.folder.exists():
        sys.exit(f"{arguments.folder} is not there: this benchmark needs the public card data")
    table = Table(title="Backfill of all that has landed")
    for column in ("how", "rows", "seconds", "rows a second", "CPU us a row", "peak memory, MiB"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory(dir=arguments.scratch, prefix="landed-") as scratch:
        folder = Path(scratch)
        version = retrain(arguments.folder, folder / "models")
        for rows in arguments.rows:
            for how, cost in _costs(arguments.folder, rows, folder, version):
                table.add_row(how, *cells(cost))
    Console(width=120).print(table)


def _costs(cards: Path, rows: int, folder: Path, version: str) -> Iterator[tuple[str, Cost]]:
    """On disk, and the same days from one table."""
    from fraudline.adapters.large import backfill as large_backfill

    source, at_once = folder / "in", large_backfill.MEMORY_ROWS
    first, last = repeated_cards(cards, rows, source)
    aws = folder / f"aws-{rows}"
    with running_emulator(aws) as emulator, environment_of({**emulator.environment, "FRAUDLINE_CONTRACT": "cards"}):
        create_resources(load_settings())
        # What that leaves in memory shall not be taken for the backfill's.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(_land, source).result()
        shutil.rmtree(source)
        outputs = []
        for how, most in (("on disk", at_once), ("one table", sys.maxsize)):
            large_backfill.MEMORY_ROWS = most
            yield how, _backfilled(rows, folder / "out", folder / "models", version, (first, last))
            outputs.append({path.name: path.read_bytes() for path in (folder / "out").iterdir()})
            shutil.rmtree(folder / "out")
    large_backfill.MEMORY_ROWS = at_once
    assert outputs[0] == outputs[1], "two ways, two results"


def _backfilled(rows: int, out: Path, models: Path, version: str, window: tuple[date, date]) -> Cost:
    # Not above: worker processes import this module, and need no flows.
    from flows.backfill import BackfillRequest, backfill

    request = BackfillRequest(
        contract="cards",
        start=window[0],
        end=window[1],
        model=version,
        models=str(models),
        quarantine=str(out.parent / "refused"),
        out=str(out),
    )
    with measured(rows) as cost:
        result = backfill.fn(request)
    assert result.rows == rows, result
    sys.stderr.write(f"{cost()}\n")
    return cost()


def _land(source: Path) -> None:
    """The files' rows in the order of time, as batches; a build a week, and verdicts a week after each fraud."""
    settings = load_settings()
    landing = open_objects(f"s3://{settings.landing_bucket}")
    labels = Labels(DynamoDB(AwsJson("dynamodb")), settings.labels_table)
    table = pq.read_table(source).sort_by("TX_DATETIME")
    delay, position, built = load_contract("cards").label_delay, 0, None
    with ThreadPoolExecutor(WRITERS) as writers:
        for begin in range(0, len(table), ROWS_AT_ONCE):
            columns = table.slice(begin, ROWS_AT_ONCE).combine_chunks()
            times = columns["TX_DATETIME"].cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()
            rows = [
                _row(record, at, position + n)
                for n, (record, at) in enumerate(zip(_records(columns), times, strict=True))
            ]
            position += len(rows)
            batches = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
            list(writers.map(lambda batch, hour=built: _archive(landing, batch, hour), batches))
            if built is None or times[-1] >= built + BUILD_EVERY:
                built = floor_hour(times[-1])
                record_build(landing, built, landed_keys(landing))
            frauds = [row for row, is_fraud in enumerate(columns["TX_FRAUD"].to_pylist()) if is_fraud]
            ids = columns["TRANSACTION_ID"].to_pylist()
            given = {str(ids[row]): [Verdict(1, times[row] + delay, "benchmark")] for row in frauds}
            labels.add_all(given, within(SECONDS))


def _records(columns: pa.Table) -> list[dict[str, Any]]:
    return columns.select(["TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT"]).to_pylist()  # type: ignore[no-any-return]


def _row(record: dict[str, Any], at: int, number: int) -> Row:
    record["TX_DATETIME"] = format_micros(at)
    for column in ("TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID"):
        record[column] = str(record[column])
    return Row(f"{number:056d}#shardId-000000000000", at, at, msgspec.Raw(msgspec.json.encode(record)))


def _archive(landing: Objects, batch: list[Row], built: int | None) -> None:
    first, last = batch[0], batch[-1]
    account = Account(
        "shardId-000000000000", first.position, last.position, "v", last.arrived_at + HOUR, built, len(batch),
        len(batch), (), (), (),
    )  # fmt: skip
    name = f"{int(first.position[:56])}-{int(last.position[:56])}"
    landing.put(
        f"{PREFIX}{format_day(first.arrived_at)}/shardId-000000000000/{name}{SUFFIX}", encode_archive(account, batch)
    )


if __name__ == "__main__":
    main()

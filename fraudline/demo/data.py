"""What the demo runs on: a history to train on and a last day to stream, made or taken from a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from fraudline.adapters.files import load_transactions
from fraudline.adapters.outgoing import outgoing
from fraudline.clock import format_day
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.errors import BadInput
from fraudline.simulate import KINDS, Population, simulate, soil, weave, weave_records

POPULATION = Population(users=2000, start=date(2026, 1, 5), days=45, fraud_rate=0.015, seed=0)
DIRT = 0.005
# What a file's last day is sent with: every so many records a second time, and some that are none.
RESEND_EVERY = 50
MALFORMED = (b'{"transaction_id": "torn', b"\xff\xfe not text", b"[1, 2, 3]", b'{"transaction_id": null}')


@dataclass(frozen=True)
class DemoData:
    """Two files, the day that is streamed, and the labels of its transactions."""

    history: Path
    last_day: Path
    day: date
    labels: dict[str, int]


def make_data(folder: Path) -> DemoData:
    """Simulated transactions, dirty rows of all kinds among them."""
    frame = simulate(POPULATION)
    day = POPULATION.start + timedelta(days=POPULATION.days - 1)
    last = frame["timestamp"] >= day.isoformat()
    past, today = frame[~last].reset_index(drop=True), frame[last].reset_index(drop=True)
    history, stream = folder / "history.csv", folder / "last-day.jsonl"
    weave(past, soil(past, DIRT, seed=1)).to_csv(history, index=False)
    # The last day is small: more dirt, so that every kind is there.
    _write_lines(stream, weave_records(today, soil(today, 0.03, seed=2, kinds=KINDS)))
    return DemoData(history, stream, day, dict(zip(today["transaction_id"], today["is_fraud"].tolist(), strict=True)))


def take_data(file: Path, contract: Contract, folder: Path) -> DemoData:
    """Somebody's file: its last day is streamed, with duplicates and malformed records added; the rest is history."""
    if file.suffix != ".csv" or not file.exists():
        raise BadInput(f"there is no {file}, or it is no .csv: give DATA a CSV in the {contract.name} contract")
    table = load_transactions(contract, [str(file)]).table
    start = int(table.timestamp.max()) // DAY * DAY
    today = table.timestamp >= start
    cells = pd.read_csv(file, dtype=str, keep_default_na=False)
    # Rows that are no transactions have no time: they stay in the history, where they are quarantined.
    last = np.zeros(len(cells), bool)
    last[table.source_row[today]] = True
    history, day_file, stream = folder / "history.csv", folder / "last-day.csv", folder / "last-day.jsonl"
    cells[~last].to_csv(history, index=False)
    cells[last].to_csv(day_file, index=False)
    _write_lines(stream, _with_faults([record.data for record in outgoing(contract, day_file)]))
    known = table.take(today)
    labels = dict(zip(known.ids.to_pylist(), known.label.tolist(), strict=True))
    return DemoData(history, stream, date.fromisoformat(format_day(start)), labels)


def _with_faults(records: list[bytes]) -> Iterator[bytes]:
    for number, record in enumerate(records):
        yield record
        if number % RESEND_EVERY == 0:
            yield record
    yield from MALFORMED


def _write_lines(path: Path, records: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(record + b"\n" for record in records)

"""What the demo runs on: a history to train on and a last day to stream, made or taken from a file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from fraudline.adapters.inputs.files import load_transactions
from fraudline.adapters.inputs.originals import originals
from fraudline.adapters.stream.outgoing import outgoing
from fraudline.clock import format_day
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.errors import BadInput
from fraudline.simulate import KINDS, Population, simulate, soil, weave, weave_records
from fraudline.transactions.cells import cells_in
from fraudline.transactions.table import TransactionTable

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


@dataclass(frozen=True)
class Given:
    """Somebody's file: its rows as they stand in it, and the table of those that are transactions."""

    header: str
    rows: list[str]
    table: TransactionTable


def read_given(file: Path, contract: Contract) -> Given:
    """The file, or one sentence about what is wrong with it."""
    if file.suffix != ".csv" or not file.exists():
        raise BadInput(f"there is no {file}, or it is no .csv: give DATA a CSV in the {contract.name} contract")
    landed = load_transactions(contract, [str(file)])
    found = originals(str(file), set(range(landed.rows)))
    return Given(found[0].header, [found[row].raw for row in range(landed.rows)], landed.table)


def split(given: Given, contract: Contract, folder: Path) -> DemoData:
    """The file's last day is streamed, with duplicates and malformed records added; the rest is history."""
    start = int(given.table.timestamp.max()) // DAY * DAY
    today = given.table.timestamp >= start
    # What is no transaction has no time and stays in the history, as all that is quarantined there; but copies come
    # with their first, lest a conflicting one of the history stand before it.
    ids = set(given.table.ids.filter(pa.array(today)).to_pylist())
    last = {number for number, row in enumerate(given.rows) if _id(row, given.header, contract) in ids}
    history, day_file, stream = folder / "history.csv", folder / "last-day.csv", folder / "last-day.jsonl"
    _write_rows(history, given.header, (row for number, row in enumerate(given.rows) if number not in last))
    _write_rows(day_file, given.header, (row for number, row in enumerate(given.rows) if number in last))
    _write_lines(stream, _with_faults([record.data for record in outgoing(contract, day_file)]))
    known = given.table.take(today)
    labels = dict(zip(known.ids.to_pylist(), known.label.tolist(), strict=True))
    return DemoData(history, stream, date.fromisoformat(format_day(start)), labels)


def _id(row: str, header: str, contract: Contract) -> str | None:
    cells = cells_in(row, header)
    return cells.get(contract.id.column) if cells else None


def _with_faults(records: list[bytes]) -> Iterator[bytes]:
    for number, record in enumerate(records):
        yield record
        if number % RESEND_EVERY == 0:
            yield record
    yield from MALFORMED


def _write_rows(path: Path, header: str, rows: Iterable[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"{row}\n" for row in (header, *rows))


def _write_lines(path: Path, records: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(record + b"\n" for record in records)

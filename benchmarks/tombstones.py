"""What erased people cost the stream: CPU of looking through each record, by how many and whose tombstones there are.

    python -m benchmarks.tombstones

Nobody in the stream is erased: what is measured is the looking, in batches of 500 records of 20,000 entities.
"""

import argparse
import secrets
import time
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from fraudline.clock import format_micros
from fraudline.contract import load_contract
from fraudline.erasure.people import Erased, Tombstone, keyed_hash
from fraudline.stream import Batch, Intent, Record, Shard

KEY = secrets.token_bytes(32)
BATCHES, RECORDS, ENTITIES = 40, 500, 20_000
ALL = Shard("shardId-000000000000", 0, 2**128 - 1)
BEGIN = 1_767_225_600_000_000


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    contract = load_contract("cards")
    batches = [_batch(number) for number in range(BATCHES)]
    out = Table(title="Looking for erased people in a streamed record")
    for column in ("tombstones", "ids met for the first time (µs)", "ids met before (µs)"):
        out.add_column(column, justify="right")
    for name, people in {
        "none": (),
        "1 card": _tombstones("card", 1),
        "10,000 cards": _tombstones("card", 10_000),
        "1 card, 1 terminal": (*_tombstones("card", 1), *_tombstones("terminal", 1)),
    }.items():
        erased = Erased(contract, KEY, people)
        out.add_row(name, *(f"{_micros_a_record(erased, batches):.2f}" for _ in range(2)))
    Console(width=100).print(out)


def _batch(number: int) -> Batch:
    first = number * RECORDS
    records = tuple(_record(first + offset) for offset in range(RECORDS))
    return Batch(ALL, records, Intent(end=records[-1].sequence, records=RECORDS, model_version="", scored_at=BEGIN))


def _record(number: int) -> Record:
    card = f"C{number * 7919 % ENTITIES:06d}"
    data = {
        "TRANSACTION_ID": f"X{number:09d}",
        "TX_DATETIME": format_micros(BEGIN + number * 1_000_000),
        "CUSTOMER_ID": card,
        "TERMINAL_ID": f"T{number * 104729 % ENTITIES:06d}",
        "TX_AMOUNT": number % 90_000 / 100,
    }
    return Record(str(number), f"{number:056d}", card, BEGIN, msgspec.json.encode(data))


def _tombstones(entity: str, count: int) -> tuple[Tombstone, ...]:
    return tuple(Tombstone(keyed_hash(KEY, entity, f"gone-{n}"), entity, f"erased-{n}", BEGIN) for n in range(count))


def _micros_a_record(erased: Erased, batches: Sequence[Batch]) -> float:
    begun = time.process_time()
    for batch in batches:
        erased.batch(batch)
    return (time.process_time() - begun) * 1e6 / (BATCHES * RECORDS)


if __name__ == "__main__":
    main()

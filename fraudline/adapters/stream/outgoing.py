"""Rows of a file as stream records, as they are: what is wrong with them, the consumer finds and quarantines."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from fraudline.adapters.inputs.csv_reading import csv_tables
from fraudline.adapters.inputs.files import UNREADABLE, lines_of, unreadable
from fraudline.adapters.stream.producer import Outgoing
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.transactions.cells import cells_of, record_of
from fraudline.transactions.parquet import MAX_BYTES, batches, open_parquet, too_large, unpacked_bytes

# What a record without a readable first entity is sent under; it ends in quarantine on whatever shard.
NO_KEY = "unknown"


def outgoing(contract: Contract, path: Path) -> Iterator[Outgoing]:
    """The rows of a .csv, .jsonl or .parquet file as records without their label, keyed by the first entity."""
    if not path.exists():
        raise BadInput(f"there is no {path}: check the path of the transactions")
    readers = {".csv": _from_csv, ".parquet": _from_parquet, ".jsonl": _from_lines, ".ndjson": _from_lines}
    if path.suffix not in readers:
        raise BadInput(f"{path} is of no known format: use a name that ends in .csv, .jsonl or .parquet")
    return _explained(path, readers[path.suffix](contract, path))


def _explained(path: Path, records: Iterator[Outgoing]) -> Iterator[Outgoing]:
    try:
        yield from records
    except UNREADABLE as error:
        raise unreadable(str(path), error) from error


def _from_csv(contract: Contract, path: Path) -> Iterator[Outgoing]:
    torn: list[str] = []
    with path.open("rb") as stream:
        header = next(lines_of(stream, str(path)), b"")
        stream.seek(0)
        for table in csv_tables(header, stream, lambda row: torn.append(row.text)):
            yield from (_from_cells(contract, cells) for cells in table.to_pylist())
    yield from (Outgoing(NO_KEY, text.encode()) for text in torn)


def _from_parquet(contract: Contract, path: Path) -> Iterator[Outgoing]:
    size = 0
    with path.open("rb") as stream:
        for _, batch in batches(open_parquet(stream, str(path))):
            size += unpacked_bytes(batch)
            if size > MAX_BYTES:
                raise too_large(str(path), size)
            yield from (_from_cells(contract, cells) for cells in cells_of(pa.Table.from_batches([batch])))


def _from_lines(contract: Contract, path: Path) -> Iterator[Outgoing]:
    with path.open("rb") as lines:
        yield from (_from_line(contract, line.rstrip(b"\r\n")) for line in lines_of(lines, str(path)) if line.strip())


def _from_cells(contract: Contract, cells: Mapping[str, Any]) -> Outgoing:
    record = {name: value for name, value in record_of(contract, cells).items() if value is not None}
    record.pop(contract.label.column, None)
    return Outgoing(_key(contract, record), msgspec.json.encode(record))


def _from_line(contract: Contract, line: bytes) -> Outgoing:
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Outgoing(NO_KEY, line)
    if not isinstance(record, dict):
        return Outgoing(NO_KEY, line)
    if contract.label.column not in record:
        return Outgoing(_key(contract, record), line)
    # A live transaction has no label yet.
    del record[contract.label.column]
    return Outgoing(_key(contract, record), msgspec.json.encode(record))


def _key(contract: Contract, record: Mapping[str, Any]) -> str:
    value = record.get(contract.partition_entity.column)
    return str(value)[:256] if isinstance(value, str | int) and str(value) else NO_KEY

"""Files of any size as sorted runs on disk: validated, and cut at the ends of days."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudline.adapters.inputs import files
from fraudline.adapters.inputs.sources import InputFile, StoredFile, is_parquet
from fraudline.adapters.large.runs import RUN_ROWS, LandedUnit, write_run
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.transactions.columns import screen
from fraudline.transactions.landed import Landed, RejectedRow, Source
from fraudline.transactions.parquet import open_packed, unpacked_batches


@dataclass(frozen=True)
class Unit:
    """What one worker reads: a file, or some row groups of a Parquet file, whose first row has number `first`.

    `name` tells where it came from: of an object, `path` is a copy.
    """

    name: str
    path: Path
    source: int
    groups: tuple[int, ...] | None = None
    first: int = 0


def units_of(contract: Contract, name: str, path: Path, source: int) -> list[Unit]:
    """A Parquet file in parts of about a run each; another file as a whole."""
    if not is_parquet(name):
        return [Unit(name, path, source)]
    with reading(name):
        file = pq.ParquetFile(path)
        files.require_columns(contract, name, file.schema_arrow)
        rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    firsts = np.cumsum([0, *rows]).tolist()
    parts: dict[int, list[int]] = {}
    for group, first in enumerate(firsts[:-1]):
        parts.setdefault(first // RUN_ROWS, []).append(group)
    return [Unit(name, path, source, tuple(groups), firsts[groups[0]]) for groups in parts.values()]


def rows_of(file: InputFile) -> int:
    """About how many rows a file has, rather more than less where its size is all that is known."""
    if not is_parquet(file.name):
        return file.size // _BYTES_A_ROW
    if isinstance(file, StoredFile):
        return file.size // _PARQUET_BYTES_A_ROW
    with reading(file.name):
        return int(pq.read_metadata(file.path).num_rows)


_BYTES_A_ROW = 48
_PARQUET_BYTES_A_ROW = 12


@contextmanager
def reading(name: str) -> Iterator[None]:
    """What goes wrong while a file is read, as a sentence."""
    try:
        yield
    except PermissionError as error:
        raise BadInput(f"no permission to read {name}: change its mode or its owner") from error
    except files.UNREADABLE as error:
        raise files.unreadable(name, error) from error


def land(contract: Contract, unit: Unit, folder: Path) -> LandedUnit:
    """Read a unit into runs below `folder`."""
    rows, runs = 0, []
    rejects: list[RejectedRow] = []
    for number, landed in enumerate(_pieces(contract, unit)):
        rows += landed.rows
        rejects += landed.rejects
        if len(landed.table):
            path = folder / f"file-{unit.source}-{unit.first}-{number}.arrow"
            runs.append(write_run(landed.table, path, unit.source))
    return LandedUnit(unit.source, (Source(unit.name, rows),), tuple(runs), tuple(rejects))


def _pieces(contract: Contract, unit: Unit) -> Iterator[Landed]:
    if unit.groups is None:
        with reading(unit.name), unit.path.open("rb") as stream:
            yield from files.text_pieces(contract, unit.name, stream, RUN_ROWS)
        return
    done = unit.first
    for batch in _batches(contract, unit):
        yield screen(contract, pa.Table.from_batches([batch]), unit.name, np.arange(done, done + len(batch)))
        done += len(batch)


def _batches(contract: Contract, unit: Unit) -> Iterator[pa.RecordBatch]:
    with reading(unit.name), unit.path.open("rb") as stream:
        file = open_packed(stream)
        known = [column for column in file.schema_arrow.names if column in contract.known_columns]
        yield from unpacked_batches(file, unit.name, RUN_ROWS, unit.groups or (), known)

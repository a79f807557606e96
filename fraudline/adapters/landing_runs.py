"""Files of any size as sorted runs on disk: validated, cut at the ends of days, and free of repeated ids."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fraudline.adapters import files
from fraudline.adapters.input_files import InputFile, StoredFile, is_parquet
from fraudline.adapters.partitions import sentences_of
from fraudline.adapters.spill_files import read_batches, write_batches
from fraudline.columns import Landed, RejectedRow, Source, keep_first_copies, screen
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.errors import BadInput
from fraudline.parquet import open_packed, unpacked_batches
from fraudline.spilling import from_numbers, texts_of, with_numbers
from fraudline.table import Codes, Integers, TransactionTable, concatenate

# Rows that are screened and sorted at once.
RUN_ROWS = 2**18
# Rows among which repeated ids are looked for at once.
REPEATED_ROWS = 2**22


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


@dataclass(frozen=True)
class Run:
    """A sorted run in a file: batch i holds the rows of `days[i]` (days since the epoch), `rows[i]` many."""

    path: Path
    source: int
    days: tuple[int, ...]
    rows: tuple[int, ...]

    @property
    def hashes(self) -> Path:
        """The rows' ids, hashed."""
        return self.path.with_suffix(".npy")

    @property
    def texts_path(self) -> Path:
        return self.path.with_suffix(".texts")

    def day(self, day: int) -> pa.RecordBatch:
        """A day's rows, texts as numbers."""
        with pa.OSFile(str(self.path)) as file:
            return pa.ipc.open_file(file).get_batch(self.days.index(day))

    def texts(self) -> list[pa.StringArray]:
        """By column, the texts that the numbers stand for."""
        return [batch["text"] for batch in read_batches(self.texts_path)]

    def table(self, contract: Contract) -> TransactionTable:
        """All rows."""
        batches = read_batches(self.path)
        columns = pa.Table.from_batches(batches)
        numbers = [columns[f"text_{i}"].to_numpy() for i in range(len(self.texts()))]
        return from_numbers(contract, batches, list(map(Codes, numbers, self.texts())))

    def remove(self) -> None:
        """Nobody needs it any more."""
        for path in (self.path, self.hashes, self.texts_path):
            path.unlink()


@dataclass(frozen=True)
class LandedUnit:
    """A unit that was read: rows = those of its runs + rejects."""

    source: int
    rows: int
    runs: tuple[Run, ...]
    rejects: tuple[RejectedRow, ...]


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
            path = folder / f"{unit.source}-{unit.first}-{number}.arrow"
            with sentences_of(folder):
                runs.append(_write(landed.table.sorted(), path, unit.source))
    return LandedUnit(unit.source, rows, tuple(runs), tuple(rejects))


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


def _write(table: TransactionTable, path: Path, source: int) -> Run:
    batch, day = with_numbers(table), table.timestamp // DAY
    days, firsts = np.unique(day, return_index=True)
    rows = np.diff([*firsts, len(day)])
    run = Run(path, source, tuple(days.tolist()), tuple(rows.tolist()))
    write_batches(path, [batch.slice(*cut) for cut in zip(firsts.tolist(), rows.tolist(), strict=True)])
    texts = [pa.RecordBatch.from_pydict({"text": codes.values}) for codes in texts_of(table)]
    write_batches(run.texts_path, texts)
    np.save(run.hashes, pd.util.hash_array(table.ids.to_numpy(zero_copy_only=False), categorize=False))
    return run


@dataclass(frozen=True)
class Repeated:
    """Rows that are no first copies of their ids: `rows` are their numbers in all input, ascending."""

    rows: Integers
    rejects: tuple[RejectedRow, ...]
    duplicates: int


def repeated(contract: Contract, runs: Sequence[Run], sources: Sequence[Source], part: int, parts: int) -> Repeated:
    """Among the ids whose hash belongs to `part`: where hashes are equal, `keep_first_copies` decides."""
    mine = [_of_part(np.load(run.hashes), part, parts) for run in runs]
    ordered = np.sort(np.concatenate([np.zeros(0, np.uint64), *mine]))
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return Repeated(np.zeros(0, np.int64), (), 0)
    firsts = np.cumsum([0, *(source.rows for source in sources)])
    table = concatenate([_rows(contract, run, twice, int(firsts[run.source])) for run in runs])
    table = table.take(np.argsort(table.source_row, kind="stable"))
    kept = keep_first_copies(Landed(len(table), table, (), sources=tuple(sources)))
    return Repeated(np.setdiff1d(table.source_row, kept.table.source_row), kept.rejects, kept.duplicates)


def _of_part(hashes: npt.NDArray[np.uint64], part: int, parts: int) -> npt.NDArray[np.uint64]:
    mine: npt.NDArray[np.bool_] = hashes % np.uint64(parts) == part
    return hashes[mine]


def _rows(contract: Contract, run: Run, hashes: npt.NDArray[np.uint64], first: int) -> TransactionTable:
    """The rows of a run whose ids have one of these hashes, numbered in all input."""
    table = run.table(contract).take(np.isin(np.load(run.hashes), hashes))
    return replace(table, source_row=table.source_row + first)

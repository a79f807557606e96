"""Sorted runs of transactions on disk: a batch for each day; beside them their texts, and the hashes of their ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.adapters.large.spill_files import read_batch, write_batches
from fraudline.adapters.storage.disk import sentences_of
from fraudline.backfill.spilling import ORDER, from_numbers, texts_of, with_numbers
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.transactions.landed import RejectedRow, Source
from fraudline.transactions.table import Codes, Integers, TransactionTable

# Rows that are sorted at once.
RUN_ROWS = 2**18
# Where rows come from; those that counted at the same time stand in this order, too.
FILES, ARCHIVE, STREAM = range(3)
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Run:
    """A sorted run in a file: batch i holds the rows of `days[i]` (days since the epoch), `rows[i]` many.

    `source` is the number of the first source that it has rows of, and `source_row` counts from the first row of that.
    """

    path: Path
    source: int
    days: tuple[int, ...]
    rows: tuple[int, ...]
    origin: int = FILES

    @property
    def hashes_path(self) -> Path:
        return self.path.with_suffix(".npy")

    @property
    def texts_path(self) -> Path:
        return self.path.with_suffix(".texts")

    def hashes(self) -> Hashes:
        """Of the ids of all rows."""
        hashes: Hashes = np.load(self.hashes_path)
        return hashes

    def day(self, day: int) -> pa.RecordBatch:
        """A day's rows, texts as numbers."""
        with pa.OSFile(str(self.path)) as file:
            return pa.ipc.open_file(file).get_batch(self.days.index(day))

    def text(self, column: int) -> pa.StringArray:
        """The texts that the numbers of a column stand for: an entity's, or a category's after those."""
        return read_batch(self.texts_path, column)["text"]

    def take(self, contract: Contract, rows: Integers) -> tuple[TransactionTable, pa.StringArray]:
        """Some rows (by their place in the run, ascending), and what they are ordered by beside their times."""
        firsts = np.cumsum([0, *self.rows])
        edges = np.searchsorted(rows, firsts)
        batches = []
        with pa.OSFile(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            for number in np.flatnonzero(np.diff(edges)).tolist():
                mine = rows[edges[number] : edges[number + 1]] - firsts[number]
                batches.append(reader.get_batch(number).take(pa.array(mine)))
        columns = pa.Table.from_batches(batches)
        count = len(contract.entities) + len(contract.categories)
        texts = [Codes(columns[f"text_{i}"].to_numpy(), self.text(i)) for i in range(count)]
        table = from_numbers(contract, batches, texts)
        return table, columns[ORDER if self.origin else "id"].combine_chunks()

    def remove(self) -> None:
        """Nobody needs it any more."""
        for path in (self.path, self.hashes_path, self.texts_path):
            path.unlink()


@dataclass(frozen=True)
class LandedUnit:
    """What a worker has read: the rows of its `sources`, counted from number `source` on, are in its runs or rejected.

    Of a file that several workers read, each tells of the rows that it has read.
    """

    source: int
    sources: tuple[Source, ...]
    runs: tuple[Run, ...]
    rejects: tuple[RejectedRow, ...]

    @property
    def rows(self) -> int:
        return sum(source.rows for source in self.sources)


def write_run(table: TransactionTable, path: Path, source: int) -> Run:
    """A run of rows of files, in (timestamp, id) order."""
    return _write(table.sorted(), None, path, source, FILES)


def write_counted(
    table: TransactionTable, positions: pa.StringArray, path: Path, source: int, origin: int = ARCHIVE
) -> Run:
    """A run of rows that a stream delivered at these positions, in the order in which they counted."""
    order = counted_order(table.effective_time, positions)
    return _write(table.take(order).numbered_anew(), positions.take(pa.array(order)), path, source, origin)


def counted_order(
    time: Integers, order: pa.StringArray | pa.ChunkedArray, origin: npt.NDArray[Any] | None = None
) -> Integers:
    """Rows in the order in which they counted: by time, by where they come from if that is told, and by text."""
    columns = {"time": time} | ({} if origin is None else {"origin": origin}) | {"order": order}
    found = pc.sort_indices(pa.table(columns), sort_keys=[(name, "ascending") for name in columns])
    return found.to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def write_days(batch: pa.RecordBatch, run: Run) -> Run:
    """The rows of a run anew, at other effective times: its texts and hashes stay as they are."""
    time = batch["effective_time"].to_numpy()
    order = counted_order(time, batch[ORDER])
    return _write_rows(batch.take(pa.array(order)), time[order] // DAY, run)


def _write(table: TransactionTable, positions: pa.StringArray | None, path: Path, source: int, origin: int) -> Run:
    run = _write_rows(with_numbers(table, positions), table.effective_time // DAY, Run(path, source, (), (), origin))
    write_batches(run.texts_path, [pa.RecordBatch.from_pydict({"text": codes.values}) for codes in texts_of(table)])
    with sentences_of(path.parent):
        np.save(run.hashes_path, hashes_of(table.ids))
    return run


def _write_rows(batch: pa.RecordBatch, day: Integers, run: Run) -> Run:
    """Rows that stand by day."""
    days, firsts = np.unique(day, return_index=True)
    rows = np.diff([*firsts, len(day)])
    write_batches(run.path, [batch.slice(*cut) for cut in zip(firsts.tolist(), rows.tolist(), strict=True)])
    return replace(run, days=tuple(days.tolist()), rows=tuple(rows.tolist()))


def hashes_of(ids: pa.StringArray) -> Hashes:
    """The same for the same id, in every process."""
    return pd.util.hash_array(ids.to_numpy(zero_copy_only=False), categorize=False)


def at_hashes(run: Run, hashes: Hashes) -> Integers:
    """The places of the rows of a run whose ids have one of these hashes."""
    return np.flatnonzero(np.isin(run.hashes(), hashes))


def firsts_of(sources: Sequence[Source]) -> Integers:
    """The number of the first row of each source among those of all, and how many there are."""
    return np.cumsum([0, *(source.rows for source in sources)])

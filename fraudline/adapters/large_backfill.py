"""The past on disk: input larger than memory, shuffled by entity and scored by many processes.

`shuffled` puts the days of all sorted runs (`large_landing`) together in the order they count, which numbers the rows,
tells the fingerprints and deals the rows out to partitions by each entity; `PastOnDisk.score` works the partitions pass
by pass (`backfill_passes`) and gives the days in order. All of it lies in one folder, of nobody's use afterwards.
"""

import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.adapters.ahead import ahead
from fraudline.adapters.archive_runs import archive_rows
from fraudline.adapters.file_runs import rows_of
from fraudline.adapters.input_files import InputFile
from fraudline.adapters.large_landing import Landing, Rename, landed_files
from fraudline.adapters.objects import Objects
from fraudline.adapters.partitions import sentences_of
from fraudline.adapters.spill_files import read_batch, write_batches
from fraudline.adapters.stream_runs import Progress
from fraudline.adapters.workers import Workers
from fraudline.backfill_passes import Floats, Ranges, explained_frauds, gathered, lagged_columns, scored_rows
from fraudline.backfilling import Partition, ScoredDay, decisions, nothing_to_score
from fraudline.bundle import Bundle
from fraudline.clock import format_day
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.errors import BadInput
from fraudline.features.definition import feature_set
from fraudline.features.offline import Explained
from fraudline.fingerprints import Fingerprint
from fraudline.scoring import Scorer
from fraudline.spilling import Dealer, cut, from_texts, with_texts
from fraudline.table import Integers

# Up to so many rows are done in one table before processes have started.
MEMORY_ROWS = 500_000
# Rows of a partition on average: its matrix of features is what a worker's memory goes to.
PARTITION_ROWS = 2**18
# Files open at once while rows are dealt out.
MAX_OPEN = 512


@dataclass(frozen=True)
class Shuffle:
    """Rows dealt out to partitions in files: all that a worker must know of them."""

    contract: Contract
    folder: Path
    partitions: int
    category_texts: Sequence[pa.StringArray]
    stated: bool

    def part(self, index: int, part: int) -> pa.Table:
        """The columns of one partition by entity `index`."""
        with pa.OSFile(str(_part_path(self.folder, index, part))) as file:
            return pa.ipc.open_stream(file).read_all()

    def statements(self, index: int, part: int) -> pa.Table | None:
        """What was said of the labels of one partition by later entity `index`, if that tells more than its labels."""
        if not self.stated:
            return None
        path = _statements_path(self.folder, index, part)
        if not path.exists():
            return pa.table({name: pa.array([], pa.int64()) for name in ("row", "label", "known_at", "missed_by")})
        with pa.OSFile(str(path)) as file:
            return pa.ipc.open_stream(file).read_all()

    def lagged(self, index: int, part: int) -> Path:
        """Primitives of later entity `index` as partition `part` found them: batch i is for home partition i."""
        return self.folder / f"lagged-{index}-{part}.arrow"

    @property
    def explained(self) -> Path:
        return self.folder / "explained.npz"

    def parts_of(self, index: int) -> list[int]:
        """The partitions by entity `index` that have rows."""
        return [part for part in range(self.partitions) if _part_path(self.folder, index, part).exists()]

    @property
    def later(self) -> range:
        """The indexes of later entities."""
        return range(1, len(self.contract.entities))


def _part_path(folder: Path, index: int, part: int) -> Path:
    return folder / f"part-{index}-{part}.arrow"


def _statements_path(folder: Path, index: int, part: int) -> Path:
    return folder / f"said-{index}-{part}.arrow"


def _day_path(folder: Path, day: str) -> Path:
    return folder / f"day-{day}.arrow"


def is_large(files: Sequence[InputFile]) -> bool:
    """Whether these files hold more rows than are worked in memory at once."""
    return sum(map(rows_of, files)) > MEMORY_ROWS


def is_large_history(landing: Objects) -> bool:
    """The same of all that has landed."""
    return is_large(landed_files(landing)) or archive_rows(landing) > MEMORY_ROWS


@contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """A folder beside the output, gone afterwards; what a killed run has left in it goes first."""
    folder = out.parent / f".{out.name}.shuffle"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with sentences_of(out):
            folder.mkdir(parents=True)
        yield folder.resolve()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def shuffled(
    contract: Contract,
    landing: Landing,
    window: tuple[int, int],
    bundle: Bundle,
    rename: Rename,
    folder: Path,
    workers: Workers,
    progress: Progress,
) -> "PastOnDisk":
    """The past up to the end of the window, dealt out to partitions; `rename` gives erased people their pseudonyms."""
    if not landing.runs:
        raise BadInput("there are no transactions to score: name a file that has some")
    start, end = window
    rows = landing.rows
    count = max(1, min(-(-rows // PARTITION_ROWS), MAX_OPEN // (2 * len(contract.entities))))
    texts = landing.vocabularies(contract, rename)
    entities, categories = texts[: len(contract.entities)], texts[len(contract.entities) :]
    landing = landing.counted(entities[0])
    # What a file says of a label follows from its columns; builds, people and other files may have said more.
    stated = landing.missed_by is not None
    dealer, fingerprint = Dealer([len(entity.values) for entity in entities], count, landing.recorded), Fingerprint()
    found, undecided, first = list[Partition](), list[Integers](), 0
    days = [day for day in landing.days() if day * DAY < end]
    with _Parts() as parts:
        for day, table in ahead((day, landing.day(contract, texts, day)) for day in days):
            if not len(table):
                continue
            codes = dealer.entity_codes(table)
            digest = fingerprint.of(table, codes)
            for index, part, batch in dealer.deal(table, codes, first):
                parts.write(_part_path(folder, index, part), batch)
            if stated:
                for index, part, batch in dealer.deal_statements(table.statements(), codes, first):
                    parts.write(_statements_path(folder, index, part), batch)
            if day * DAY >= start:
                found.append(Partition(format_day(day * DAY), first, first + len(table), digest))
                undecided.append(first + np.flatnonzero(np.isin(table.source_row, landing.repeated.undecided)))
                write_batches(_day_path(folder, found[-1].day), [with_texts(table, landing.recorded)])
            first += len(table)
            progress("Sorted", first, rows)
    if not found:
        spanned = landing.days()
        raise nothing_to_score(start, end, spanned[0] * DAY, spanned[-1] * DAY)
    for run in landing.runs:
        run.remove()
    shuffle = Shuffle(contract, folder, count, [category.values for category in categories], stated)
    return PastOnDisk(shuffle, found, bundle, np.concatenate(undecided), workers, progress)


class _Parts:
    """Files of batches, written side by side."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._writers: dict[Path, Any] = {}

    def write(self, path: Path, batch: pa.RecordBatch) -> None:
        if not len(batch):
            return
        writer = self._writers.get(path)
        if writer is None:
            file = self._open.enter_context(pa.OSFile(str(path), "wb"))
            writer = self._writers[path] = self._open.enter_context(pa.ipc.new_stream(file, batch.schema))
        writer.write_batch(batch)

    def __enter__(self) -> "_Parts":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()


def empty(scratch: Path) -> None:
    """Remove all that lies in a folder of a large backfill."""
    for path in scratch.iterdir():
        path.unlink()


@dataclass(frozen=True)
class PastOnDisk:
    """Days that can be scored, and their past in partitions."""

    shuffle: Shuffle
    partitions: Sequence[Partition]
    bundle: Bundle
    # Numbers of rows that count and are not decided on.
    undecided: Integers
    workers: Workers
    progress: Progress
    with_features: bool = False

    def score(self, parts: Sequence[Partition]) -> Iterator[ScoredDay]:
        """Nothing is given before all partitions are scored: a day's rows lie in each of them."""
        if not parts:
            return
        with sentences_of(self.shuffle.folder):
            wanted = [(part.begin, part.end) for part in parts]
            self._find_explained()
            self._find_lagged(wanted)
            scores, features = self._scored(wanted)
        yield from ahead(self._days(parts, scores, features))

    def _days(self, parts: Sequence[Partition], scores: Floats, features: Floats | None) -> Generator[ScoredDay]:
        done = 0
        for part in parts:
            table = from_texts(self.shuffle.contract, read_batch(_day_path(self.shuffle.folder, part.day), 0))
            decided = np.flatnonzero(~np.isin(np.arange(part.begin, part.end), self.undecided))
            rows, day = done + decided, table if len(decided) == len(table) else table.take(decided)
            yield ScoredDay(
                part, day, decisions(day, scores[rows], self.bundle), None if features is None else features[rows]
            )
            done += part.end - part.begin

    def _find_explained(self) -> None:
        tasks: list[tuple[Any, ...]] = []
        if any(entity.risk for entity in self.shuffle.contract.lagged_entities):
            tasks = [(self.shuffle, part) for part in self.shuffle.parts_of(0)]
        found = list(self.workers.results(_explained, tasks))
        counted = [np.zeros(0, np.int64), *(explained.counted for explained in found)]
        seen = [np.zeros(0, np.int64), *(explained.seen_by_builds for explained in found)]
        np.savez(self.shuffle.explained, np.sort(np.concatenate(counted)), np.sort(np.concatenate(seen)))

    def _find_lagged(self, wanted: Ranges) -> None:
        for index in self.shuffle.later:
            tasks = [(self.shuffle, index, part, wanted) for part in self.shuffle.parts_of(index)]
            for done, _ in enumerate(self.workers.results(_lagged, tasks), start=1):
                self.progress(f"By {self.shuffle.contract.entities[index].name}", done, len(tasks))

    def _scored(self, wanted: Ranges) -> tuple[Floats, Floats | None]:
        rows = sum(end - begin for begin, end in wanted)
        begins = np.array([begin for begin, _ in wanted])
        shifts = begins - np.cumsum([0, *(end - begin for begin, end in wanted)])[:-1]
        scores = self._on_disk("scores", (rows,))
        width = len(feature_set(self.shuffle.contract).names)
        features = self._on_disk("features", (rows, width)) if self.with_features else None
        lagged = {index: self.shuffle.parts_of(index) for index in self.shuffle.later}
        tasks = [
            (self.shuffle, part, lagged, wanted, self.bundle.scorer, self.with_features)
            for part in self.shuffle.parts_of(0)
        ]
        done = 0
        for numbers, values, matrix in self.workers.results(_score, tasks):
            at = numbers - shifts[np.searchsorted(begins, numbers, side="right") - 1]
            scores[at] = values
            if features is not None:
                features[at] = matrix
            done += len(numbers)
            self.progress("Scored", done, rows)
        return scores, features

    def _on_disk(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        return np.memmap(self.shuffle.folder / name, np.float64, "w+", shape=shape)


def _explained(shuffle: Shuffle, part: int) -> Explained:
    return explained_frauds(shuffle.contract, shuffle.part(0, part), shuffle.category_texts)


def _lagged(shuffle: Shuffle, index: int, part: int, wanted: Ranges) -> None:
    with np.load(shuffle.explained) as numbers:
        explained = Explained(*numbers.values())
    statements = shuffle.statements(index, part)
    columns, home = lagged_columns(shuffle.contract, shuffle.part(index, part), statements, index, explained, wanted)
    with sentences_of(shuffle.folder):
        write_batches(shuffle.lagged(index, part), list(cut(columns, home, shuffle.partitions)))


def _score(
    shuffle: Shuffle,
    part: int,
    lagged: dict[int, list[int]],
    wanted: Ranges,
    scorer: Scorer,
    with_features: bool,
) -> tuple[Integers, Floats, Floats | None]:
    later = [gathered([read_batch(shuffle.lagged(i, n), part) for n in numbers]) for i, numbers in lagged.items()]
    columns = shuffle.part(0, part)
    return scored_rows(shuffle.contract, columns, shuffle.category_texts, later, wanted, scorer, with_features)

"""The past on disk: files larger than memory, shuffled by entity and scored by many processes.

`shuffled` reads the files into sorted runs, one worker a unit; puts the days together in time order, which numbers the
rows, tells the fingerprints and deals the rows out to partitions by each entity; `PastOnDisk.score` works the
partitions pass by pass (`backfill_passes`) and gives the days in order. All of it lies in one folder, of nobody's use
afterwards.
"""

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.adapters.ahead import ahead
from fraudline.adapters.copies import Copies
from fraudline.adapters.input_files import InputFile
from fraudline.adapters.landing_runs import REPEATED_ROWS, LandedUnit, Repeated, Run, land, repeated, rows_of
from fraudline.adapters.partitions import sentences_of
from fraudline.adapters.spill_files import read_batch, write_batches
from fraudline.adapters.workers import Workers
from fraudline.backfill_passes import Floats, Ranges, explained_frauds, gathered, lagged_columns, scored_rows
from fraudline.backfilling import Partition, ScoredDay, decisions, nothing_to_score
from fraudline.bundle import Bundle
from fraudline.clock import format_day
from fraudline.columns import RejectedRow, Source
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.errors import BadInput
from fraudline.features.definition import feature_set
from fraudline.fingerprints import Fingerprint
from fraudline.scoring import Scorer
from fraudline.spilling import Dealer, cut, from_numbers, from_texts, with_texts
from fraudline.table import Codes, Integers, TransactionTable
from fraudline.vocabulary import Vocabulary, vocabulary

# Up to so many rows are done in one table before processes have started.
MEMORY_ROWS = 500_000
# Rows of a partition on average: its matrix of features is what a worker's memory goes to.
PARTITION_ROWS = 2**18
# Files open at once while rows are dealt out.
MAX_OPEN = 512

# Ids and the name of their entity to ids under which erased people stay.
Rename = Callable[[pa.StringArray, str], pa.StringArray]
# What is done, how many rows of how many.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Shuffle:
    """Rows dealt out to partitions in files: all that a worker must know of them."""

    contract: Contract
    folder: Path
    partitions: int
    category_texts: Sequence[pa.StringArray]

    def part(self, index: int, part: int) -> pa.Table:
        """The columns of one partition by entity `index`."""
        with pa.OSFile(str(_part_path(self.folder, index, part))) as file:
            return pa.ipc.open_stream(file).read_all()

    def lagged(self, index: int, part: int) -> Path:
        """Primitives of later entity `index` as partition `part` found them: batch i is for home partition i."""
        return self.folder / f"lagged-{index}-{part}.arrow"

    @property
    def explained(self) -> Path:
        return self.folder / "explained.npy"

    @property
    def later(self) -> range:
        """The indexes of later entities."""
        return range(1, len(self.contract.entities))


def _part_path(folder: Path, index: int, part: int) -> Path:
    return folder / f"part-{index}-{part}.arrow"


def _day_path(folder: Path, day: str) -> Path:
    return folder / f"day-{day}.arrow"


def is_large(files: Sequence[InputFile]) -> bool:
    """Whether these files hold more rows than are worked in memory at once."""
    return sum(map(rows_of, files)) > MEMORY_ROWS


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


@dataclass(frozen=True)
class Landing:
    """All files in sorted runs."""

    sources: tuple[Source, ...]
    runs: tuple[Run, ...]
    rejects: tuple[RejectedRow, ...]
    duplicates: int
    # Numbers of the rows that are no first copies of their ids, ascending.
    dropped: Integers

    @property
    def rows(self) -> int:
        return sum(source.rows for source in self.sources)

    def days(self) -> list[int]:
        """All days (since the epoch) that have rows."""
        return sorted({day for run in self.runs for day in run.days})

    def vocabularies(self, contract: Contract, rename: Rename) -> list[Vocabulary]:
        """The texts of all runs: by entity, then by category."""
        texts = zip(*(run.texts() for run in self.runs), strict=True)
        entities = [entity.name for entity in contract.entities] + [None] * len(contract.categories)
        return [
            vocabulary(parts if entity is None else [rename(part, entity) for part in parts])
            for entity, parts in zip(entities, texts, strict=True)
        ]

    def day(self, contract: Contract, texts: Sequence[Vocabulary], day: int) -> TransactionTable:
        """The transactions of a day in (timestamp, id) order, texts numbered in their vocabularies."""
        found = [(number, run) for number, run in enumerate(self.runs) if day in run.days]
        batches = [run.day(day) for _, run in found]
        numbers = [number for number, _ in found]
        table = from_numbers(contract, batches, [_numbered(i, t, numbers, batches) for i, t in enumerate(texts)])
        firsts = np.cumsum([0, *(source.rows for source in self.sources)])
        shift = np.repeat(firsts[[run.source for _, run in found]], list(map(len, batches)))
        table = replace(table, source_row=table.source_row + shift)
        if len(self.dropped):
            table = table.take(~np.isin(table.source_row, self.dropped))
        return table if len(found) == 1 else table.in_order()


def _numbered(column: int, texts: Vocabulary, runs: Sequence[int], batches: Sequence[pa.RecordBatch]) -> Codes:
    pairs = zip(runs, batches, strict=True)
    return Codes(np.concatenate([texts.numbers[run][batch[f"text_{column}"]] for run, batch in pairs]), texts.values)


def land_files(
    contract: Contract, files: Sequence[InputFile], folder: Path, workers: Workers, progress: Progress
) -> Landing:
    """Read files into runs below `folder`; as many objects as workers are kept busy by are copied there at a time."""
    copies, done = Copies(contract, files, folder), list[LandedUnit]()
    for unit in workers.results(land, ((contract, unit, folder) for unit in copies.units())):
        done.append(unit)
        copies.has_read(unit)
        progress("Read", sum(part.rows for part in done), 0)
    done.sort(key=lambda part: part.source)
    rows: dict[int, int] = defaultdict(int)
    for part in done:
        rows[part.source] += part.rows
    sources = tuple(Source(file.name, rows[source]) for source, file in enumerate(files))
    runs = tuple(run for part in done for run in part.runs)
    parts = sum(rows.values()) // REPEATED_ROWS + 1
    again: list[Repeated] = list(
        workers.results(repeated, [(contract, runs, sources, part, parts) for part in range(parts)])
    )
    rejects = [reject for part in done for reject in part.rejects] + [r for part in again for r in part.rejects]
    places = {source.name: index for index, source in enumerate(sources)}
    if not runs:
        raise _nothing_valid(contract, sources, rejects)
    return Landing(
        sources,
        runs,
        tuple(sorted(rejects, key=lambda reject: (places[reject.source], reject.row))),
        sum(part.duplicates for part in again),
        np.sort(np.concatenate([np.zeros(0, np.int64), *(part.rows for part in again)])),
    )


def _nothing_valid(contract: Contract, sources: Sequence[Source], rejects: Sequence[RejectedRow]) -> BadInput:
    rows = sum(source.rows for source in sources)
    if not rejects:
        return BadInput(f"{sources[0].name} has no rows: name a file with transactions")
    reason, count = Counter(reject.reason for reject in rejects).most_common(1)[0]
    return BadInput(
        f"{sources[0].name} has no valid transaction among {rows} rows, most often for {reason} ({count}):"
        f" check that contract {contract.name!r} describes it, with `fraudline quality`"
    )


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
    start, end = window
    days = [day for day in landing.days() if day * DAY < end]
    rows = landing.rows
    count = max(1, min(-(-rows // PARTITION_ROWS), MAX_OPEN // len(contract.entities)))
    texts = landing.vocabularies(contract, rename)
    entities, categories = texts[: len(contract.entities)], texts[len(contract.entities) :]
    dealer, fingerprint = Dealer([len(entity.values) for entity in entities], count), Fingerprint()
    found, first = list[Partition](), 0
    with _Parts(folder) as parts:
        for day, table in ahead((day, landing.day(contract, texts, day)) for day in days):
            codes = dealer.entity_codes(table)
            digest = fingerprint.of(table, codes)
            for index, part, batch in dealer.deal(table, codes, first):
                parts.write(index, part, batch)
            if day * DAY >= start:
                found.append(Partition(format_day(day * DAY), first, first + len(table), digest))
                write_batches(_day_path(folder, found[-1].day), [with_texts(table)])
            first += len(table)
            progress("Sorted", first, rows)
    if not found:
        spanned = landing.days()
        raise nothing_to_score(start, end, spanned[0] * DAY, spanned[-1] * DAY)
    for run in landing.runs:
        run.remove()
    shuffle = Shuffle(contract, folder, count, [category.values for category in categories])
    return PastOnDisk(shuffle, found, bundle, parts.written, workers, progress)


class _Parts:
    """The files of all partitions, written side by side."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._writers: dict[tuple[int, int], Any] = {}

    @property
    def written(self) -> frozenset[tuple[int, int]]:
        """Entity index and number of the partitions that have rows."""
        return frozenset(self._writers)

    def write(self, index: int, part: int, batch: pa.RecordBatch) -> None:
        if not len(batch):
            return
        writer = self._writers.get((index, part))
        if writer is None:
            file = self._open.enter_context(pa.OSFile(str(_part_path(self._folder, index, part)), "wb"))
            writer = self._open.enter_context(pa.ipc.new_stream(file, batch.schema))
            self._writers[index, part] = writer
        writer.write_batch(batch)

    def __enter__(self) -> "_Parts":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()


@dataclass(frozen=True)
class PastOnDisk:
    """Days that can be scored, and their past in partitions."""

    shuffle: Shuffle
    partitions: Sequence[Partition]
    bundle: Bundle
    written: frozenset[tuple[int, int]]
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
            rows = slice(done, done + part.end - part.begin)
            table = from_texts(self.shuffle.contract, read_batch(_day_path(self.shuffle.folder, part.day), 0))
            matrix = None if features is None else np.array(features[rows])
            yield ScoredDay(part, table, decisions(table, np.array(scores[rows]), self.bundle), matrix)
            done = rows.stop

    def _numbers(self, index: int) -> list[int]:
        return sorted(part for entity, part in self.written if entity == index)

    def _find_explained(self) -> None:
        if not any(entity.risk for entity in self.shuffle.contract.lagged_entities):
            tasks: list[tuple[Any, ...]] = []
        else:
            tasks = [(self.shuffle, part) for part in self._numbers(0)]
        found = list(self.workers.results(_explained, tasks))
        np.save(self.shuffle.explained, np.sort(np.concatenate([np.zeros(0, np.int64), *found])))

    def _find_lagged(self, wanted: Ranges) -> None:
        for index in self.shuffle.later:
            tasks = [(self.shuffle, index, part, wanted) for part in self._numbers(index)]
            for done, _ in enumerate(self.workers.results(_lagged, tasks), start=1):
                self.progress(f"By {self.shuffle.contract.entities[index].name}", done, len(tasks))

    def _scored(self, wanted: Ranges) -> tuple[Floats, Floats | None]:
        rows = sum(end - begin for begin, end in wanted)
        begins = np.array([begin for begin, _ in wanted])
        shifts = begins - np.cumsum([0, *(end - begin for begin, end in wanted)])[:-1]
        scores = self._on_disk("scores", (rows,))
        width = len(feature_set(self.shuffle.contract).names)
        features = self._on_disk("features", (rows, width)) if self.with_features else None
        lagged = {index: self._numbers(index) for index in self.shuffle.later}
        tasks = [
            (self.shuffle, part, lagged, wanted, self.bundle.scorer, self.with_features) for part in self._numbers(0)
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


def _explained(shuffle: Shuffle, part: int) -> Integers:
    return explained_frauds(shuffle.contract, shuffle.part(0, part), shuffle.category_texts)


def _lagged(shuffle: Shuffle, index: int, part: int, wanted: Ranges) -> None:
    explained = np.load(shuffle.explained)
    columns, home = lagged_columns(shuffle.contract, shuffle.part(index, part), index, explained, wanted)
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

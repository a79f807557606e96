"""The past on disk: input larger than memory, shuffled by entity and scored by many processes.

`shuffled` puts the days of all sorted runs (`landing_days`) together in the order they count, which numbers the rows,
tells the fingerprints and deals the rows out to partitions by each entity; `PastOnDisk.score` works the partitions pass
by pass (`backfill_passes`) and gives the days in order. All of it lies in one folder, of nobody's use afterwards.
"""

import math
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fraudline.adapters.inputs.sources import InputFile
from fraudline.adapters.large.ahead import ahead
from fraudline.adapters.large.archive_runs import archive_rows
from fraudline.adapters.large.days import LargeLanding, Rename
from fraudline.adapters.large.file_runs import rows_of
from fraudline.adapters.large.landing import landed_files
from fraudline.adapters.large.repeated_ids import are_among
from fraudline.adapters.large.shuffle import Shuffle, Shuffling
from fraudline.adapters.large.spill_files import read_batch, write_batches
from fraudline.adapters.large.stream_runs import Progress
from fraudline.adapters.large.workers import Workers
from fraudline.adapters.storage.disk import sentences_of
from fraudline.adapters.storage.objects import Objects
from fraudline.backfill.dealing import cut
from fraudline.backfill.fingerprints import Fingerprint
from fraudline.backfill.passes import Floats, Ranges, gathered, lagged_columns, scored_rows
from fraudline.backfill.past import Partition, ScoredDay, decisions, nothing_to_score
from fraudline.backfill.spilling import from_texts, with_texts
from fraudline.clock import format_day
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.errors import BadInput
from fraudline.features.definition import feature_set
from fraudline.model.bundle import Bundle
from fraudline.model.scoring import Scorer
from fraudline.transactions.table import Integers

# Up to so many rows are done in one table before processes have started.
MEMORY_ROWS = 500_000


def is_large(files: Sequence[InputFile]) -> bool:
    """Whether these files hold more rows than are worked in memory at once."""
    return sum(map(rows_of, files)) > MEMORY_ROWS


def is_large_history(landing: Objects) -> bool:
    """The same of all that has landed."""
    return sum(map(rows_of, landed_files(landing))) + archive_rows(landing) > MEMORY_ROWS


def shuffled(
    contract: Contract,
    landing: LargeLanding,
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
    shuffling, fingerprint = Shuffling(contract, landing, rename, folder), Fingerprint()
    found, undecided = list[Partition](), list[Integers]()
    for day, table, entities, first in shuffling.days(end, progress):
        digest = fingerprint.of(table, entities)
        if day * DAY >= start:
            found.append(Partition(format_day(day * DAY), first, first + len(table), digest))
            undecided.append(first + np.flatnonzero(are_among(table.source_row, landing.repeated.undecided)))
            write_batches(_day_path(folder, found[-1].day), [with_texts(table)])
    if not found:
        spanned = shuffling.landing.days()
        raise nothing_to_score(start, end, spanned[0] * DAY, spanned[-1] * DAY)
    return PastOnDisk(shuffling.shuffle, found, bundle, np.concatenate(undecided), workers, progress)


def _day_path(folder: Path, day: str) -> Path:
    return folder / f"day-{day}.arrow"


def _lagged_path(shuffle: Shuffle, index: int, part: int) -> Path:
    """Primitives of lagged entity `index` as partition `part` found them: batch i is for home partition i."""
    return shuffle.folder / f"lagged-{index}-{part}.arrow"


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
        wanted = [(part.begin, part.end) for part in parts]
        self.shuffle.find_explained(self.workers)
        self._find_lagged(wanted)
        scores, features = self._scored(wanted)
        yield from ahead(self._days(parts, scores, features))

    def _days(self, parts: Sequence[Partition], scores: Floats, features: Floats | None) -> Generator[ScoredDay]:
        done = 0
        for part in parts:
            table = from_texts(self.shuffle.contract, read_batch(_day_path(self.shuffle.folder, part.day), 0))
            decided = np.flatnonzero(~are_among(np.arange(part.begin, part.end), self.undecided))
            rows, day = done + decided, table if len(decided) == len(table) else table.take(decided)
            yield ScoredDay(
                part, day, decisions(day, scores[rows], self.bundle), None if features is None else features[rows]
            )
            done += part.end - part.begin

    def _find_lagged(self, wanted: Ranges) -> None:
        for index in self.shuffle.lagged_indexes:
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
        lagged = {index: self.shuffle.parts_of(index) for index in self.shuffle.lagged_indexes}
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
        path = self.shuffle.folder / name
        with sentences_of(path.parent), path.open("wb") as file:
            # Who writes through memory where a disk is full is killed: its room is taken before, where a system can.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, 8 * math.prod(shape))
            else:
                file.truncate(8 * math.prod(shape))
        return np.memmap(path, np.float64, "r+", shape=shape)


def _lagged(shuffle: Shuffle, index: int, part: int, wanted: Ranges) -> None:
    home = shuffle.part(index, part)["home"].to_numpy()
    columns, home = lagged_columns(shuffle.lagged(index, part), home, index, shuffle.explained(), wanted)
    write_batches(_lagged_path(shuffle, index, part), list(cut(columns, home, shuffle.partitions)))


def _score(
    shuffle: Shuffle,
    part: int,
    lagged: dict[int, list[int]],
    wanted: Ranges,
    scorer: Scorer,
    with_features: bool,
) -> tuple[Integers, Floats, Floats | None]:
    primitives = [
        gathered([read_batch(_lagged_path(shuffle, i, n), part) for n in numbers]) for i, numbers in lagged.items()
    ]
    columns = shuffle.part(0, part)
    return scored_rows(shuffle.contract, columns, shuffle.category_texts, primitives, wanted, scorer, with_features)

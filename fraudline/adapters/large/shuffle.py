"""A landing dealt out to partitions in files: all rows of a member of an entity are in one of them, in their order."""

import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.adapters.backfill.output_lock import only_run
from fraudline.adapters.large.ahead import ahead
from fraudline.adapters.large.days import LargeLanding, Rename
from fraudline.adapters.large.spill_files import Streams, read_stream
from fraudline.adapters.large.stream_runs import Progress
from fraudline.adapters.large.workers import Workers
from fraudline.adapters.storage.disk import sentences_of
from fraudline.backfill.dealing import Dealer, lagged_entity_table
from fraudline.backfill.passes import explained_frauds
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.errors import NotReady, Unavailable
from fraudline.features.offline_partition import Explained
from fraudline.transactions.table import Integers, TransactionTable

# Rows of a partition on average: its matrix of features is what a worker's memory goes to.
PARTITION_ROWS = 2**18
# Files open at once while rows are dealt out, where a system allows twice as many: some allow 256 in all.
MAX_OPEN = 512


@dataclass(frozen=True)
class Shuffle:
    """All that a worker must know of the partitions."""

    contract: Contract
    folder: Path
    partitions: int
    category_texts: Sequence[pa.StringArray]
    # Whether statements on labels lie beside the rows.
    stated: bool

    def part(self, index: int, part: int) -> pa.Table:
        """The columns of one partition by entity `index`."""
        return read_stream(self.part_path(index, part))

    def lagged(self, index: int, part: int) -> TransactionTable:
        """One partition by lagged entity `index`, with all that was said of its labels."""
        return lagged_entity_table(self.contract, self.part(index, part), index, self._statements(index, part))

    def _statements(self, index: int, part: int) -> pa.Table | None:
        if not self.stated:
            return None
        path = self.statements_path(index, part)
        return read_stream(path) if path.exists() else _NOTHING_SAID

    def part_path(self, index: int, part: int) -> Path:
        return self.folder / f"part-{index}-{part}.arrow"

    def statements_path(self, index: int, part: int) -> Path:
        return self.folder / f"said-{index}-{part}.arrow"

    def parts_of(self, index: int) -> list[int]:
        """The partitions by entity `index` that have rows."""
        return [part for part in range(self.partitions) if self.part_path(index, part).exists()]

    @property
    def lagged_indexes(self) -> range:
        """The indexes of lagged entities."""
        return range(1, len(self.contract.entities))

    def find_explained(self, workers: Workers) -> None:
        """Ask all partitions by the partition entity which frauds their amounts explain, if anybody wants to know."""
        tasks: list[tuple[Any, ...]] = []
        if any(entity.risk for entity in self.contract.lagged_entities):
            tasks = [(self, part) for part in self.parts_of(0)]
        found = list(workers.results(_explained, tasks))
        counted = [np.zeros(0, np.int64), *(explained.counted for explained in found)]
        seen = [np.zeros(0, np.int64), *(explained.seen_by_builds for explained in found)]
        with sentences_of(self.folder):
            np.savez(self._explained_path, np.sort(np.concatenate(counted)), np.sort(np.concatenate(seen)))

    def explained(self) -> Explained:
        """What was found."""
        with np.load(self._explained_path) as numbers:
            return Explained(*numbers.values())

    @property
    def _explained_path(self) -> Path:
        return self.folder / "explained.npz"


_NOTHING_SAID = pa.table({name: pa.array([], pa.int64()) for name in ("row", "label", "known_at", "missed_by")})


def _explained(shuffle: Shuffle, part: int) -> Explained:
    return explained_frauds(shuffle.contract, shuffle.part(0, part), shuffle.category_texts)


@contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """A folder beside the output, gone afterwards; what a killed run has left in it goes first.

    `NotReady` while another run works in it: nobody but a dry run comes so far beside another run.
    """
    folder = out.parent / f".{out.name}.shuffle"
    with only_run(folder):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with sentences_of(out):
                folder.mkdir()
            yield folder.resolve()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_scratch(prefix: str) -> Iterator[Path]:
    """A folder of our own among the system's temporary ones; those that killed runs have left go first."""
    place = Path(gettempdir())
    for left in place.glob(f".{prefix}*.shuffle"):
        # A run that is not killed holds it; another user's is not ours to remove.
        with suppress(NotReady, Unavailable), only_run(left):
            shutil.rmtree(left, ignore_errors=True)
    with scratch_beside(place / f"{prefix}{uuid4()}") as folder:
        yield folder


def empty(scratch: Path) -> None:
    """Remove all that lies in such a folder."""
    for path in scratch.iterdir():
        path.unlink()


def _most_open() -> int:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_OPEN if allowed == resource.RLIM_INFINITY else min(MAX_OPEN, allowed // 2)


class DealtDay(NamedTuple):
    """A day (since the epoch) that was dealt out: its table, its entities by appearance, and its first row's number."""

    day: int
    table: TransactionTable
    entities: Sequence[npt.NDArray[np.int32]]
    first: int


class Shuffling:
    """Deals out a landing below `folder`; `rename` gives erased people their pseudonyms."""

    def __init__(self, contract: Contract, landing: LargeLanding, rename: Rename, folder: Path) -> None:
        self._texts = landing.vocabularies(contract, rename)
        entities, categories = self._texts[: len(contract.entities)], self._texts[len(contract.entities) :]
        self.landing = landing.counted(entities[0])
        self._names = [entity.values for entity in entities]
        # What a file says of a label follows from its columns; builds, people and other files may have said more.
        stated = landing.missed_by is not None
        files = len(contract.entities) + (len(contract.lagged_entities) if stated else 0)
        partitions = max(1, min(-(-landing.rows // PARTITION_ROWS), _most_open() // files))
        self._dealer = Dealer([len(names) for names in self._names], partitions, landing.recorded)
        self.shuffle = Shuffle(contract, folder, partitions, [category.values for category in categories], stated)

    def days(self, before: int | None, progress: Progress) -> Iterator[DealtDay]:
        """Each day, if told only those before a moment (microseconds), once it is dealt out; then the runs are gone."""
        shuffle, landing, first = self.shuffle, self.landing, 0
        days = [day for day in landing.days() if before is None or day * DAY < before]
        with Streams(shuffle.folder) as files:
            for day, table in ahead((day, landing.day(shuffle.contract, self._texts, day)) for day in days):
                if not len(table):
                    continue
                codes = self._dealer.entity_codes(table)
                for index, part, batch in self._dealer.deal(table, codes, first):
                    files.write(shuffle.part_path(index, part), batch)
                if shuffle.stated:
                    for index, part, batch in self._dealer.deal_statements(table.statements(), codes, first):
                        files.write(shuffle.statements_path(index, part), batch)
                yield DealtDay(day, table, codes, first)
                first += len(table)
                progress("Sorted", first, landing.rows)
        for run in landing.runs:
            run.remove()

    def names(self, index: int, part: int, members: Integers) -> list[str]:
        """What these members (by their codes in a partition) of entity `index` are called."""
        appeared = self._dealer.numbers_by_appearance(index)[members * self.shuffle.partitions + part]
        return self._names[index].take(pa.array(appeared)).to_pylist()  # type: ignore[no-any-return]

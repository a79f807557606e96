"""Input larger than memory, in sorted runs: files, all that has landed, and what the stream still keeps.

The twin of `history.load_history` and of `files.read_transactions`: a `Landing` gives their rows, in their order and
with their labels, a day at a time.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.adapters.archive_runs import ArchiveCopies, land_archive
from fraudline.adapters.builds import read_builds
from fraudline.adapters.compact_verdicts import NO_VERDICTS, CompactVerdicts
from fraudline.adapters.copies import Copies
from fraudline.adapters.file_runs import land
from fraudline.adapters.history import FILES as FILES_PREFIX
from fraudline.adapters.history import labelled
from fraudline.adapters.input_files import InputFile, found_files, holds_transactions
from fraudline.adapters.objects import Objects
from fraudline.adapters.repeated_ids import ROWS_AT_ONCE, RepeatedIds, are_among, find_repeated, together
from fraudline.adapters.runs import FILES, LandedUnit, Run, counted_order, firsts_of
from fraudline.adapters.stream_runs import Progress, Streamed, counted, has_no_time, with_records
from fraudline.adapters.workers import Workers
from fraudline.builds import NEVER, NOTHING_BUILT
from fraudline.columns import RejectedRow, Source
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.labels import with_verdicts
from fraudline.spilling import ORDER, from_numbers, with_order
from fraudline.table import Codes, Integers, TransactionTable
from fraudline.vocabulary import Vocabulary, vocabulary

# Ids and the name of their entity to ids under which erased people stay.
Rename = Callable[[pa.StringArray, str], pa.StringArray]


@dataclass(frozen=True)
class Part:
    """What was read of one kind of input; of an object that builds of later entities look at, which of them missed it.

    Sources, and rows within each, are numbered from 0.
    """

    sources: tuple[Source, ...] = ()
    runs: tuple[Run, ...] = ()
    rejects: tuple[RejectedRow, ...] = ()
    missed_by: tuple[int, ...] | None = None

    @property
    def rows(self) -> int:
        return sum(source.rows for source in self.sources)


@dataclass(frozen=True)
class Landing:
    """All input in sorted runs, and what becomes of its ids; `missed_by` is told by source, if there are builds."""

    sources: tuple[Source, ...]
    runs: tuple[Run, ...]
    rejects: tuple[RejectedRow, ...]
    repeated: RepeatedIds
    missed_by: Integers | None = None
    verdicts: CompactVerdicts = NO_VERDICTS
    as_of: int = 0

    @property
    def rows(self) -> int:
        return sum(source.rows for source in self.sources)

    @property
    def duplicates(self) -> int:
        return self.repeated.duplicates

    @property
    def recorded(self) -> bool:
        """Whether a stream has counted some of the rows."""
        return any(run.origin != FILES for run in self.runs)

    def days(self) -> list[int]:
        """All days (since the epoch) on which rows count."""
        return sorted({day for run in self.runs for day in run.days})

    def vocabularies(self, contract: Contract, rename: Rename) -> list[Vocabulary]:
        """The texts of all runs: by entity, then by category."""
        entities = len(contract.entities)
        named = [vocabulary(self._names(i, entity.name, rename)) for i, entity in enumerate(contract.entities)]
        categories = range(entities, entities + len(contract.categories))
        return named + [vocabulary(run.text(column) for run in self.runs) for column in categories]

    def _names(self, column: int, entity: str, rename: Rename) -> Iterator[pa.StringArray]:
        """Run by run: those of all runs together may be as many as there are rows."""
        return (rename(run.text(column), entity) for run in self.runs)

    def counted(self, entities: Vocabulary) -> "Landing":
        """The same once what the stream keeps has counted after all else; entities are told by their numbers."""
        if not any(map(has_no_time, self.runs)):
            return self
        last, runs = self._last_times(entities), list[Run]()
        for run, numbers in zip(self.runs, entities.numbers, strict=True):
            if has_no_time(run):
                (day,) = run.days
                batch = run.day(day)
                run = counted(run, numbers[batch["text_0"]], self._is_dropped(self._numbers(run, batch)), last)
            runs.append(run)
        return replace(self, runs=tuple(runs))

    def _last_times(self, entities: Vocabulary) -> Integers:
        """By entity, when its last transaction counted."""
        last = np.full(len(entities.values), np.iinfo(np.int64).min)
        for run, numbers in zip(self.runs, entities.numbers, strict=True):
            for day in () if has_no_time(run) else run.days:
                batch = run.day(day)
                kept = ~self._is_dropped(self._numbers(run, batch))
                time = batch["timestamp" if run.origin == FILES else "effective_time"].to_numpy()
                np.maximum.at(last, numbers[batch["text_0"]][kept], time[kept])
        return last

    def day(self, contract: Contract, texts: Sequence[Vocabulary], day: int) -> TransactionTable:
        """The transactions of a day in the order they count, with all labels, texts numbered in their vocabularies."""
        found = [(number, run) for number, run in enumerate(self.runs) if day in run.days]
        runs, batches = [run for _, run in found], [run.day(day) for _, run in found]
        if self.recorded:
            built = bool(contract.lagged_entities)
            batches = [with_order(b, built) if run.origin == FILES else b for run, b in zip(runs, batches, strict=True)]
        numbers = [number for number, _ in found]
        table = from_numbers(contract, batches, [_numbered(i, t, numbers, batches) for i, t in enumerate(texts)])
        shifted = [self._numbers(run, batch) for run, batch in zip(runs, batches, strict=True)]
        table = replace(table, source_row=np.concatenate(shifted))
        order = self._order(table, runs, batches)
        return self._labelled(table.take(order[~self._is_dropped(table.source_row[order])]))

    def _order(self, table: TransactionTable, runs: Sequence[Run], batches: Sequence[pa.RecordBatch]) -> Integers:
        if len(runs) == 1:
            return np.arange(len(table))
        if not self.recorded:
            return counted_order(table.timestamp, table.ids)
        origin = np.repeat([run.origin for run in runs], list(map(len, batches)))
        return counted_order(table.effective_time, pa.chunked_array([batch[ORDER] for batch in batches]), origin)

    def _labelled(self, table: TransactionTable) -> TransactionTable:
        if self.missed_by is not None:
            table = replace(table, missed_by=self._missed_by(table.source_row))
        at, copied = self.repeated.copied.of(table.source_row)
        if len(at):
            missed_by = None if self.missed_by is None else self._missed_by(copied.source_row)
            table = labelled(table, at, copied.label, missed_by)
        return with_verdicts(table, self.verdicts.on(table.ids), self.as_of)

    def _missed_by(self, rows: Integers) -> Integers:
        assert self.missed_by is not None
        return self.missed_by[np.searchsorted(self._firsts, rows, side="right") - 1]

    def _is_dropped(self, rows: Integers) -> npt.NDArray[np.bool_]:
        return are_among(rows, self.repeated.dropped)

    def _numbers(self, run: Run, batch: pa.RecordBatch) -> Integers:
        """The rows' numbers in all input."""
        numbers: Integers = batch["source_row"].to_numpy() + self._firsts[run.source]
        return numbers

    @cached_property
    def _firsts(self) -> Integers:
        return firsts_of(self.sources)


def _numbered(column: int, texts: Vocabulary, runs: Sequence[int], batches: Sequence[pa.RecordBatch]) -> Codes:
    pairs = zip(runs, batches, strict=True)
    return Codes(np.concatenate([texts.numbers[run][batch[f"text_{column}"]] for run, batch in pairs]), texts.values)


def read_files(
    contract: Contract, files: Sequence[InputFile], folder: Path, workers: Workers, progress: Progress
) -> Part:
    """Files in runs below `folder`; as many objects as workers are kept busy by are copied there at a time."""
    done = _read_all(contract, land, Copies(contract, files, folder), folder, workers, progress)
    rows: dict[int, int] = defaultdict(int)
    for part in done:
        rows[part.source] += part.rows
    sources = tuple(Source(file.name, rows[source]) for source, file in enumerate(files))
    rejects = tuple(reject for part in done for reject in part.rejects)
    runs = tuple(run for part in done for run in part.runs)
    if not runs:
        raise _nothing_valid(contract, sources, rejects)
    return Part(sources, runs, rejects)


class _Units(Protocol):
    """What is read in parts, some of them copied to disk before, whose copies go once they were read."""

    def units(self) -> Iterator[Any]: ...

    def has_read(self, unit: LandedUnit) -> None: ...


def _read_all(
    contract: Contract,
    land: Callable[..., LandedUnit],
    units: _Units,
    folder: Path,
    workers: Workers,
    progress: Progress,
    before: int = 0,
) -> list[LandedUnit]:
    """All units, by source, read into runs below `folder`; so many rows were read `before`."""
    done, rows = list[LandedUnit](), before
    with closing(workers.results(land, ((contract, unit, folder) for unit in units.units()))) as results:
        for unit in results:
            units.has_read(unit)
            done.append(unit)
            rows += unit.rows
            progress("Read", rows, 0)
    return sorted(done, key=lambda unit: unit.source)


def _nothing_valid(contract: Contract, sources: Sequence[Source], rejects: Sequence[RejectedRow]) -> BadInput:
    rows = sum(source.rows for source in sources)
    name = sources[0].name if len(sources) == 1 else f"{sources[0].name} and {len(sources) - 1} more"
    if not rejects:
        return BadInput(f"{name} has no rows: name a file with transactions")
    reason, count = Counter(reject.reason for reject in rejects).most_common(1)[0]
    return BadInput(
        f"{name} has no valid transaction among {rows} rows, most often for {reason} ({count}):"
        f" check that contract {contract.name!r} describes it, with `fraudline quality`"
    )


def read_history(
    contract: Contract, landing: Objects, folder: Path, workers: Workers, progress: Progress
) -> list[Part]:
    """What lies in `landing`, if anything does: files, and what the stream archived."""
    seen = read_builds(landing) if contract.lagged_entities else NOTHING_BUILT
    parts = []
    if files := landed_files(landing):
        # Of a row in two files, the first copy stands: the one that builds saw first.
        files.sort(key=lambda file: seen.missed_by(_key(file.name, landing)))
        parts.append(read_files(contract, files, folder, workers, progress))
    before = sum(part.rows for part in parts)
    archive = ArchiveCopies(landing, folder)
    parts.append(_archived(_read_all(contract, land_archive, archive, folder, workers, progress, before)))
    if not contract.lagged_entities:
        return parts
    missed = [tuple(seen.missed_by(_key(source.name, landing)) for source in part.sources) for part in parts]
    return [replace(part, missed_by=missed_by) for part, missed_by in zip(parts, missed, strict=True)]


def landed_files(landing: Objects) -> list[InputFile]:
    """The files with transactions in the landing bucket, in the order of their keys."""
    if not any(map(holds_transactions, landing.list(FILES_PREFIX))):
        return []
    return list(found_files([f"{landing.location}/{FILES_PREFIX}"]))


def _key(name: str, objects: Objects) -> str:
    return name.removeprefix(f"{objects.location}/")


def _archived(done: Sequence[LandedUnit]) -> Part:
    """Rejects are numbered from the first row of all units on."""
    firsts = np.cumsum([0, *(part.rows for part in done)]).tolist()
    return Part(
        tuple(source for part in done for source in part.sources),
        tuple(run for part in done for run in part.runs),
        tuple(
            replace(reject, row=first + reject.row)
            for part, first in zip(done, firsts, strict=False)
            for reject in part.rejects
        ),
    )


def landing_of(
    contract: Contract,
    parts: Sequence[Part],
    workers: Workers,
    streamed: Streamed | None = None,
    verdicts: CompactVerdicts = NO_VERDICTS,
    as_of: int = 0,
) -> Landing:
    """All that was read, the stream's last, once it is known which ids come more than once.

    `verdicts` are those known at `as_of` (microseconds).
    """
    if streamed:
        parts = [*parts, Part((streamed.source,), streamed.runs, streamed.rejects)]
    sources = tuple(source for part in parts for source in part.sources)
    firsts = np.cumsum([0, *(len(part.sources) for part in parts)]).tolist()
    runs = tuple(
        replace(run, source=run.source + first) for part, first in zip(parts, firsts, strict=False) for run in part.runs
    )
    count = sum(source.rows for source in sources) // ROWS_AT_ONCE + 1
    tasks = ((contract, runs, sources, part, count) for part in range(count))
    repeated = together(list(workers.results(find_repeated, tasks)))
    rejects = [*(reject for part in parts for reject in part.rejects), *repeated.rejects]
    if streamed:
        rejects = with_records(rejects, streamed)
    places = {source.name: index for index, source in enumerate(sources)}
    return Landing(
        sources,
        runs,
        # What was refused of the stream and its archive is told by position.
        tuple(sorted(rejects, key=lambda reject: (places.get(reject.source, len(places)), reject.row))),
        repeated,
        _by_source(parts),
        verdicts,
        as_of,
    )


def _by_source(parts: Sequence[Part]) -> Integers | None:
    """The hours of the builds that missed each source, if builds look at any; none looks at the stream."""
    if all(part.missed_by is None for part in parts):
        return None
    hours = (part.missed_by or (NEVER,) * len(part.sources) for part in parts)
    return np.array([hour for some in hours for hour in some], np.int64)


def land_files(
    contract: Contract, files: Sequence[InputFile], folder: Path, workers: Workers, progress: Progress
) -> Landing:
    """Files alone."""
    return landing_of(contract, [read_files(contract, files, folder, workers, progress)], workers)

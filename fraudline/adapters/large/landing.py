"""Input larger than memory, read into sorted runs by workers: files, all that has landed, what a stream still keeps."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fraudline.adapters.archive.builds import read_builds
from fraudline.adapters.archive.history import FILES as FILES_PREFIX
from fraudline.adapters.inputs.sources import InputFile, found_files, holds_transactions
from fraudline.adapters.large.archive_runs import ArchiveCopies, land_archive
from fraudline.adapters.large.compact_verdicts import NO_VERDICTS, CompactVerdicts
from fraudline.adapters.large.copies import Copies
from fraudline.adapters.large.days import LargeLanding
from fraudline.adapters.large.file_runs import land
from fraudline.adapters.large.repeated_ids import ROWS_AT_ONCE, find_repeated, together
from fraudline.adapters.large.runs import LandedUnit, Run
from fraudline.adapters.large.stream_runs import Progress, Streamed, with_records
from fraudline.adapters.large.workers import Workers
from fraudline.adapters.storage.objects import Objects
from fraudline.builds import NEVER, NOTHING_BUILT
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.transactions.landed import RejectedRow, Source
from fraudline.transactions.table import Integers


@dataclass(frozen=True)
class Part:
    """What was read of one kind of input; of an object that builds of lagged entities look at, which of them missed it.

    Sources, and rows within each, are numbered from 0.
    """

    sources: tuple[Source, ...] = ()
    runs: tuple[Run, ...] = ()
    rejects: tuple[RejectedRow, ...] = ()
    missed_by: tuple[int, ...] | None = None

    @property
    def rows(self) -> int:
        return sum(source.rows for source in self.sources)


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
) -> LargeLanding:
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
    return LargeLanding(
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
) -> LargeLanding:
    """Files alone."""
    return landing_of(contract, [read_files(contract, files, folder, workers, progress)], workers)

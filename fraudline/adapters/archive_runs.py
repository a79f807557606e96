"""The stream's archive of any size as sorted runs on disk: each worker reads the objects of some batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fraudline.adapters.archive import pieces
from fraudline.adapters.landing import PREFIX
from fraudline.adapters.objects import Objects, open_objects
from fraudline.adapters.partitions import sentences_of
from fraudline.adapters.runs import RUN_ROWS, LandedUnit, write_counted
from fraudline.columns import RejectedRow, Source
from fraudline.contract import Contract

# A packed row takes more: what is taken for large has rather fewer rows.
BYTES_A_ROW = 32


@dataclass(frozen=True)
class ArchiveUnit:
    """What one worker reads: objects at `location` under `keys`, the first of which is source number `source`."""

    location: str
    keys: tuple[str, ...]
    source: int


def archive_rows(objects: Objects) -> int:
    """About how many rows the archive has, rather more than less."""
    return sum(size for _, size in objects.sizes(PREFIX)) // BYTES_A_ROW


def archive_units(objects: Objects) -> Iterator[ArchiveUnit]:
    """All of the archive, in parts of at most about a run each, in the order of keys."""
    done, keys, size = 0, list[str](), 0
    for key, bytes_ in objects.sizes(PREFIX):
        if keys and size + bytes_ > RUN_ROWS * BYTES_A_ROW:
            yield ArchiveUnit(objects.location, tuple(keys), done)
            done, keys, size = done + len(keys), [], 0
        keys.append(key)
        size += bytes_
    if keys:
        yield ArchiveUnit(objects.location, tuple(keys), done)


def land_archive(contract: Contract, unit: ArchiveUnit, folder: Path) -> LandedUnit:
    """Read a unit into runs below `folder`; rejects are numbered from the first row of the unit on."""
    sources: list[Source] = []
    runs, rejects = [], list[RejectedRow]()
    for number, (landed, positions) in enumerate(pieces(open_objects(unit.location), contract, unit.keys, sources)):
        rejects += landed.rejects
        if len(landed.table):
            path = folder / f"archive-{unit.source}-{number}.arrow"
            with sentences_of(folder):
                runs.append(write_counted(landed.table, positions, path, unit.source))
    return LandedUnit(unit.source, tuple(sources), tuple(runs), tuple(rejects))

"""The stream's archive of any size as sorted runs on disk: workers read copies of some batches each.

The objects are copied beside the output first, as files in buckets are: who works them need not know of AWS.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fraudline.adapters.archive import pieces
from fraudline.adapters.landing import PREFIX
from fraudline.adapters.objects import Objects, read_all
from fraudline.adapters.partitions import sentences_of
from fraudline.adapters.runs import RUN_ROWS, LandedUnit, write_counted
from fraudline.columns import RejectedRow, Source
from fraudline.contract import Contract

# A packed row takes more: what is taken for large has rather fewer rows.
BYTES_A_ROW = 32


@dataclass(frozen=True)
class ArchiveUnit:
    """What one worker reads: copies of objects of these names, the first of which is source number `source`."""

    names: tuple[str, ...]
    copies: tuple[Path, ...]
    source: int


def archive_rows(objects: Objects) -> int:
    """About how many rows the archive has, rather more than less."""
    return sum(size for _, size in objects.sizes(PREFIX)) // BYTES_A_ROW


def archive_units(objects: Objects, folder: Path) -> Iterator[ArchiveUnit]:
    """All of the archive, in parts of at most about a run each, in the order of keys; each is copied when asked for."""
    done, keys, size = 0, list[str](), 0
    for key, bytes_ in objects.sizes(PREFIX):
        if keys and size + bytes_ > RUN_ROWS * BYTES_A_ROW:
            yield _copied(objects, keys, done, folder)
            done, keys, size = done + len(keys), [], 0
        keys.append(key)
        size += bytes_
    if keys:
        yield _copied(objects, keys, done, folder)


def _copied(objects: Objects, keys: Sequence[str], source: int, folder: Path) -> ArchiveUnit:
    names, copies = list[str](), list[Path]()
    for number, (key, data) in enumerate(read_all(objects, keys), start=source):
        names.append(f"{objects.location}/{key}")
        copies.append(folder / f"batch-{number}")
        with sentences_of(folder):
            copies[-1].write_bytes(data)
    return ArchiveUnit(tuple(names), tuple(copies), source)


def land_archive(contract: Contract, unit: ArchiveUnit, folder: Path) -> LandedUnit:
    """Read a unit into runs below `folder`; rejects are numbered from the first row of the unit on."""
    sources: list[Source] = []
    runs, rejects = [], list[RejectedRow]()
    batches = ((name, path.read_bytes()) for name, path in zip(unit.names, unit.copies, strict=True))
    for number, (landed, positions) in enumerate(pieces(contract, batches, sources)):
        rejects += landed.rejects
        if len(landed.table):
            path = folder / f"archive-{unit.source}-{number}.arrow"
            with sentences_of(folder):
                runs.append(write_counted(landed.table, positions, path, unit.source))
    for copy in unit.copies:
        copy.unlink()
    return LandedUnit(unit.source, tuple(sources), tuple(runs), tuple(rejects))

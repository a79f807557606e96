"""The stream's archive of any size as sorted runs on disk: workers read copies of some batches each.

The objects are copied beside the output first, as files in buckets are: who works them need not know of AWS.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fraudline.adapters.archive.landing import PREFIX
from fraudline.adapters.archive.reading import pieces
from fraudline.adapters.large.runs import RUN_ROWS, LandedUnit, write_counted
from fraudline.adapters.storage.disk import sentences_of
from fraudline.adapters.storage.objects import Objects, read_all
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.transactions.landed import RejectedRow, Source

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


class ArchiveCopies:
    """The units of an archive. Only of batches whose units are taken and not yet read are there copies in `folder`."""

    def __init__(self, objects: Objects, folder: Path) -> None:
        self._objects = objects
        self._folder = folder
        self._unread: dict[int, ArchiveUnit] = {}

    def units(self) -> Iterator[ArchiveUnit]:
        """All of it in parts of at most about a run each, in the order of keys; each is copied when asked for."""
        done = 0
        for keys in self._parts():
            unit = self._unread[done] = self._copied(keys, done)
            yield unit
            done += len(keys)

    def _parts(self) -> Iterator[list[str]]:
        keys, size = list[str](), 0
        for key, bytes_ in self._objects.sizes(PREFIX):
            if keys and size + bytes_ > RUN_ROWS * BYTES_A_ROW:
                yield keys
                keys, size = [], 0
            keys.append(key)
            size += bytes_
        if keys:
            yield keys

    def _copied(self, keys: Sequence[str], source: int) -> ArchiveUnit:
        names, copies = list[str](), list[Path]()
        for number, (key, data) in enumerate(read_all(self._objects, keys), start=source):
            names.append(f"{self._objects.location}/{key}")
            copies.append(self._folder / f"batch-{number}")
            with sentences_of(self._folder):
                copies[-1].write_bytes(data)
        return ArchiveUnit(tuple(names), tuple(copies), source)

    def has_read(self, unit: LandedUnit) -> None:
        """Its copies are removed: not by who read them, for a cluster may lose a worker and ask another to read."""
        for copy in self._unread.pop(unit.source).copies:
            copy.unlink()


def land_archive(contract: Contract, unit: ArchiveUnit, folder: Path) -> LandedUnit:
    """Read a unit into runs below `folder`; rejects are numbered from the first row of the unit on."""
    sources: list[Source] = []
    runs, rejects = [], list[RejectedRow]()
    batches = ((name, _read(path)) for name, path in zip(unit.names, unit.copies, strict=True))
    for number, (landed, positions) in enumerate(pieces(contract, batches, sources)):
        rejects += landed.rejects
        if len(landed.table):
            path = folder / f"archive-{unit.source}-{number}.arrow"
            runs.append(write_counted(landed.table, positions, path, unit.source))
    return LandedUnit(unit.source, tuple(sources), tuple(runs), tuple(rejects))


def _read(copy: Path) -> bytes:
    try:
        return copy.read_bytes()
    except FileNotFoundError as error:
        raise BadInput(
            f"a worker of the cluster finds no {copy}: let all of them see the folder of --out under the same path"
        ) from error

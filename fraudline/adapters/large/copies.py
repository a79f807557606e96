"""What a large backfill reads, in its turn: an object is copied to disk before, and its copy goes once it was read."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fraudline.adapters.inputs.sources import InputFile, LocalFile, StoredFile
from fraudline.adapters.large.file_runs import Unit, units_of
from fraudline.adapters.large.runs import LandedUnit
from fraudline.contract import Contract


class Copies:
    """The units of files. Only of objects whose units are taken and not yet read is there a copy in `folder`."""

    def __init__(self, contract: Contract, files: Sequence[InputFile], folder: Path) -> None:
        self._contract = contract
        self._files = files
        self._folder = folder
        self._unread: dict[int, int] = {}

    def units(self) -> Iterator[Unit]:
        """All units, file by file; an object is copied when its first unit is asked for."""
        # A file here with other columns is told before anything is read or copied.
        here = {
            source: units_of(self._contract, file.name, file.path, source)
            for source, file in enumerate(self._files)
            if isinstance(file, LocalFile)
        }
        for source, file in enumerate(self._files):
            yield from here[source] if isinstance(file, LocalFile) else self._copied(source, file)

    def _copied(self, source: int, file: StoredFile) -> list[Unit]:
        file.copy(self._path(source))
        units = units_of(self._contract, file.name, self._path(source), source)
        self._unread[source] = len(units)
        self._remove_if_read(source)
        return units

    def has_read(self, unit: LandedUnit) -> None:
        """A copy is removed with the last of its units."""
        if unit.source in self._unread:
            self._unread[unit.source] -= 1
            self._remove_if_read(unit.source)

    def _remove_if_read(self, source: int) -> None:
        if not self._unread[source]:
            self._path(source).unlink()

    def _path(self, source: int) -> Path:
        return self._folder / f"copy-{source}"

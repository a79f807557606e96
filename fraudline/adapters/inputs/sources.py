"""Where transactions lie: files here and objects in buckets. Both are found by their names and read in their turn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fraudline.adapters.storage.disk import sentences_of
from fraudline.adapters.storage.objects import FolderObjects, Objects, open_objects
from fraudline.errors import BadInput

_FORMATS = (".csv", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine."""

    path: Path

    @property
    def name(self) -> str:
        """What reports, manifests and the quarantine call it."""
        return str(self.path)

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size

    def contents(self) -> Path:
        """What is read where it lies."""
        return self.path


@dataclass(frozen=True)
class StoredFile:
    """An object that is a file with transactions; `size` is what it had in bytes when it was listed."""

    objects: Objects
    key: str
    size: int

    @property
    def name(self) -> str:
        """What reports, manifests and the quarantine call it, wherever its bytes are."""
        return f"{self.objects.location}/{self.key}"

    def contents(self) -> bytes:
        """All of it, in memory."""
        return self.objects.get(self.key)

    def copy(self, path: Path) -> None:
        """All of it, in a file; `Unavailable` names the folder that has no room for it."""
        with sentences_of(path.parent):
            self.objects.fetch(self.key, path)


InputFile = LocalFile | StoredFile


def holds_transactions(name: str) -> bool:
    """Whether a file's name tells a format that is read; others are left alone where they lie in a folder."""
    return name.lower().endswith(_FORMATS)


def is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")


def found_files(locations: Sequence[str], of: str = "transactions") -> Iterator[InputFile]:
    """The files of these files, folders, and `s3://` objects and prefixes, in the order they count. None is read.

    `of` is what errors say that they hold.
    """
    if not locations:
        raise BadInput(f"no {of} given: name a file, a folder or an s3:// prefix")
    for location in locations:
        yield from _found(location, of)


def _found(location: str, of: str) -> list[InputFile]:
    try:
        found = list[InputFile](_objects_at(location, of) if "://" in location else _paths_at(location, of))
    except PermissionError as error:
        raise BadInput(f"no permission to read {location}: change its mode or its owner") from error
    if not found:
        raise BadInput(f"{location} holds no .csv, .jsonl or .parquet file: name one that does")
    return found


def _paths_at(location: str, of: str) -> Iterator[LocalFile]:
    path = Path(location)
    if not location or not path.exists():
        raise BadInput(f"there is no {location or 'file without a name'}: check the path of the {of}")
    # A folder as its store lists it: which copy of a row is the first is the same there and in a bucket.
    inside = (path / key for key in FolderObjects(path).list() if holds_transactions(key)) if path.is_dir() else (path,)
    yield from (LocalFile(_printable(file)) for file in inside if file.is_file())


def _printable(path: Path) -> Path:
    """A path that reports and logs may tell."""
    if not str(path).isprintable():
        raise BadInput(f"{str(path)!r} has a character in its name that cannot be printed: rename it")
    return path


def _objects_at(location: str, of: str) -> Iterator[StoredFile]:
    if not location.startswith("s3://"):
        raise BadInput(f"{location} is no place for {of}: name a file, a folder or an s3:// prefix")
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    objects = open_objects(f"s3://{bucket}")
    yield from (StoredFile(objects, key, size) for key, size in objects.sizes(prefix) if holds_transactions(key))

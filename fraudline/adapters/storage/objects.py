"""Named bytes in a folder or in S3 behind one small port: bundles, archives, quarantine, reports.

A key is a relative path with forward slashes. Both stores take the same keys, list them in the same order (by
code point) and create atomically: a reader sees a whole object or none, and of two creators one wins.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from fraudline.adapters.storage.disk import partial_beside
from fraudline.errors import BadInput, NotReady, Unavailable

MAX_KEY_BYTES = 900  # S3 allows 1024 with the prefix
MAX_OBJECT_BYTES = 4 * 2**30  # what fits the memory we promise
MAX_PART_BYTES = 200  # file systems allow 255, and a file being written has a longer name
READS_AT_ONCE = 16  # as many connections as a client keeps
_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")


class NotFound(NotReady):
    """There is no object under this key (yet)."""


class Objects(Protocol):
    """Where objects are kept. Every method refuses a key that is not one with `BadInput`."""

    @property
    def location(self) -> str:
        """What `open_objects` takes to open the same objects: a folder or `s3://bucket/prefix`."""

    def get(self, key: str) -> bytes:
        """The object's bytes; `NotFound` if there is none."""

    def put(self, key: str, data: bytes) -> None:
        """Create or replace an object, atomically."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Create an object; False (and nothing written) if there is one already.

        A retry after a lost answer may say False for what this very call wrote: whoever must know compares.
        """

    def tag(self, key: str) -> str:
        """The SHA-256 of the object's bytes in hex, in either store; empty if there is none."""

    def put_if(self, key: str, data: bytes, tag: str) -> bool:
        """Create or replace an object that still has this `tag`; False (and nothing written) if it has another by now.

        Of two who have read one tag the first to ask so wins. What `put_new` says of lost answers goes here, too.
        """

    def list(self, prefix: str = "") -> Iterator[str]:
        """The keys that start with `prefix`, ascending, without hidden ones (a part starts with a dot)."""

    def sizes(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """The keys of `list`, each with the bytes its object has now."""

    def fetch(self, key: str, path: Path) -> None:
        """The object's bytes into a file, however many they are; `NotFound` if there is none.

        Replaces the file; an `OSError` says that it cannot be written, and may leave a part of it.
        """

    def exists(self, key: str) -> bool: ...

    def delete(self, key: str) -> None:
        """Remove an object; fine if there is none."""


def open_objects(location: str) -> Objects:
    """The objects in a folder (made at the first write) or at `s3://bucket/prefix`."""
    if "://" not in location:
        return FolderObjects(Path(location))
    match = _S3.fullmatch(location)
    if not match:
        raise BadInput(f"{location!r} is no place for objects: name a folder or s3://bucket/prefix")
    # Whoever works on a folder needs no AWS libraries.
    from fraudline.adapters.aws.clients import client
    from fraudline.adapters.storage.s3 import S3Objects

    return S3Objects(client("s3"), match[1], match[2] or "")


def read_all(objects: Objects, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Each key and its bytes, in the order given; some are read ahead, for most of the time of a read is waiting.

    At most `READS_AT_ONCE` are read at a time, and twice as many are in memory.
    """
    with ThreadPoolExecutor(READS_AT_ONCE, "objects") as pool:
        under_way: deque[tuple[str, Future[bytes]]] = deque()
        for key in keys:
            under_way.append((key, pool.submit(objects.get, key)))
            if len(under_way) == 2 * READS_AT_ONCE:
                first, read = under_way.popleft()
                yield first, read.result()
        for key, read in under_way:
            yield key, read.result()


def check_key(key: str) -> str:
    """The key itself, if it stays inside its store wherever that is kept; else `BadInput`."""
    if problem := _key_problem(key):
        raise BadInput(f"{key[:200]!r} is not a key of an object: {problem}")
    return key


def check_size(key: str, size: int) -> None:
    """`BadInput` for an object that would not fit into memory."""
    if size > MAX_OBJECT_BYTES:
        raise BadInput(f"{key!r} has {size} bytes, {MAX_OBJECT_BYTES} are allowed: split it")


def is_hidden(key: str) -> bool:
    """True for what a store holds beside its objects: files being written, folder markers, dot files."""
    return any(part[:1] in ("", ".") for part in key.split("/"))


def _key_problem(key: str) -> str | None:
    if not key.isprintable() or "\\" in key:
        return "it has a backslash or a character that cannot be printed"
    if is_hidden(key):
        return "it has a part that is empty or starts with a dot"
    if len(key.encode()) > MAX_KEY_BYTES or any(len(p.encode()) > MAX_PART_BYTES for p in key.split("/")):
        return f"it is longer than {MAX_KEY_BYTES} bytes or has a part longer than {MAX_PART_BYTES}"
    return None


class FolderObjects:
    """Objects as files below a folder of one file system that has hard links.

    The folder itself may be a symbolic link; below it none is followed.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        if self._folder.exists() and not self._folder.is_dir():
            raise BadInput(f"{str(folder)!r} is a file: name a folder to keep objects in")

    @property
    def location(self) -> str:
        return str(self._folder)

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with _explained(path):
            try:
                check_size(key, path.stat().st_size)
                return path.read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise NotFound(f"there is no {key!r} in {self.location}") from None

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with _explained(path), _written(path, data) as partial:
            os.replace(partial, path)

    def put_new(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        with _explained(path):
            if path.is_file():
                return False
            with _written(path, data) as partial:
                try:
                    # Unlike a rename, a link never replaces: the file system picks the one winner.
                    os.link(partial, path)
                except FileExistsError:
                    return False
                return True

    def tag(self, key: str) -> str:
        try:
            return hashlib.sha256(self.get(key)).hexdigest()
        except NotFound:
            return ""

    def put_if(self, key: str, data: bytes, tag: str) -> bool:
        path = self._path(key)
        with _explained(path), _locked(path.parent):
            is_still = self.tag(key) == tag
            if is_still:
                self.put(key, data)
            return is_still

    def list(self, prefix: str = "") -> Iterator[str]:
        with _explained(self._folder):
            yield from _keys_below(self._folder, "", prefix)

    def sizes(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        for key in self.list(prefix):
            with _explained(self._folder):
                yield key, (self._folder / key).stat().st_size

    def fetch(self, key: str, path: Path) -> None:
        found = self._path(key)
        with _explained(found):
            try:
                stream = found.open("rb")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise NotFound(f"there is no {key!r} in {self.location}") from None
        with stream, path.open("wb") as copy:
            shutil.copyfileobj(stream, copy)

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _explained(path):
            if path.is_file():
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        path = self._folder
        for part in check_key(key).split("/"):
            path /= part
            if path.is_symlink():
                raise BadInput(
                    f"{path} is a symbolic link, which may lead out of {self.location}: put the object itself there"
                )
        return path


@contextmanager
def _written(path: Path, data: bytes) -> Iterator[Path]:
    """A hidden file beside `path` that holds `data` on disk, for the time of the block."""
    if path.is_dir() and not _is_cleared(path):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    with partial_beside(path) as partial:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield partial


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Within the block no other process that asks is in it for the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_cleared(path: Path) -> bool:
    """Whether a folder is gone that held nothing but folders: deleted objects leave such, and S3 knows none."""
    with suppress(OSError):
        for folder, _, _ in os.walk(path, topdown=False):
            os.rmdir(folder)
    return not path.is_dir()


def _keys_below(folder: Path, at: str, prefix: str) -> Iterator[str]:
    """Keys of `folder`, which has the key `at`, in the order of whole keys: "a-b" comes before "a/b"."""
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.is_symlink()]
        keys = sorted(at + entry.name + "/" * entry.is_dir() for entry in entries)
    except FileNotFoundError:
        return
    for key in keys:
        name = key.removeprefix(at)
        if name.startswith("."):
            continue
        if name.endswith("/") and (key.startswith(prefix) or prefix.startswith(key)):
            yield from _keys_below(folder / name, key, prefix)
        elif not name.endswith("/") and key.startswith(prefix):
            yield key


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise Unavailable(
            f"no permission for {error.filename or path}: change its owner or mode, or use another folder"
        ) from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be used: {error.strerror or error}") from error

"""Where people are to be erased: every object of a bucket (old versions too) or folder; tables are in `erasing_*.py`.

Each store has the same two methods. `sweep` replaces ids and may be done any number of times; `tells_of` looks for
what is left.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fraudline.adapters.aws.errors import error_code, explained
from fraudline.adapters.storage.disk import PARTIALS, remove_abandoned
from fraudline.adapters.storage.objects import Objects
from fraudline.erasure.files import rewritten, tells_of
from fraudline.erasure.people import Erased

Seen = Callable[[str, bytes], None]


class Swept(NamedTuple):
    """What a sweep of one store changed: objects or rows, and old versions that were removed."""

    changed: int = 0
    purged: int = 0


class Store(Protocol):
    """A place that may tell of people."""

    @property
    def name(self) -> str: ...

    def sweep(self, erased: Erased) -> Swept:
        """Replace every erased id."""

    def tells_of(self, id_: str) -> Iterator[str]:
        """What still holds the id, by name."""


class Version(NamedTuple):
    """One version of an object; `tag` names its content."""

    key: str
    id: str
    tag: str
    is_latest: bool


class Bucket:
    """A bucket of S3, versioned or not. `see` is shown every object as it is after the sweep."""

    def __init__(self, client: Any, bucket: str, see: Seen | None = None) -> None:
        self.name = f"s3://{bucket}"
        self._client = client
        self._bucket = bucket
        self._see = see

    def sweep(self, erased: Erased) -> Swept:
        changed = purged = 0
        for version in self._versions():
            data = self._read(version)
            replaced = rewritten(version.key, data, erased) if data is not None else None
            if version.is_latest and replaced is not None and self._see:
                self._see(version.key, replaced)
            if replaced == data or replaced is None:
                continue
            if version.is_latest:
                changed += 1
                purged += self._replace(version, replaced)
            else:
                purged += 1
                self._delete(version)
        return Swept(changed, purged)

    def tells_of(self, id_: str) -> Iterator[str]:
        for version in self._versions():
            data = self._read(version)
            if data is not None and tells_of(version.key, data, id_):
                yield f"{self.name}/{version.key}" + ("" if version.is_latest else f" (version {version.id})")

    def _versions(self) -> Iterator[Version]:
        """All of them, listed before the first is changed: those a sweep makes are not met again."""
        pages = self._client.get_paginator("list_object_versions")
        with explained(f"bucket {self._bucket!r}"):
            found = [
                Version(told["Key"], told["VersionId"], told["ETag"], told["IsLatest"])
                for page in pages.paginate(Bucket=self._bucket)
                for told in page.get("Versions", ())
            ]
        yield from found

    def _read(self, version: Version) -> bytes | None:
        """None if the version has gone meanwhile: a lifecycle rule, or another sweep."""
        with explained(f"bucket {self._bucket!r}"):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=version.key, VersionId=version.id)
            except self._client.exceptions.ClientError as error:
                if error_code(error) not in ("NoSuchKey", "NoSuchVersion"):
                    raise
                return None
            return bytes(answer["Body"].read())

    def _replace(self, version: Version, data: bytes) -> int:
        """How many old versions are gone; an object that another has replaced meanwhile is left to the next sweep."""
        with explained(f"bucket {self._bucket!r}"):
            try:
                answer = self._client.put_object(Bucket=self._bucket, Key=version.key, Body=data, IfMatch=version.tag)
            except self._client.exceptions.ClientError as error:
                if error_code(error) not in ("PreconditionFailed", "NoSuchKey", "ConditionalRequestConflict"):
                    raise
                return 0
        # A bucket without versions has replaced the only one there is.
        if answer.get("VersionId", version.id) == version.id:
            return 0
        self._delete(version)
        return 1

    def _delete(self, version: Version) -> None:
        with explained(f"bucket {self._bucket!r}"):
            self._client.delete_object(Bucket=self._bucket, Key=version.key, VersionId=version.id)


class Folder:
    """Copies that somebody keeps in a folder: backfills, splits, files that were downloaded."""

    def __init__(self, objects: Objects) -> None:
        self.name = objects.location
        self._objects = objects

    def sweep(self, erased: Erased) -> Swept:
        changed = 0
        for key in list(self._objects.list()):
            data = self._objects.get(key)
            if (replaced := rewritten(key, data, erased)) != data:
                self._objects.put(key, replaced)
                changed += 1
        # What a killed process was writing nobody finishes, and what it tells cannot be read.
        return Swept(changed, remove_abandoned(self._partials()))

    def tells_of(self, id_: str) -> Iterator[str]:
        for key in self._objects.list():
            if tells_of(key, self._objects.get(key), id_):
                yield f"{self.name}/{key}"
        yield from (str(partial) for partial in self._partials() if _may_tell(partial, id_))

    def _partials(self) -> Iterator[Path]:
        """What is being written, or was left half-written; there is no such thing in a bucket."""
        yield from () if "://" in self.name else Path(self.name).rglob(PARTIALS)


def _may_tell(partial: Path, id_: str) -> bool:
    try:
        return id_.encode() in partial.read_bytes()
    except FileNotFoundError:
        return False
    except PermissionError:
        return True

"""Where a backfill leaves its decisions: one Parquet file, or a place with one a day and a manifest of those done."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudline.adapters.storage.disk import partial_beside, sentences_of, write_whole
from fraudline.adapters.storage.objects import NotFound, open_objects
from fraudline.backfill.past import Partition, ScoredDay
from fraudline.errors import BadInput, LostRace

MANIFEST = "_manifest.json"


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """A finished partition, the input it was made from and the SHA-256 of its file.

    That is empty of one without a file, and of one of an earlier release.
    """

    fingerprint: str
    rows: int
    alerts: int
    digest: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """What a backfill folder holds: one contract and version, finished days by date."""

    contract: str
    model_version: str
    partitions: dict[str, Done]


# Columns whose values hardly come twice: a dictionary of them would be as long as they are.
DISTINCT = {"transaction_id", "timestamp", "amount", "score"}
# As many rows as Arrow puts into a group of a file that it is given whole.
ROW_GROUP = 1024 * 1024


class Target(Protocol):
    """What a backfill fills: told of each day as soon as it is scored, in time order."""

    def write(self, day: ScoredDay) -> None: ...

    def close(self, complete: bool) -> None:
        """No more days come: all were written, or (not `complete`) something came in between."""
        ...


def fill(targets: Sequence[Target], days: Iterable[ScoredDay]) -> None:
    """Every target with every day; each is closed, whatever happens."""
    complete = False
    try:
        for day in days:
            for target in targets:
                target.write(day)
        complete = True
    finally:
        for target in targets:
            target.close(complete)


class Place(Protocol):
    """What days are kept in: `fraudline.adapters.storage.objects.Objects` is one, too."""

    @property
    def location(self) -> str: ...

    def get(self, key: str) -> bytes:
        """`NotFound` if there is none."""
        ...

    def tag(self, key: str) -> str:
        """The SHA-256 of what is there; empty if nothing is."""
        ...

    def put_if(self, key: str, data: bytes, tag: str) -> bool:
        """If what is there still has this tag; whoever reads sees that or this."""
        ...


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine, whose kernel keeps other runs out for as long as this one lives."""

    path: Path

    def __post_init__(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise BadInput(f"{self.path} is a file: name a folder, or a file that ends in .parquet")

    @property
    def location(self) -> str:
        return str(self.path)

    def get(self, key: str) -> bytes:
        try:
            return (self.path / key).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"there is no {key} in {self.path}") from None

    def tag(self, key: str) -> str:
        try:
            return digest(self.get(key))
        except NotFound:
            return ""

    def put_if(self, key: str, data: bytes, tag: str) -> bool:
        write_whole(self.path / key, data)
        return True


def digest(data: bytes) -> str:
    """The SHA-256 of a file, in hex."""
    return hashlib.sha256(data).hexdigest()


def place_of(location: str) -> Place:
    """A folder here, or `s3://bucket/prefix`."""
    return open_objects(location) if "://" in location else LocalFolder(Path(location))


def read_manifest(place: Place) -> Manifest | None:
    """What a place holds, if it is the output of a backfill; `BadInput` where nobody can tell."""
    try:
        return msgspec.json.decode(place.get(MANIFEST), type=Manifest)
    except NotFound:
        return None
    except msgspec.DecodeError as error:
        raise BadInput(
            f"{place.location}/{MANIFEST} is damaged ({error}): remove the folder and run the backfill again"
        ) from error


class PartitionFolder:
    """`DATE.parquet` a day and `_manifest.json`; a day is done once the manifest says so.

    `check` is asked before anything is written, and raises once somebody else may be writing there.
    """

    def __init__(
        self, place: Place, contract: str, model_version: str, check: Callable[[], None] = lambda: None
    ) -> None:
        self._place = place
        self._check = check
        self._manifest = read_manifest(place) or Manifest(contract, model_version, {})
        if (self._manifest.contract, self._manifest.model_version) != (contract, model_version):
            raise BadInput(
                f"{place.location} holds a backfill of {self._manifest.contract!r} by {self._manifest.model_version}:"
                " name another folder for this one"
            )

    def missing(self, parts: Sequence[Partition]) -> list[Partition]:
        """Those not done yet, or done from other input."""
        return [part for part in parts if not self._is_done(part)]

    def write(self, day: ScoredDay) -> None:
        data = parquet_bytes(day.decisions)
        self._put(day_key(day.part.day), data)
        done = {**self._manifest.partitions, day.part.day: _done(day, data)}
        self._manifest = msgspec.structs.replace(self._manifest, partitions=dict(sorted(done.items())))
        self._put(MANIFEST, msgspec.json.format(msgspec.json.encode(self._manifest), indent=1))

    def _put(self, key: str, data: bytes) -> None:
        # Looked at before it is asked: who takes over after the question changes what was seen.
        tag = self._place.tag(key)
        self._check()
        # What is there by now may be ours: an answer was lost, and the call was made again.
        if not self._place.put_if(key, data, tag) and self._place.tag(key) != digest(data):
            raise LostRace(f"another run has written {self._place.location}/{key} meanwhile: wait for it to end")

    def close(self, complete: bool) -> None:
        """Nothing is left to do: each day is whole as soon as it is written."""

    def _is_done(self, part: Partition) -> bool:
        """Whether it was done from this input, and its file is the one: another may come late, or without a manifest.

        One in which somebody was erased is another file, too, and is made again from what it was made of.
        """
        done = self._manifest.partitions.get(part.day)
        if done is None or done.fingerprint != part.fingerprint:
            return False
        tag = self._place.tag(day_key(part.day))
        return tag == done.digest if done.digest else tag != ""


def day_key(day: str) -> str:
    """What a day's file is called.

    >>> day_key("2026-01-31")
    '2026-01-31.parquet'
    """
    return f"{day}.parquet"


class PartitionFile:
    """All partitions in one Parquet file, which takes the place of an earlier one once it is whole.

    Rows wait until there are enough of them for a group: the bytes are those of one table written at once. `check`
    raises where it must not be written (any more): it is asked with each day, and last before it takes its place.
    """

    def __init__(self, path: Path, check: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._check = check
        self._resources = ExitStack()
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []

    def write(self, day: ScoredDay) -> None:
        self._check()
        with sentences_of(self._path):
            writer = self._writer or self._open(day.decisions.schema)
            self._waiting.append(day.decisions)
            if sum(table.num_rows for table in self._waiting) >= ROW_GROUP:
                table = pa.concat_tables(self._waiting)
                whole = table.num_rows - table.num_rows % ROW_GROUP
                writer.write_table(table.slice(0, whole))
                self._waiting = [table.slice(whole)]

    def close(self, complete: bool) -> None:
        with sentences_of(self._path), self._resources:
            if complete and self._writer:
                rest = pa.concat_tables(self._waiting)
                if rest.num_rows:
                    self._writer.write_table(rest)
                self._writer.close()
                self._check()
                os.replace(self._partial, self._path)

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        self._partial = self._resources.enter_context(partial_beside(self._path))
        file = self._resources.enter_context(self._partial.open("wb"))
        writer = pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=_repeated(schema))
        # One that is left to the collector writes its end into a file that is closed by then, and complains.
        self._writer = self._resources.enter_context(writer)
        return writer


def _done(day: ScoredDay, data: bytes) -> Done:
    alerts = pc.sum(day.decisions["is_fraud"]).as_py() or 0
    return Done(day.part.fingerprint, day.decisions.num_rows, alerts, digest(data))


def parquet_bytes(table: pa.Table) -> bytes:
    """A file of its own."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=_repeated(table.schema))
    return bytes(sink.getvalue().to_pybytes())


def _repeated(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if name not in DISTINCT]

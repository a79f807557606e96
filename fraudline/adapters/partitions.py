"""Where a backfill leaves its decisions: one Parquet file, or a folder with one a day and a manifest of those done."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fraudline.backfilling import Partition
from fraudline.errors import BadInput, Unavailable

MANIFEST = "_manifest.json"


class Done(msgspec.Struct, frozen=True):
    """A finished partition and the input it was made from."""

    fingerprint: str
    rows: int
    alerts: int


class Manifest(msgspec.Struct, frozen=True):
    """What a backfill folder holds: one contract and version, finished days by date."""

    contract: str
    model_version: str
    partitions: dict[str, Done]


class PartitionFolder:
    """`DATE.parquet` a day and `_manifest.json`; a day is done once the manifest says so."""

    def __init__(self, folder: Path, contract: str, model_version: str) -> None:
        self._folder = folder
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"{folder} is a file: name a folder, or a file that ends in .parquet")
        self._manifest = self._read() or Manifest(contract, model_version, {})
        if (self._manifest.contract, self._manifest.model_version) != (contract, model_version):
            raise BadInput(
                f"{folder} holds a backfill of {self._manifest.contract!r} by {self._manifest.model_version}:"
                " name another folder for this one"
            )

    def missing(self, parts: Sequence[Partition]) -> list[Partition]:
        """Those not done yet, or done from other input."""
        return [part for part in parts if not self._is_done(part)]

    def write(self, part: Partition, decisions: pa.Table) -> None:
        write_parquet(self._folder / f"{part.day}.parquet", decisions)
        done = {**self._manifest.partitions, part.day: _done(part, decisions)}
        self._manifest = msgspec.structs.replace(self._manifest, partitions=dict(sorted(done.items())))
        write_whole(self._folder / MANIFEST, msgspec.json.format(msgspec.json.encode(self._manifest), indent=1))

    def _is_done(self, part: Partition) -> bool:
        done = self._manifest.partitions.get(part.day)
        return done is not None and done.fingerprint == part.fingerprint and self._path(part).exists()

    def _path(self, part: Partition) -> Path:
        return self._folder / f"{part.day}.parquet"

    def _read(self) -> Manifest | None:
        path = self._folder / MANIFEST
        if not path.exists():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=Manifest)
        except msgspec.DecodeError as error:
            raise BadInput(f"{path} is damaged ({error}): remove the folder and run the backfill again") from error


class PartitionFile:
    """All partitions in one Parquet file, written at the end as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write_all(self, decisions: Sequence[pa.Table]) -> None:
        write_parquet(self._path, pa.concat_tables(decisions))


def _done(part: Partition, decisions: pa.Table) -> Done:
    alerts = sum(decisions["is_fraud"].to_pylist())
    return Done(part.fingerprint, decisions.num_rows, alerts)


def write_parquet(path: Path, table: pa.Table) -> None:
    """A whole file or none."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_whole(path, sink.getvalue().to_pybytes())


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step: whoever reads sees the old one or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror or error}") from error

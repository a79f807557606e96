"""Arrow batches in files of a scratch folder."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa


def write_batches(path: Path, batches: Sequence[pa.RecordBatch]) -> None:
    """At least one batch, each to be read on its own."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def read_batch(path: Path, number: int) -> pa.RecordBatch:
    """One of them."""
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).get_batch(number)


def read_batches(path: Path) -> list[pa.RecordBatch]:
    """All of them."""
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        return [reader.get_batch(i) for i in range(reader.num_record_batches)]

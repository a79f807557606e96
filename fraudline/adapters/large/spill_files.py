"""Arrow batches in files of a scratch folder; `Unavailable` names the folder where there is no room for them."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from fraudline.adapters.storage.disk import sentences_of


def write_batches(path: Path, batches: Sequence[pa.RecordBatch]) -> None:
    """At least one batch, each to be read on its own."""
    with (
        sentences_of(path.parent),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, batches[0].schema) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)


def read_batch(path: Path, number: int) -> pa.RecordBatch:
    """One of them."""
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).get_batch(number)


class Streams:
    """Files of batches of a folder, written side by side, each to be read as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._writers: dict[Path, Any] = {}

    def write(self, path: Path, batch: pa.RecordBatch) -> None:
        """One more batch, unless it is empty."""
        if not len(batch):
            return
        with sentences_of(self._folder):
            writer = self._writers.get(path)
            if writer is None:
                file = self._open.enter_context(pa.OSFile(str(path), "wb"))
                writer = self._writers[path] = self._open.enter_context(pa.ipc.new_stream(file, batch.schema))
            writer.write_batch(batch)

    def __enter__(self) -> "Streams":
        return self

    def __exit__(self, *error: object) -> None:
        # Each writes its end: where there was no room before, there is none now.
        with sentences_of(self._folder):
            self._open.close()


def read_stream(path: Path) -> pa.Table:
    """All batches of such a file."""
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()

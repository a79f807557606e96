"""One backfill at a time for one output: a lock that the kernel lets go of when its holder ends, however it ends."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fraudline.adapters.storage.disk import sentences_of
from fraudline.errors import NotReady


@contextmanager
def only_run(out: Path) -> Iterator[None]:
    """Within the block no other run writes into `out`; `NotReady` if one does already."""
    path = out.parent / f".{out.name}.lock"
    with sentences_of(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        file = _locked(path, out)
    with file:
        try:
            yield
        finally:
            # While it is still held: who has opened it meanwhile finds it gone and makes a new one.
            path.unlink(missing_ok=True)


def _locked(path: Path, out: Path) -> IO[str]:
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise NotReady(
                f"another backfill writes into {out} ({holder}): wait for it to end, or name another --out"
            ) from error
        if _still_there(file, path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            return file
        file.close()


def _still_there(file: IO[str], path: Path) -> bool:
    """Whether the file that was locked is still the one of this name: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False

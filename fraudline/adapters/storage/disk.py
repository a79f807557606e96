"""Files of this machine: written whole or not at all, and what goes wrong with them in a sentence."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from fraudline.errors import Unavailable

PARTIAL = ".partial"


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step: whoever reads sees the old one or the new one."""
    with sentences_of(path), partial_beside(path) as partial:
        partial.write_bytes(data)
        os.replace(partial, path)


@contextmanager
def partial_beside(path: Path) -> Iterator[Path]:
    """A file to write to before it takes the place of `path`; gone afterwards, if it did not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL)
    os.close(descriptor)
    try:
        os.chmod(name, 0o644)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def remove_partials(out: Path) -> None:
    """Remove what killed runs have left of this file, or of files in this folder, for who keeps others out of it."""
    left = out.glob(f".*{PARTIAL}") if out.is_dir() else out.parent.glob(f".{escape(out.name)}.*{PARTIAL}")
    for path in left:
        path.unlink(missing_ok=True)


@contextmanager
def sentences_of(path: Path) -> Iterator[None]:
    """What goes wrong while `path` is written, as a sentence: no permission, no room, no such disk."""
    try:
        yield
    except OSError as error:
        # Arrow puts a sentence of its own before the kernel's.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Unavailable(f"{path} cannot be written: {reason}") from error

"""Files of this machine: written whole or not at all, and what goes wrong with them in a sentence."""

import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudline.errors import Unavailable

# What files are called while they are written.
PARTIALS = ".*.partial"


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step: whoever reads sees the old one or the new one."""
    with sentences_of(path), partial_beside(path) as partial:
        partial.write_bytes(data)
        os.replace(partial, path)


@contextmanager
def partial_beside(path: Path) -> Iterator[Path]:
    """A file to write to before it takes the place of `path`; gone afterwards, if it did not.

    It is locked meanwhile: the kernel lets go of what a killed process held, so others know what nobody finishes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.fchmod(descriptor, 0o644)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
        os.close(descriptor)


def remove_abandoned(partials: Iterable[Path]) -> int:
    """Remove those (found by `PARTIALS`) that killed processes have left; how many there were."""
    return sum(map(_is_removed, partials))


def _is_removed(partial: Path) -> bool:
    try:
        descriptor = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        # It has gone meanwhile, is not ours to read, or a link, which we never make.
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        partial.unlink(missing_ok=True)
    except (BlockingIOError, PermissionError):
        # Somebody writes it, or it is another user's, as in a folder that several share.
        return False
    finally:
        os.close(descriptor)
    return True


@contextmanager
def sentences_of(path: Path) -> Iterator[None]:
    """What goes wrong while `path` is written, as a sentence: no permission, no room, no such disk."""
    try:
        yield
    except OSError as error:
        # Arrow puts a sentence of its own before the kernel's.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Unavailable(f"{path} cannot be written: {reason}") from error

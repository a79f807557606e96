"""How far a long step is: to a bar on the terminal where one listens, in a flow run to a progress artifact."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from tasks.steps import in_flow_run

# What is done, and how much of how much; a total of 0 is not known yet.
Meter = Callable[[str, int, int], None]
_listener: ContextVar[Meter | None] = ContextVar("meter", default=None)
# An artifact is a call to the server.
ARTIFACT_SECONDS = 2.0


@contextmanager
def metering(listener: Meter) -> Iterator[None]:
    """Within the block `listener` is told how far things are."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def meter(key: str) -> Meter:
    """Tells whoever listens, and the artifact `key` (lowercase letters, digits and dashes) of a flow run."""
    listener = _listener.get()
    artifact = _Artifact(key) if in_flow_run() else None

    def tell(what: str, done: int, total: int) -> None:
        if listener:
            listener(what, done, total)
        if artifact:
            artifact.tell(what, done, total)

    return tell


class _Artifact:
    """One progress artifact, moved at most every other second and at the end of each stage."""

    def __init__(self, key: str) -> None:
        created: Any = create_progress_artifact(0.0, key=key, description="Starting")
        self._id: UUID = created
        self._what, self._told = "", 0.0
        self._since = self._last = time.monotonic()

    def tell(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            # A stage began when the one before was last heard of.
            self._what, self._since, self._told = what, self._last, 0.0
        self._last = now
        if now - self._told < ARTIFACT_SECONDS and done != total:
            return
        self._told = now
        percent = 100.0 * done / total if total else 0.0
        update_progress_artifact(self._id, percent, _sentence(what, done, total, now - self._since))


def _sentence(what: str, done: int, total: int, seconds: float) -> str:
    """
    >>> _sentence("Scored", 500_000, 2_000_000, 2.0)
    'Scored 500,000 of 2,000,000, 250,000 a second, 6 s left'
    """
    rate = done / seconds if seconds > 0 else 0.0
    if not total:
        return f"{what} {done:,}, {rate:,.0f} a second"
    left = (total - done) / rate if rate else 0.0
    return f"{what} {done:,} of {total:,}, {rate:,.0f} a second, {left:,.0f} s left"

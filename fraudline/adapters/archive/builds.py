"""The record of builds of lagged entities in the landing bucket: an object for each, created only if absent.

It is written before anything is built, so that whoever builds this hour again sees the same as new.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec
import numpy as np

from fraudline.adapters.storage.objects import Objects, read_all
from fraudline.builds import Build, SeenByBuilds, seen_by
from fraudline.clock import format_micros
from fraudline.landed import Landed

PREFIX = "builds/"


def read_builds(objects: Objects) -> SeenByBuilds:
    """What builds have seen of that which landed here."""
    return seen_by(_builds(objects))


def record_build(objects: Objects, through: int, landed: Iterable[str]) -> Build:
    """The record of the build up to this hour: that of an earlier run, or a new one that sees the `landed` keys."""
    key = f"{PREFIX}{format_micros(through)}.json"
    if not objects.exists(key):
        seen = seen_by(build for build in _builds(objects) if build.through < through)
        build = Build(through, seen.newest, tuple(new for new in landed if new not in seen))
        # Of two runs at a time one is first, and both do what it says.
        objects.put_new(key, msgspec.json.encode(build))
    return _decode(objects.get(key))


def told_by_builds(landed: Landed, seen: SeenByBuilds, location: str) -> Landed:
    """What was read of the objects at `location`, with the hours of the builds that missed it."""
    missed_by = [seen.missed_by(source.name.removeprefix(f"{location}/")) for source in landed.sources]
    of_rows = np.repeat(np.array(missed_by, dtype=np.int64), [source.rows for source in landed.sources])
    return replace(landed, table=replace(landed.table, missed_by=of_rows[landed.table.source_row]))


def _builds(objects: Objects) -> Iterator[Build]:
    return (_decode(data) for _, data in read_all(objects, objects.list(PREFIX)))


def _decode(data: bytes) -> Build:
    return msgspec.json.decode(data, type=Build)

"""The record of builds of lagged entities in the landing bucket: an object for each, created only if absent.

It is written before anything is built, so that whoever builds this hour again sees the same as new.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from fraudline.adapters.storage.objects import Objects, read_all
from fraudline.builds import Build, SeenByBuilds, copies_for, line_of, seen_by
from fraudline.clock import format_micros, parse_timestamp
from fraudline.durations import floor_day
from fraudline.transactions.landed import Landed

PREFIX, SUFFIX = "builds/", ".json"


def read_builds(objects: Objects) -> SeenByBuilds:
    """What builds have seen of that which landed here."""
    return seen_by(_builds(objects, _hours(objects)).values())


def record_build(objects: Objects, through: int, landed: Iterable[str]) -> Build:
    """The record of the build up to this hour: that of an earlier run, or a new one that sees the `landed` keys."""
    key = _key(through)
    if not objects.exists(key):
        builds = _builds(objects, [hour for hour in _hours(objects) if hour < through])
        seen = seen_by(builds.values())
        new = tuple(new for new in landed if new not in seen)
        build = Build(through, seen.newest, new, copies_for(through, seen.newest, builds))
        # Of two runs at a time one is first, and both do what it says.
        objects.put_new(key, msgspec.json.encode(build))
    return _decode(objects.get(key))


def told_by_builds(landed: Landed, seen: SeenByBuilds, location: str) -> Landed:
    """What was read of the objects at `location`, with the hours of the builds that missed it."""
    missed_by = [seen.missed_by(source.name.removeprefix(f"{location}/")) for source in landed.sources]
    of_rows = np.repeat(np.array(missed_by, dtype=np.int64), [source.rows for source in landed.sources])
    return replace(landed, table=replace(landed.table, missed_by=of_rows[landed.table.source_row]))


def _key(hour: int) -> str:
    return f"{PREFIX}{format_micros(hour)}{SUFFIX}"


def _hours(objects: Objects) -> list[int]:
    """Of which builds there is a record, ascending."""
    keys = objects.list(PREFIX)
    return [parse_timestamp(key.removeprefix(PREFIX).removesuffix(SUFFIX), "UTC") for key in keys]


def _builds(objects: Objects, hours: Sequence[int]) -> dict[int, Build]:
    """The builds of these hours (ascending), as far as they are in line: of most days the first alone is read.

    A record never changes, so nothing depends on whether it is read or a copy of it.
    """
    if not hours:
        return {}
    first_of_days = {floor_day(hour): hour for hour in reversed(hours)}
    builds = _read(objects, {*first_of_days.values(), *_of_day(hours, hours[-1])})
    # Whoever wrote the first of a day was overtaken, or knew no copies.
    while (before := _end_of_line(builds, hours[-1])) in hours:
        builds = _read(objects, [hour for hour in _of_day(hours, before) if hour not in builds]) | builds
    return builds


def _of_day(hours: Iterable[int], day: int) -> list[int]:
    return [hour for hour in hours if floor_day(hour) == floor_day(day)]


def _end_of_line(builds: Mapping[int, Build], newest: int) -> int:
    """The hour that the last known build came after."""
    *_, last = line_of(builds, newest)
    return last.after


def _read(objects: Objects, hours: Iterable[int]) -> dict[int, Build]:
    """These builds, and those that they have copies of."""
    read = {build.through: build for build in (_decode(data) for _, data in read_all(objects, map(_key, hours)))}
    return {copy.through: copy for build in read.values() for copy in build.copies} | read


def _decode(data: bytes) -> Build:
    return msgspec.json.decode(data, type=Build)

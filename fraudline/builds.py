"""Builds of lagged entities: which landed objects each of them saw first, and so which of them missed a transaction.

A decision is made from what some build saw. Offline code can follow it only if it knows what that build did not see:
docs/exactly-once.md ("Lagged entities") has the argument.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

import msgspec

from fraudline.durations import floor_day

# Before every build.
NEVER = 0


class Build(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the build up to the hour `through` saw that the one up to `after` (`NEVER`: none) had not seen.

    Hours are microseconds since the epoch, `first_seen` keys of landed objects. The first build of a day holds `copies`
    of those before it, for whoever would otherwise read one object for each of them.
    """

    through: int
    after: int
    first_seen: tuple[str, ...]
    copies: tuple["Build", ...] = ()


@dataclass(frozen=True)
class SeenByBuilds:
    """All that builds have seen, up to the newest."""

    newest: int
    _missed_by: Mapping[str, int]

    def __contains__(self, key: str) -> bool:
        return key in self._missed_by

    def missed_by(self, key: str) -> int:
        """The hour of the newest build that did not see this object; `NEVER` if every build did."""
        return self._missed_by.get(key, self.newest)


NOTHING_BUILT = SeenByBuilds(NEVER, {})


def seen_by(builds: Iterable[Build]) -> SeenByBuilds:
    """What the newest of these builds saw, and when it was first seen.

    A build that none of the later ones came after is left out: it was overtaken before it could write anything. The
    record may begin after the first build: what those before it had seen first is gone with their records.

    >>> builds = [Build(1, NEVER, ("a",)), Build(2, 1, ("b",)), Build(3, 1, ("b", "c")), Build(4, 3, ())]
    >>> seen = seen_by(builds)
    >>> [seen.missed_by(key) for key in ("a", "b", "c", "d")]
    [0, 1, 1, 4]
    >>> seen_by(builds[2:]).missed_by("c")
    1
    """
    by_hour = {build.through: build for build in builds}
    newest = max(by_hour, default=NEVER)
    missed_by: dict[str, int] = {}
    for build in line_of(by_hour, newest):
        missed_by |= dict.fromkeys(build.first_seen, build.after)
    return SeenByBuilds(newest, missed_by)


def line_of(by_hour: Mapping[int, Build], hour: int) -> Iterator[Build]:
    """The build of this hour, the one that it came after, and so on, as far as they are known."""
    while build := by_hour.get(hour):
        yield build
        hour = build.after


def copies_for(through: int, newest: int, by_hour: Mapping[int, Build]) -> tuple[Build, ...]:
    """What a build up to `through` that comes after the `newest` copies: back to the one before it that has copies.

    >>> from fraudline.durations import DAY, HOUR
    >>> builds = {hour: Build(hour, hour - HOUR, ()) for hour in range(DAY + HOUR, 2 * DAY, HOUR)}
    >>> [len(copies_for(hour, hour - HOUR, builds)) for hour in (DAY + 5 * HOUR, 2 * DAY)]
    [0, 23]
    """
    if floor_day(through) == floor_day(newest):
        return ()
    line = takewhile(lambda build: not build.copies, line_of(by_hour, newest))
    return tuple(line)

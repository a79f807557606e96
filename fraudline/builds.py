"""Builds of lagged entities: which landed objects each of them saw first, and so which of them missed a transaction.

A decision is made from what some build saw. Offline code can follow it only if it knows what that build did not see:
docs/exactly-once.md ("Lagged entities") has the argument.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

# Before every build.
NEVER = 0


class Build(msgspec.Struct, frozen=True):
    """What the build up to the hour `through` saw that the one up to `after` (`NEVER`: none) had not seen.

    Hours are microseconds since the epoch, `first_seen` keys of landed objects.
    """

    through: int
    after: int
    first_seen: tuple[str, ...]


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
    newest = hour = max(by_hour, default=NEVER)
    missed_by: dict[str, int] = {}
    while build := by_hour.get(hour):
        missed_by |= dict.fromkeys(build.first_seen, build.after)
        hour = build.after
    return SeenByBuilds(newest, missed_by)

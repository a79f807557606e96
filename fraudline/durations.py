"""Lengths of time as contracts write them ("1h", "7d"), in integer microseconds, the unit of every time in the core."""

import re

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {"h": HOUR, "d": DAY}


def parse_duration(text: str) -> int:
    """Microseconds in a duration of whole hours or days.

    >>> parse_duration("7d") == 7 * DAY
    True
    """
    match = re.fullmatch(r"([1-9][0-9]{0,3})([hd])", text)
    if not match:
        raise ValueError(f"{text!r} is not a duration: write whole hours or days, such as '1h' or '7d'")
    return int(match[1]) * _UNITS[match[2]]


def floor_hour(time: int) -> int:
    """The start of the UTC hour of `time` (microseconds since the epoch)."""
    return time - time % HOUR


def floor_day(time: int) -> int:
    """The start of the UTC day of `time` (microseconds since the epoch)."""
    return time - time % DAY

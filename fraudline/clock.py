"""Timestamps as text, as integer microseconds since the epoch (UTC), and as hour and weekday in a contract's zone."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from fraudline.durations import DAY, HOUR, MINUTE

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Stricter than some Pythons, which take 24:00 for midnight or an offset of 75 minutes.
_HOURS = r"(?:[01]\d|2[0-3]):[0-5]\d"
_RFC3339 = re.compile(rf"\d{{4}}-\d\d-\d\d[Tt ]{_HOURS}:\d\d(?:\.\d{{1,9}})?([Zz]|[+-]{_HOURS})?", re.ASCII)
# Every zone in use has offsets of whole quarter hours, so an offset is constant within one.
QUARTER = 15 * MINUTE


def parse_timestamp(text: str, zone: str) -> int:
    """Microseconds since the epoch of an RFC 3339 timestamp; without an offset it is told in `zone`.

    >>> parse_timestamp("2026-01-01T00:00:00+01:00", "UTC") == parse_timestamp("2025-12-31 23:00:00", "UTC")
    True
    """
    match = _RFC3339.fullmatch(text)
    if not match:
        raise ValueError("write it as 2026-01-31T13:05:00Z")
    moment = datetime.fromisoformat(text.upper())
    if match[1] is None:
        moment = moment.replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone))
    return to_micros(moment)


def to_micros(moment: datetime) -> int:
    """Integer microseconds since the epoch of an aware datetime, exactly."""
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(time: int) -> datetime:
    return EPOCH + timedelta(microseconds=time)


def format_micros(time: int) -> str:
    """RFC 3339 in UTC, as decisions and archives write it.

    Always with microseconds, so that the order of texts is that of times.

    >>> format_micros(1_000_000)
    '1970-01-01T00:00:01.000000Z'
    """
    return from_micros(time).isoformat(timespec="microseconds").replace("+00:00", "Z")


def day_start(day: date) -> int:
    """Microseconds since the epoch of midnight UTC."""
    return (day - date(1970, 1, 1)).days * DAY


def format_day(time: int) -> str:
    return from_micros(time).date().isoformat()


@lru_cache(maxsize=65_536)
def utc_offset(quarter: int, zone: str) -> int:
    """Microseconds the zone is ahead of UTC in the `quarter`-th quarter hour since the epoch."""
    if zone == "UTC":
        return 0
    offset = from_micros(quarter * QUARTER).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None  # an aware datetime has one
    return int(offset / timedelta(microseconds=1))


def local_hour_and_weekday(time: int, zone: str) -> tuple[int, int]:
    """Hour (0-23) and weekday (Monday is 0) of `time` in `zone`.

    >>> local_hour_and_weekday(0, "UTC")
    (0, 3)
    """
    local = time if zone == "UTC" else time + utc_offset(time // QUARTER, zone)
    return local // HOUR % 24, (local // DAY + 3) % 7

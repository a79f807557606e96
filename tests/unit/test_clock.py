"""Times: what a timestamp means, and what hour it is where."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudline.adapters.clock import require_begun
from fraudline.clock import (
    day_start,
    format_day,
    format_micros,
    from_micros,
    local_hour_and_weekday,
    parse_timestamp,
    to_micros,
)
from fraudline.durations import DAY, HOUR, floor_day, floor_hour, parse_duration
from fraudline.errors import BadInput

ZONES = ("UTC", "Europe/Rome", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham")
FIRST, LAST = day_start(date(1990, 1, 1)), day_start(date(2100, 1, 1)) - 1
times = st.integers(FIRST, LAST)


@given(time=times)
def test_a_time_written_is_the_time_read(time: int) -> None:
    assert parse_timestamp(format_micros(time), "Europe/Rome") == time


@given(one=times, other=times)
def test_the_order_of_written_times_is_the_order_of_times(one: int, other: int) -> None:
    assert (format_micros(one) < format_micros(other)) == (one < other)


@given(time=times, minutes=st.integers(-1439, 1439), letter=st.sampled_from("T t"))
def test_an_offset_is_subtracted(time: int, minutes: int, letter: str) -> None:
    sign, ahead = ("-" if minutes < 0 else "+"), abs(minutes)
    text = (from_micros(time) + timedelta(minutes=minutes)).strftime(f"%Y-%m-%d{letter}%H:%M:%S.%f")
    assert parse_timestamp(f"{text}{sign}{ahead // 60:02}:{ahead % 60:02}", "UTC") == time


@given(time=times, zone=st.sampled_from(ZONES))
def test_hour_and_weekday_are_those_of_the_zone(time: int, zone: str) -> None:
    local = from_micros(time).astimezone(ZoneInfo(zone))
    assert local_hour_and_weekday(time, zone) == (local.hour, local.weekday())


def test_without_an_offset_a_time_is_told_in_the_contracts_zone() -> None:
    assert parse_timestamp("2026-07-01 12:00:00", "Europe/Rome") == parse_timestamp("2026-07-01T10:00:00Z", "UTC")
    assert parse_timestamp("2026-01-01 12:00:00", "Europe/Rome") == parse_timestamp("2026-01-01T11:00:00Z", "UTC")


def test_the_hour_that_comes_twice_is_the_first_and_the_one_that_never_comes_is_told_anyway() -> None:
    twice = parse_timestamp("2026-10-25 02:30:00", "Europe/Rome")
    assert format_micros(twice) == "2026-10-25T00:30:00.000000Z"
    never = parse_timestamp("2026-03-29 02:30:00", "Europe/Rome")
    assert format_micros(never) == "2026-03-29T01:30:00.000000Z"


def test_nanoseconds_are_cut_to_microseconds() -> None:
    assert parse_timestamp("2026-01-01T00:00:00.123456999Z", "UTC") % 1_000_000 == 123_456


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "2026", "2026-01-31", "2026-01-31T10:00Z", "20260131T100000Z", "2026-01-31T10:00:00 Z"),
        *("2026-01-31T24:00:00Z", "2026-01-31T23:59:60Z", "2026-01-31T10:60:00Z", "2026-02-30T10:00:00Z"),
        *("2026-01-31T10:00:00+24:00", "2026-01-31T10:00:00+01:75", "2026-01-31T10:00:00+0100"),
        *("2026-01-31T10:00:00.Z", "2026-01-31T10:00:00.1234567890Z", "2026-01-31T10:00:00,5Z"),
        *(
            "٢٠٢٦-01-31T10:00:00Z",
            "２026-01-31T10:00:00Z",
            "2026-01-31T10:00:00Z\n",
            "1769853600",
            "0000-01-01T00:00:00Z",
        ),
    ],
)
def test_what_is_not_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_timestamp(text, "UTC")


@given(day=st.dates(date(1970, 1, 1), date(2100, 1, 1)))
def test_a_day_starts_at_midnight_utc(day: date) -> None:
    assert from_micros(day_start(day)) == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert format_day(day_start(day) + DAY - 1) == day.isoformat()
    assert to_micros(datetime(day.year, day.month, day.day, tzinfo=UTC)) == day_start(day)


@given(time=st.integers(-(10**17), 10**17))
def test_floors_stand_on_whole_hours_and_days(time: int) -> None:
    assert floor_hour(time) % HOUR == 0 <= time - floor_hour(time) < HOUR
    assert floor_day(time) % DAY == 0 <= time - floor_day(time) < DAY


def test_durations_are_whole_hours_or_days() -> None:
    assert (parse_duration("36h"), parse_duration("7d")) == (36 * HOUR, 7 * DAY)


@pytest.mark.parametrize(
    "text",
    ["", "0h", "1", "h", "1m", "1.5h", "-1h", " 1h", "1h ", "1h\n", "01h", "12345h", "١h", "1H"],
)
def test_any_other_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_day_that_is_still_to_come_is_no_day_to_know_anything_as_of() -> None:
    require_begun(datetime.now(UTC).date())
    with pytest.raises(BadInput, match=r"as of 2099-01-01, it is \d{4}-\d\d-\d\d \(UTC\)"):
        require_begun(date(2099, 1, 1))

"""Two backfills into one place: whoever was held up between asking and writing takes nothing of the next one's away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pyarrow as pa
import pytest

from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.backfill import named as named_backfill
from fraudline.adapters.backfill.named import BackfillOutput, Hold, held_output
from fraudline.adapters.backfill.partitions import (
    MANIFEST,
    LocalFolder,
    Manifest,
    PartitionFolder,
    Place,
    day_key,
    parquet_bytes,
)
from fraudline.adapters.storage.objects import open_objects
from fraudline.backfill.past import Partition, ScoredDay
from fraudline.errors import LostRace
from fraudline.settings import Settings

DAYS = ("2026-01-12", "2026-01-13")
# What a shop had at first, what it corrected, and what somebody gave by mistake.
FIRST, RIGHT, WRONG = "first", "right", "wrong"


def day(name: str, made_of: str) -> ScoredDay:
    rows = [f"{made_of} {number}" for number in range(3)]
    decisions = pa.table({"transaction_id": rows, "is_fraud": pa.array([0, 1, 0], pa.int8())})
    return ScoredDay(Partition(name, 0, 3, made_of), cast(Any, None), decisions)


def folder(place: Place, check: Callable[[], None] = lambda: None) -> PartitionFolder:
    return PartitionFolder(place, "ecommerce", "v", check)


def fill(place: Place, made_of: str, check: Callable[[], None] = lambda: None) -> None:
    """What of both days is missing."""
    target = folder(place, check)
    for part in target.missing([day(name, made_of).part for name in DAYS]):
        target.write(day(part.day, made_of))


def holds(place: Place) -> dict[str, str]:
    """What each day was made of: its file and the manifest say the same."""
    told = msgspec.json.decode(place.get(MANIFEST), type=Manifest).partitions
    for name, done in told.items():
        assert place.get(day_key(name)) == parquet_bytes(day(name, done.fingerprint).decisions)
    return {name: done.fingerprint for name, done in told.items()}


class Rows:
    """Who writes there, told at once: terms end as they begin, as if each run had slept for longer."""

    def __init__(self, settings: Settings, place: Place) -> None:
        self.place = place
        self._rows = BackfillOutput(DynamoDB(AwsJson("dynamodb")), settings.leases_table, place.location)

    @contextmanager
    def held(self) -> Iterator[Hold]:
        with held_output(self._rows, "ecommerce", "v") as hold:
            yield hold

    def fill(self, made_of: str) -> None:
        with self.held() as hold:
            fill(self.place, made_of, hold.check)


@pytest.fixture
def rows(resources: Settings, monkeypatch: pytest.MonkeyPatch) -> Rows:
    monkeypatch.setattr(named_backfill, "TERM_SECONDS", 0.0)
    monkeypatch.setattr(Hold, "_renew", lambda self: None)
    return Rows(resources, open_objects(f"s3://{resources.reports_bucket}/april"))


def held_up(rows: Rows, at: int, then: Callable[[], None]) -> None:
    """A run with the wrong input that does `then` right after it has asked for the time `at` whether it may write."""
    asked = 0
    with rows.held() as hold:

        def check() -> None:
            nonlocal asked
            hold.check()
            asked += 1
            if asked == at:
                then()

        fill(rows.place, WRONG, check)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("before", [None, FIRST])
def test_a_run_that_slept_between_asking_and_writing_replaces_nothing_of_the_one_that_took_over(
    rows: Rows, at: int, before: str | None
) -> None:
    if before:
        rows.fill(before)
    with pytest.raises(LostRace, match=r"another run (has written|took) s3://"):
        held_up(rows, at, lambda: rows.fill(RIGHT))
    assert holds(rows.place) == dict.fromkeys(DAYS, RIGHT)


def test_one_that_slept_before_it_asks_is_told_that_another_took_over(rows: Rows) -> None:
    with rows.held() as hold:
        hold.check()
        rows.fill(RIGHT)
        with pytest.raises(LostRace, match=r"another run took s3://.*/april over from this one: wait for it to end"):
            hold.check()


def test_what_is_written_over_equal_bytes_is_noticed_and_made_again(rows: Rows) -> None:
    """S3 cannot tell a day from the same day written again: the manifest's digest can."""
    rows.fill(RIGHT)

    def again() -> None:
        client("s3").delete_object(Bucket=rows.place.location.split("/")[2], Key=f"april/{MANIFEST}")
        rows.fill(RIGHT)

    with pytest.raises(LostRace):
        held_up(rows, 1, again)
    rows.fill(RIGHT)
    assert holds(rows.place) == dict.fromkeys(DAYS, RIGHT)


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, unique: str) -> Place:
    if request.param == "folder":
        return LocalFolder(tmp_path / "out")
    request.getfixturevalue("aws")
    client("s3").create_bucket(Bucket=unique)
    return open_objects(f"s3://{unique}/out")


class Cut(Exception):
    """The process ends here."""


def test_a_day_that_was_replaced_before_the_manifest_could_tell_is_not_taken_for_the_one_it_tells_of(
    place: Place,
) -> None:
    fill(place, RIGHT)
    asked = 0

    def cut() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise Cut

    with pytest.raises(Cut):
        fill(place, WRONG, cut)
    parts = [day(name, RIGHT).part for name in DAYS]
    assert folder(place).missing(parts) == parts[:1]
    fill(place, RIGHT)
    assert holds(place) == dict.fromkeys(DAYS, RIGHT)
    assert folder(place).missing(parts) == []


def test_days_of_an_earlier_release_are_done_as_long_as_they_are_there(place: Place) -> None:
    fill(place, RIGHT)
    told = msgspec.json.decode(place.get(MANIFEST))
    for done in told["partitions"].values():
        del done["digest"]
    assert place.put_if(MANIFEST, msgspec.json.encode(told), place.tag(MANIFEST))
    parts = [day(name, RIGHT).part for name in DAYS]
    assert folder(place).missing(parts) == []
    assert folder(place).missing([day(DAYS[0], WRONG).part]) == [day(DAYS[0], WRONG).part]


def test_a_day_that_was_copied_by_hand_is_known_by_its_bytes(place: Place) -> None:
    fill(place, RIGHT)
    key, parts = day_key(DAYS[0]), [day(name, RIGHT).part for name in DAYS]
    data = place.get(key)
    if isinstance(place, LocalFolder):
        (place.path / key).write_bytes(data)
    else:
        open_objects(place.location).put(key, data)
    assert folder(place).missing(parts) == []

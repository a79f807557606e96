"""The record of builds: what it says once its beginning is gone, and how it is read."""

import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fraudline.adapters.archive.builds import read_builds, record_build
from fraudline.adapters.storage import objects as stores
from fraudline.adapters.storage.objects import FolderObjects, NotFound, read_all
from fraudline.builds import NEVER, Build, seen_by
from fraudline.clock import format_micros
from fraudline.durations import DAY, HOUR

PATIENCE = 20.0


def test_builds_go_on_where_the_first_records_are_gone(tmp_path: Path) -> None:
    """Those that an old lifecycle rule let expire, with the objects they had listed."""
    landing = FolderObjects(tmp_path)
    for hour in range(1, 4):
        record_build(landing, hour * HOUR, [f"archive/{number}" for number in range(1, hour + 1)])
    first, *_ = landing.list("builds/")
    landing.delete(first)

    seen = read_builds(landing)
    assert (seen.newest, seen.missed_by("archive/2"), seen.missed_by("archive/3")) == (3 * HOUR, HOUR, 2 * HOUR)
    assert record_build(landing, 4 * HOUR, ["archive/2", "archive/3", "archive/4"]) == Build(
        4 * HOUR, 3 * HOUR, ("archive/4",)
    )


def test_the_line_of_builds_ends_at_the_first_that_is_known() -> None:
    seen = seen_by([Build(8, 7, ("late",)), Build(7, 6, ("early",))])
    assert {key: seen.missed_by(key) for key in ("early", "late", "new")} == {"early": 6, "late": 7, "new": 8}
    assert seen_by([]).newest == NEVER


class Counting(FolderObjects):
    """Which objects are got."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.got: list[str] = []

    def get(self, key: str) -> bytes:
        self.got.append(key)
        return super().get(key)


def all_records(landing: FolderObjects) -> list[Build]:
    """Each as it stands, without the copies that it holds."""
    read = (msgspec.json.decode(landing.get(key), type=Build) for key in landing.list("builds/"))
    return [replace(build, copies=()) for build in read]


def test_of_the_builds_of_past_days_one_record_a_day_is_read(tmp_path: Path) -> None:
    landing = Counting(tmp_path)
    hours = range(20 * HOUR, 20 * HOUR + 7 * DAY, HOUR)
    for hour in hours:
        record_build(landing, hour, [f"archive/{number}" for number in range(hour // HOUR)])
    landing.got.clear()
    seen = read_builds(landing)
    # The first of seven days, and all of the last one, of which twenty hours have passed.
    assert len(landing.got) == 7 + 20
    assert len(landing.got) == len(set(landing.got))
    assert seen == seen_by(all_records(landing))
    assert [seen.missed_by(f"archive/{hour // HOUR - 1}") for hour in hours[1:]] == list(hours[:-1])


def test_records_of_a_release_that_copied_none_are_all_read_until_a_day_has_begun(tmp_path: Path) -> None:
    landing = Counting(tmp_path)
    hours = range(HOUR, 3 * DAY, HOUR)
    for hour in hours:
        old = Build(hour, hour - HOUR, (f"archive/{hour}",))
        landing.put(f"builds/{format_micros(hour)}.json", msgspec.json.encode(old))
    assert read_builds(landing) == seen_by(all_records(landing))
    assert sorted(landing.got[: len(hours)]) == sorted(landing.list("builds/"))
    assert len(record_build(landing, 3 * DAY, ["archive/new"]).copies) == len(hours)
    landing.got.clear()
    seen = read_builds(landing)
    assert len(landing.got) == 4
    assert seen == seen_by(all_records(landing))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_copies_tell_what_the_records_tell_whoever_was_overtaken(tmp_path_factory: Any, data: st.DataObject) -> None:
    """A build may have listed the records before another one's was there, and write its own long after it."""
    folder, late = tmp_path_factory.mktemp("landing"), FolderObjects(tmp_path_factory.mktemp("late"))
    landing, hour = FolderObjects(folder), data.draw(st.integers(0, 3)) * HOUR
    for number in range(data.draw(st.integers(1, 12))):
        hour += data.draw(st.sampled_from([1, 1, 2, 9, 24, 60])) * HOUR
        keys = [f"archive/{n}" for n in range(number + 1)]
        if data.draw(st.booleans()):
            record_build(landing, hour, keys)
        else:
            # It saw what was there by now; what it writes is there once the next one has listed.
            shutil.copytree(folder, late.location, dirs_exist_ok=True)
            record_build(late, hour, keys)
        if data.draw(st.booleans()):
            shutil.copytree(late.location, folder, dirs_exist_ok=True)
        assert read_builds(landing) == seen_by(all_records(landing))


class Meeting(FolderObjects):
    """A read waits until as many as are allowed are under way, and counts them."""

    def __init__(self, folder: Path, expected: int) -> None:
        super().__init__(folder)
        self._barrier = threading.Barrier(expected)
        self._lock = threading.Lock()
        self._running = self.most = 0

    def get(self, key: str) -> bytes:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        self._barrier.wait(PATIENCE)
        data = super().get(key)
        with self._lock:
            self._running -= 1
        return data


def test_objects_are_read_side_by_side_but_never_more_than_the_bound_and_come_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "READS_AT_ONCE", 4)
    store = Meeting(tmp_path, 4)
    expected = [(f"{number:02}", str(number).encode()) for number in range(24)]
    for key, data in expected:
        store.put(key, data)
    assert list(read_all(store, store.list())) == expected
    assert store.most == 4


def test_an_object_that_is_gone_when_its_turn_comes_is_told(tmp_path: Path) -> None:
    store = FolderObjects(tmp_path)
    store.put("a", b"1")
    read = read_all(store, ["a", "b", "c"])
    assert next(read) == ("a", b"1")
    with pytest.raises(NotFound, match="'b'"):
        list(read)

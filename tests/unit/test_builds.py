"""The record of builds: what it says once its beginning is gone, and how it is read."""

import threading
from pathlib import Path

import pytest

from fraudline.adapters.archive.builds import read_builds, record_build
from fraudline.adapters.storage import objects as stores
from fraudline.adapters.storage.objects import FolderObjects, NotFound, read_all
from fraudline.builds import NEVER, Build, seen_by
from fraudline.durations import HOUR

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

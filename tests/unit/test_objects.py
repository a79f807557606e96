"""One conformity suite over both stores."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudline.adapters.aws.clients import client
from fraudline.adapters.storage import s3
from fraudline.adapters.storage.objects import FolderObjects, NotFound, Objects, check_key, open_objects
from fraudline.errors import BadInput, FraudlineError, NotReady, Unavailable
from tests.support.parallel import in_parallel
from tests.support.throttles import refuse_calls


@pytest.fixture
def bucket(aws: object, unique: str) -> str:
    client("s3").create_bucket(Bucket=unique)
    return unique


@pytest.fixture(params=["folder", "s3", "s3 under a prefix"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "folder":
        return open_objects(str(tmp_path / "made" / "when needed"))
    bucket = request.getfixturevalue("bucket")
    return open_objects(f"s3://{bucket}/some/prefix/" if "prefix" in request.param else f"s3://{bucket}")


def test_what_is_put_is_what_one_gets_until_it_is_replaced(objects: Objects) -> None:
    objects.put("a/b.bin", b"\x00\xff")
    assert objects.get("a/b.bin") == b"\x00\xff"
    objects.put("a/b.bin", b"")
    assert objects.get("a/b.bin") == b""


def test_a_missing_object_is_named_with_its_place(objects: Objects) -> None:
    with pytest.raises(NotFound, match=f"there is no 'a/b' in {re.escape(objects.location)}$"):
        objects.get("a/b")
    assert not objects.exists("a/b")


def test_what_is_fetched_is_what_one_gets_in_a_file(objects: Objects, tmp_path: Path) -> None:
    # More than one part of a transfer.
    data = os.urandom(9 * 2**20)
    objects.put("a/b.bin", data)
    copy = tmp_path / "copy"
    copy.write_bytes(b"of an earlier one")
    objects.fetch("a/b.bin", copy)
    assert copy.read_bytes() == data
    objects.put("a/b.bin", b"")
    objects.fetch("a/b.bin", copy)
    assert copy.read_bytes() == b""


def test_what_cannot_be_fetched_is_named_and_leaves_no_file(objects: Objects, tmp_path: Path) -> None:
    objects.put("a/b", b"1")
    for key in ("a", "b", "a/b/c"):
        with pytest.raises(NotFound, match=f"there is no '{key}' in {re.escape(objects.location)}$"):
            objects.fetch(key, tmp_path / "copy")
    with pytest.raises(FileNotFoundError):
        objects.fetch("a/b", tmp_path / "no folder" / "copy")
    assert not (tmp_path / "copy").exists()


def test_sizes_are_those_of_what_is_listed(objects: Objects) -> None:
    for key, data in {"a": b"", "b/1": b"x" * 17, "b/2": b"\x00", "c": b"12"}.items():
        objects.put(key, data)
    assert list(objects.sizes()) == [("a", 0), ("b/1", 17), ("b/2", 1), ("c", 2)]
    assert list(objects.sizes("b")) == [("b/1", 17), ("b/2", 1)]


def test_a_part_of_a_key_is_no_object(objects: Objects) -> None:
    objects.put("a/b", b"1")
    assert not objects.exists("a")
    objects.delete("a")
    with pytest.raises(NotFound):
        objects.get("a")
    with pytest.raises(NotFound):
        objects.get("a/b/c")


def test_put_new_never_replaces(objects: Objects) -> None:
    assert objects.put_new("a/b", b"first") is True
    assert objects.put_new("a/b", b"second") is False
    assert objects.get("a/b") == b"first"


def test_of_many_creators_one_wins_and_its_bytes_stay(objects: Objects) -> None:
    won = in_parallel(lambda me: objects.put_new("history/00000001.json", str(me).encode()), times=16)
    assert [objects.get("history/00000001.json")] == [str(me).encode() for me, wrote in won.items() if wrote]


def test_what_was_read_is_replaced_only_if_it_is_still_there(objects: Objects) -> None:
    assert objects.tag("a/b") == ""
    assert not objects.put_if("a/b", b"none was read", '"0123456789abcdef0123456789abcdef"')
    assert objects.put_if("a/b", b"first", "")
    assert not objects.put_if("a/b", b"second", "")
    first = objects.tag("a/b")
    assert objects.put_if("a/b", b"second", first)
    assert objects.tag("a/b") != first
    assert not objects.put_if("a/b", b"third", first)
    assert objects.get("a/b") == b"second"


def test_of_many_who_add_to_what_they_have_read_none_is_lost(objects: Objects) -> None:
    def add(me: int) -> None:
        while True:
            tag = objects.tag("a/b")
            present = objects.get("a/b") if tag else b""
            if objects.put_if("a/b", present + bytes([me]), tag):
                return

    in_parallel(add, times=16)
    assert sorted(objects.get("a/b")) == list(range(16))


def test_deleting_is_done_once_and_harmless_twice(objects: Objects) -> None:
    objects.put("a/b", b"1")
    objects.delete("a/b")
    objects.delete("a/b")
    assert not objects.exists("a/b")


def test_what_was_deleted_is_not_in_the_way_of_an_object_above_it(objects: Objects) -> None:
    for key in ("a/b/c", "a/d"):
        objects.put(key, b"")
        objects.delete(key)
    assert objects.put_new("a", b"1")
    assert objects.get("a") == b"1"


def test_keys_come_in_order_of_code_points_whatever_the_store(objects: Objects) -> None:
    keys = ["a-b", "a.b", "a/b", "a/b-c", "a/b/c", "ab", "x+y %20&z=1", "zä/ö ü", "日本/語"]
    if isinstance(objects, FolderObjects):
        keys.remove("a/b")  # a folder cannot hold a file and a folder of one name
    for key in reversed(keys):
        objects.put(key, key.encode())
    assert list(objects.list()) == keys == sorted(keys)
    assert list(objects.list("a/")) == [key for key in keys if key.startswith("a/")]
    assert list(objects.list("a/b-")) == ["a/b-c"]
    assert list(objects.list("a")) == [key for key in keys if key.startswith("a")]
    assert list(objects.list("nothing/here")) == []
    assert [objects.get(key) for key in keys] == [key.encode() for key in keys]


def test_an_empty_store_lists_nothing(objects: Objects) -> None:
    assert list(objects.list()) == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "..",
        "../a",
        "a/../../b",
        "a/./b",
        "a//b",
        "a/",
        ".hidden",
        "a/.partial",
        "a\\b",
        "a\x00b",
        "a\nb",
        "a\u202eb",
        "a\ud800b",
        "x" * 201,
        "/".join(["x" * 100] * 10),
    ],
)
@pytest.mark.parametrize("store", ["folder", "s3"])
def test_a_key_that_could_leave_its_store_is_refused_by_every_method(
    store: str, key: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = str(tmp_path / "in") if store == "folder" else f"s3://{request.getfixturevalue('bucket')}"
    objects = open_objects(place)
    attempts: list[Callable[[], object]] = [
        lambda: objects.get(key),
        lambda: objects.fetch(key, tmp_path / "copy"),
        lambda: objects.put(key, b""),
        lambda: objects.put_new(key, b""),
        lambda: objects.put_if(key, b"", ""),
        lambda: objects.tag(key),
        lambda: objects.exists(key),
        lambda: objects.delete(key),
    ]
    for attempt in attempts:
        with pytest.raises(BadInput, match="is not a key of an object"):
            attempt()
    assert list(tmp_path.iterdir()) == []


@given(st.text())
# Keys share the folder, and each is put on disk for good: how long that takes is the disk's business.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_whatever_key_is_let_through_stays_inside_its_folder(tmp_path: Path, key: str) -> None:
    try:
        check_key(key)
    except BadInput:
        return
    assert (tmp_path / key).resolve().is_relative_to(tmp_path.resolve())
    objects = FolderObjects(tmp_path)
    objects.put(key, b"1")
    assert list(objects.list()) == [key]
    objects.delete(key)


def test_files_that_are_being_written_and_dot_files_are_no_objects(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(b"")
    (tmp_path / ".abc.partial").write_bytes(b"")
    (tmp_path / "a").write_bytes(b"1")
    assert list(FolderObjects(tmp_path).list()) == ["a"]


def test_a_folder_is_left_with_its_objects_only(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    objects.put("a", b"1")
    objects.put("a", b"2")
    objects.put_new("a", b"3")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_s3_lists_beyond_one_page(bucket: str) -> None:
    objects = open_objects(f"s3://{bucket}/many")
    keys = [f"{number:05d}" for number in range(1003)]
    for key in keys:
        objects.put(key, b"")
    assert list(objects.list()) == keys


@pytest.mark.parametrize(("conflicts", "is_made"), [(1, True), (4, True), (5, False)])
def test_a_conflict_with_another_write_is_waited_out_for_a_while(
    bucket: str, monkeypatch: pytest.MonkeyPatch, conflicts: int, is_made: bool
) -> None:
    monkeypatch.setattr(s3, "_CONFLICT_PAUSE", 0.0)
    own = client("s3")
    refuse_calls(own, "s3.PutObject", conflicts, "ConditionalRequestConflict")
    objects = s3.S3Objects(own, bucket)
    if is_made:
        assert objects.put_new("a", b"1")
    else:
        with pytest.raises(Unavailable, match="being written by others all the time: try again"):
            objects.put_new("a", b"1")
    assert objects.exists("a") is is_made


def test_a_prefix_keeps_to_itself(bucket: str) -> None:
    open_objects(f"s3://{bucket}/one").put("a", b"1")
    assert list(open_objects(f"s3://{bucket}/on").list()) == []
    assert list(open_objects(f"s3://{bucket}").list()) == ["one/a"]


@pytest.mark.parametrize("location", ["s3://", "s3://UPPER/x", "gs://bucket/x", "s3:///x", "file:///tmp"])
def test_a_place_that_is_none_is_refused(location: str) -> None:
    with pytest.raises(BadInput, match="name a folder or s3://bucket/prefix"):
        open_objects(location)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match="is a file"):
        open_objects(str(tmp_path / "file"))


def test_a_bucket_that_is_not_there_is_said_in_a_sentence(aws: object, unique: str) -> None:
    objects = open_objects(f"s3://{unique}-missing")
    for attempt in (lambda: objects.get("a"), lambda: objects.put("a", b""), lambda: list(objects.list())):
        with pytest.raises(NotReady, match=f"bucket '{unique}-missing' does not exist"):
            attempt()


def test_an_endpoint_that_does_not_answer_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Unavailable, match="bucket 'nobody' did not answer"):
        open_objects("s3://nobody").get("a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_said_in_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Unavailable, match="no permission for"):
        FolderObjects(tmp_path).put("a", b"")


def test_a_full_or_impossible_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    objects.put("a", b"1")
    for attempt in (lambda: objects.put("a/b", b""), lambda: objects.put_new("a/b", b"")):
        with pytest.raises(FraudlineError, match="cannot be used"):
            attempt()

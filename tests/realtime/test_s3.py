"""Reading models from S3."""

import pytest

from fraudline.adapters.storage.objects import NotFound
from fraudline.errors import Unavailable
from fraudline.realtime.aws import place_of
from fraudline.realtime.s3 import S3Reader
from tests.realtime.servers import Server, answer, cut, scripted

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


def reader(server: Server) -> S3Reader:
    return S3Reader(place_of("s3", {**KEYS, "AWS_ENDPOINT_URL": server.endpoint}), "models")


def page(*keys: str, more: str = "") -> bytes:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    return f"<ListBucketResult>{contents}{token}</ListBucketResult>".encode()


def test_a_list_goes_on_until_its_last_page() -> None:
    pages = [answer(200, page("a/1", "a/b&amp;c", more="t/+=&amp;x")), answer(200, page("a/3"))]
    with scripted(pages) as server:
        assert list(reader(server).list("a/")) == ["a/1", "a/b&c", "a/3"]
    assert server.paths == [
        "/models/?list-type=2&prefix=a%2F",
        "/models/?continuation-token=t%2F%2B%3D%26x&list-type=2&prefix=a%2F",
    ]


def test_an_object_comes_as_its_bytes() -> None:
    with scripted([answer(200, b"\x00\xff")]) as server:
        assert reader(server).get("a b/ü.json") == b"\x00\xff"
    assert server.paths == ["/models/a%20b/%C3%BC.json"]


def test_an_object_that_is_not_there_is_not_found() -> None:
    with scripted([answer(404, b"<Error><Code>NoSuchKey</Code></Error>")]) as server, pytest.raises(NotFound):
        reader(server).get("a")


def test_a_refusal_is_unavailable() -> None:
    with scripted([answer(403, b"<Error/>")]) as server, pytest.raises(Unavailable, match="s3 answered 403"):
        reader(server).get("a")


def test_a_key_exists_only_under_its_full_name() -> None:
    with scripted([answer(200, page("a/1", "a/10")), answer(200, page("a/10"))]) as server:
        assert reader(server).exists("a/1")
        assert not reader(server).exists("a/1")


def test_on_aws_the_bucket_is_in_the_name_of_the_host() -> None:
    bucket = S3Reader(place_of("s3", {**KEYS, "AWS_REGION": "eu-west-1"}), "models")
    assert bucket._service.place.endpoint == "https://models.s3.eu-west-1.amazonaws.com"
    assert bucket._root == ""


def test_a_list_that_was_cut_off_is_none() -> None:
    """Else the newest promotion is not in it, and the champion before it answers again."""
    history = page("shop/history/00000001.json")
    with scripted([cut(history)]) as server, pytest.raises(Unavailable, match="s3 did not answer"):
        list(reader(server).list("shop/history/"))

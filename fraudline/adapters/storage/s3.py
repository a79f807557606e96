"""The objects port on S3."""

import base64
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from fraudline.adapters.aws.errors import error_code, explained
from fraudline.adapters.storage.objects import NotFound, check_key, check_size, is_hidden
from fraudline.errors import Unavailable

# S3 answers 409 while a write or delete of the same key is under way, and asks to try again.
_CONFLICT_ATTEMPTS = 5
_CONFLICT_PAUSE = 0.1


class S3Objects:
    """Objects under a prefix of a bucket. `client` is a boto3 S3 client; safe to use from several threads."""

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{check_key(prefix.strip('/'))}/" if prefix.strip("/") else ""

    @property
    def location(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def get(self, key: str) -> bytes:
        with self._explained():
            try:
                answer = self._client.get_object(**self._at(key))
            except self._client.exceptions.NoSuchKey:
                raise NotFound(f"there is no {key!r} in {self.location}") from None
            check_size(key, answer["ContentLength"])
            return bytes(answer["Body"].read())

    def put(self, key: str, data: bytes) -> None:
        with self._explained():
            self._client.put_object(**self._at(key), Body=data)

    def put_new(self, key: str, data: bytes) -> bool:
        return self._put_on(key, data, IfNoneMatch="*")

    def tag(self, key: str) -> str:
        return self._tagged(key)[0]

    def put_if(self, key: str, data: bytes, tag: str) -> bool:
        found, version = self._tagged(key)
        if found != tag:
            return False
        condition = {"IfMatch": version} if tag else {"IfNoneMatch": "*"}
        return self._put_on(key, data, ChecksumSHA256=base64.b64encode(sha256(data).digest()).decode(), **condition)

    def _tagged(self, key: str) -> tuple[str, str]:
        """The object's tag, and what S3 itself calls this version of it."""
        with self._explained():
            told = self._head(key, ChecksumMode="ENABLED")
            if not told:
                return "", ""
            if "ChecksumSHA256" in told and told.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
                return base64.b64decode(told["ChecksumSHA256"]).hex(), told["ETag"]
            # Written without one: by `put`, or by hand.
            answer = self._client.get_object(**self._at(key))
            return sha256(answer["Body"].read()).hexdigest(), answer["ETag"]

    def _put_on(self, key: str, data: bytes, **told: str) -> bool:
        """False if the condition that S3 is told does not hold."""
        with self._explained():
            for attempt in range(_CONFLICT_ATTEMPTS):
                try:
                    self._client.put_object(**self._at(key), Body=data, **told)
                except ClientError as error:
                    # There is none any more of which a tag was read.
                    if error_code(error) in ("PreconditionFailed", "NoSuchKey"):
                        return False
                    if error_code(error) != "ConditionalRequestConflict":
                        raise
                    time.sleep(_CONFLICT_PAUSE * (attempt + 1))
                else:
                    return True
        raise Unavailable(f"{key!r} in {self.location} is being written by others all the time: try again")

    def list(self, prefix: str = "") -> Iterator[str]:
        yield from (key for key, _ in self.sizes(prefix))

    def sizes(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        pages = self._client.get_paginator("list_objects_v2")
        with self._explained():
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                found = ((item["Key"].removeprefix(self._prefix), item["Size"]) for item in page.get("Contents", ()))
                yield from ((key, size) for key, size in found if not is_hidden(key))

    def fetch(self, key: str, path: Path) -> None:
        # Unlike a read of one answer, boto3's transfer goes on where a connection broke off.
        with self._explained():
            try:
                self._client.download_file(**self._at(key), Filename=str(path))
            except ClientError as error:
                if error_code(error) not in ("404", "NoSuchKey"):
                    raise
                raise NotFound(f"there is no {key!r} in {self.location}") from None

    def exists(self, key: str) -> bool:
        return bool(self._head(key))

    def _head(self, key: str, **asked: str) -> dict[str, Any]:
        """What S3 tells of an object; nothing if there is none."""
        with self._explained():
            try:
                told: dict[str, Any] = self._client.head_object(**self._at(key), **asked)
            except ClientError as error:
                if error_code(error) not in ("404", "NoSuchKey"):
                    raise
                return {}
            return told

    def delete(self, key: str) -> None:
        with self._explained():
            self._client.delete_object(**self._at(key))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + check_key(key)}

    def _explained(self) -> Any:
        return explained(f"bucket {self._bucket!r}")

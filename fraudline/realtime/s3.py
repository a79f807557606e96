"""The objects port on S3, as far as reading models needs it."""

import re
from collections.abc import Iterator
from html import unescape

from fraudline.adapters.storage.objects import NotFound
from fraudline.realtime.aws import Place, Refused, Service
from fraudline.sigv4 import encode_path

_KEY = re.compile(r"<Key>([^<]*)</Key>")
_NEXT = re.compile(r"<NextContinuationToken>([^<]*)</NextContinuationToken>")


class S3Reader:
    """What is in a bucket."""

    def __init__(self, place: Place, bucket: str) -> None:
        self.location = f"s3://{bucket}"
        # AWS wants the bucket in the host name, emulators serve all buckets on one host.
        self._root = f"/{bucket}" if place.is_custom else ""
        host = place if place.is_custom else place._replace(endpoint=place.endpoint.replace("//", f"//{bucket}."))
        self._service = Service(host)

    def get(self, key: str) -> bytes:
        try:
            return self._service.send("GET", encode_path(f"{self._root}/{key}"))
        except Refused as refused:
            if refused.status == 404:
                raise NotFound(f"there is no {key!r} in {self.location}") from None
            raise

    def exists(self, key: str) -> bool:
        return key in self.list(key)

    def list(self, prefix: str = "") -> Iterator[str]:
        """Keys, ascending."""
        query = {"list-type": "2", "prefix": prefix}
        while True:
            page = self._service.send("GET", f"{self._root}/", query).decode()
            yield from map(unescape, _KEY.findall(page))
            more = _NEXT.search(page)
            if not more:
                return
            query["continuation-token"] = unescape(more[1])

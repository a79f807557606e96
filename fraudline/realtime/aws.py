"""Signed requests to one AWS service over connections that are kept open: the standard library's HTTP client.

Where to, AWS's own variables say (`AWS_ENDPOINT_URL`, `AWS_REGION` and the credentials that Lambda puts beside them).
"""

import http.client
import re
import ssl
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from fraudline.errors import Unavailable
from fraudline.sigv4 import Credentials, Request, signed_headers

# A connection that was idle for longer may have been closed by the other end while the function was frozen.
IDLE_SECONDS = 20.0
# No exchange waits longer, so that a thread behind a dead connection comes back.
SOCKET_SECONDS = 2.0
# How DynamoDB and S3 name what is wrong.
_CODE = re.compile(rb"(?:\"__type\": *\"(?:[^\"#]*#)?|<Code>)(\w+)")
_DROPPED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Place(NamedTuple):
    """A service in a region, as the environment tells it."""

    service: str
    region: str
    endpoint: str
    credentials: Credentials
    # True where one host serves all buckets of S3, as emulators do.
    is_custom: bool


def place_of(service: str, environment: Mapping[str, str]) -> Place:
    """Where a service ("dynamodb", "s3") is and who we are there."""
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    custom = environment.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environment.get("AWS_ENDPOINT_URL")
    suffix = ".com.cn" if region.startswith("cn-") else ".com"
    credentials = Credentials(
        environment.get("AWS_ACCESS_KEY_ID", ""),
        environment.get("AWS_SECRET_ACCESS_KEY", ""),
        environment.get("AWS_SESSION_TOKEN", ""),
    )
    endpoint = custom or f"https://{service}.{region}.amazonaws{suffix}"
    return Place(service, region, endpoint, credentials, bool(custom))


class Refused(Unavailable):
    """The service answered, and not with success: `status` and the answer's `body`, of which only the code is told."""

    def __init__(self, service: str, status: int, body: bytes) -> None:
        code = _CODE.search(body)
        what = f"{status} {code[1].decode()}" if code else str(status)
        super().__init__(f"{service} answered {what}: look at its health, throttles and the function's role")
        self.status = status
        self.body = body


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Reading the certificate authorities takes 25 ms: once, and only where there is TLS."""
    return ssl.create_default_context()


class _Connection(threading.local):
    """This thread's connection and when it was last used (monotonic)."""

    open: http.client.HTTPConnection | None = None
    used_at = 0.0


class Service:
    """Requests to one service; each thread keeps a connection of its own."""

    def __init__(self, place: Place) -> None:
        self.place = place
        url = urlsplit(place.endpoint)
        self._host = url.netloc
        self._tls = _tls() if url.scheme == "https" else None
        self._connection = _Connection()

    def connect(self) -> None:
        """Open this thread's connection, so that the first request need not wait for it."""
        self._open().connect()

    def send(
        self,
        method: str,
        path: str = "/",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> bytes:
        """The answer's body; `Refused` if it is no success, `Unavailable` if there is none."""
        request = Request(method, self._host, path, query or {}, headers or {}, body)
        try:
            status, answer = self._exchange(request)
        except (OSError, http.client.HTTPException) as error:
            self._close()
            raise Unavailable(f"{self.place.service} did not answer ({type(error).__name__})") from error
        if status != 200:
            raise Refused(self.place.service, status, answer)
        return answer

    def _exchange(self, request: Request) -> tuple[int, bytes]:
        was_open = self._connection.open is not None
        try:
            return self._exchange_once(request)
        except _DROPPED:
            # The other end had closed a connection that was kept open. Nothing here does harm when it is done twice.
            self._close()
            if not was_open:
                raise
            return self._exchange_once(request)

    def _exchange_once(self, request: Request) -> tuple[int, bytes]:
        connection, place = self._open(), self.place
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = signed_headers(request, place.service, place.region, place.credentials, moment)
        connection.request(request.method, request.target, request.body or None, headers)
        with connection.getresponse() as response:
            body = _read(response)
        self._connection.used_at = time.monotonic()
        return response.status, body

    def _open(self) -> http.client.HTTPConnection:
        if self._connection.open is not None and time.monotonic() - self._connection.used_at > IDLE_SECONDS:
            self._close()
        if self._connection.open is None:
            self._connection.open = self._new()
            self._connection.used_at = time.monotonic()
        return self._connection.open

    def _new(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, timeout=SOCKET_SECONDS)
        return http.client.HTTPSConnection(self._host, timeout=SOCKET_SECONDS, context=self._tls)

    def _close(self) -> None:
        if self._connection.open is not None:
            self._connection.open.close()
            self._connection.open = None


def _read(response: http.client.HTTPResponse) -> bytes:
    """The whole body; a socket's timeout does not end an answer that comes a byte at a time."""
    deadline, parts = time.monotonic() + SOCKET_SECONDS, []
    while part := response.read1(1 << 16):
        parts.append(part)
        if time.monotonic() > deadline:
            raise TimeoutError("the answer is too slow")
    if response.length:
        # A part would pass for the whole: an object for a damaged one, a list of versions for one without the last.
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)

"""Calls to AWS services that speak JSON, with bodies that are ready to send.

boto3 walks every value of every item on its way out and in and builds a request of many parts, which costs several
times what scoring does. Here botocore only finds the endpoint and renews the credentials; nothing else stands between
msgspec and the socket. `benchmarks/stream_cost.py` prints what a call costs.
"""

import http.client
import os
import ssl
import threading
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import boto3
import msgspec
from botocore.exceptions import ClientError, NoCredentialsError

from fraudline.adapters.aws.backoff import Deadline, attempts
from fraudline.adapters.aws.clients import client
from fraudline.sigv4 import Credentials, Request, signed_headers

THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "LimitExceededException",
        "KMSThrottlingException",
        "TransactionConflictException",
        "InternalServerError",
        "InternalFailure",
        "ServiceUnavailable",
    }
)
_PROTOCOLS = {
    "dynamodb": ("DynamoDB_20120810.", "application/x-amz-json-1.0"),
    "kinesis": ("Kinesis_20131202.", "application/x-amz-json-1.1"),
}
_SOCKET_SECONDS = 30.0


class _Connection(threading.local):
    open: http.client.HTTPConnection | None = None


class AwsJson:
    """One service (`dynamodb` or `kinesis`) where AWS's variables point; each thread has a connection of its own."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._prefix, self._content_type = _PROTOCOLS[service]
        meta = client(service).meta
        self._region = meta.region_name
        self._url = urlsplit(meta.endpoint_url)
        self._credentials = boto3.session.Session().get_credentials()
        self._connection = _Connection()

    def call(self, operation: str, body: object, thing: str, deadline: Deadline) -> bytes:
        """The answer's bytes. Throttles and outages are waited out until `deadline`, then `Unavailable`.

        `thing` is named in errors. A refusal that a caller may expect (a lost condition) is a botocore `ClientError`.
        """
        data = msgspec.json.encode(body)
        for _ in attempts(thing, deadline):
            try:
                status, answer = self._send(operation, data)
            except (OSError, http.client.HTTPException):
                self._close()
                continue
            if status == 200:
                return answer
            error = _refusal(operation, status, answer)
            if status < 500 and error.response["Error"]["Code"] not in THROTTLES:
                raise error
        raise AssertionError("attempts end by an answer or by Unavailable")

    def _send(self, operation: str, data: bytes) -> tuple[int, bytes]:
        headers = {"content-type": self._content_type, "x-amz-target": self._prefix + operation}
        request = Request("POST", self._url.netloc, "/", {}, headers, data)
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signed = signed_headers(request, self._service, self._region, self._identity(), moment)
        connection = self._open()
        connection.request("POST", "/", data, signed)
        with connection.getresponse() as response:
            return response.status, response.read()

    def _identity(self) -> Credentials:
        """Asked for at each call: a role's credentials are renewed while we run."""
        if self._credentials is None:
            raise NoCredentialsError()
        frozen = self._credentials.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")

    def _open(self) -> http.client.HTTPConnection:
        if self._connection.open is None:
            self._connection.open = _connection(self._url.scheme, self._url.netloc)
        return self._connection.open

    def _close(self) -> None:
        if self._connection.open is not None:
            self._connection.open.close()
            self._connection.open = None


def _connection(scheme: str, host: str) -> http.client.HTTPConnection:
    """A connection to be opened, through the proxy that the environment names, as boto3 does."""
    proxy = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(scheme)
    first = urlsplit(proxy).netloc if proxy else host
    if scheme == "https":
        context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            first, timeout=_SOCKET_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(first, timeout=_SOCKET_SECONDS)
    if proxy:
        connection.set_tunnel(host)
    return connection


def _refusal(operation: str, status: int, answer: bytes) -> ClientError:
    """AWS's error as botocore tells it."""
    try:
        told: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
    except msgspec.DecodeError:
        told = {"message": answer[:200].decode(errors="replace")}
    code = str(told.get("__type", status)).rpartition("#")[2]
    message = str(told.get("message", told.get("Message", "")))
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, operation)

"""Calls to AWS services that speak JSON, with bodies that are ready to send.

boto3 walks every value of every item on its way out and in, which costs several times what scoring does. Here
botocore finds the endpoint and the credentials and signs; nothing else stands between msgspec and the socket.
"""

from typing import Any

import boto3
import msgspec
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.httpsession import get_cert_path

from fraudline.adapters.backoff import Deadline, attempts
from fraudline.adapters.clients import client

THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "LimitExceededException",
        "KMSThrottlingException",
        "InternalServerError",
        "InternalFailure",
        "ServiceUnavailable",
        "TransactionConflictException",
    }
)
_PROTOCOLS = {
    "dynamodb": ("DynamoDB_20120810.", "application/x-amz-json-1.0"),
    "kinesis": ("Kinesis_20131202.", "application/x-amz-json-1.1"),
}
_TIMEOUT = urllib3.Timeout(connect=5, read=30)


class AwsJson:
    """One service (`dynamodb` or `kinesis`) where AWS's variables point; serves many threads."""

    def __init__(self, service: str, connections: int = 16) -> None:
        self._service = service
        self._prefix, self._content_type = _PROTOCOLS[service]
        meta = client(service).meta
        self._url, self._region = meta.endpoint_url.rstrip("/") + "/", meta.region_name
        self._credentials = boto3.session.Session().get_credentials()
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=connections, block=True, ca_certs=get_cert_path(True), timeout=_TIMEOUT
        )

    def call(self, operation: str, body: object, thing: str, deadline: Deadline) -> bytes:
        """The answer's bytes. Throttles and outages are waited out until `deadline`, then `Unavailable`.

        `thing` is named in errors. A refusal that a caller may expect (a lost condition) is a botocore `ClientError`.
        """
        data = msgspec.json.encode(body)
        for _ in attempts(thing, deadline):
            try:
                status, answer = self._send(operation, data)
            except urllib3.exceptions.HTTPError:
                continue
            if status == 200:
                return answer
            error = _refusal(operation, status, answer)
            if status < 500 and error.response["Error"]["Code"] not in THROTTLES:
                raise error
        raise AssertionError("attempts end by an answer or by Unavailable")

    def _send(self, operation: str, data: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": self._content_type, "X-Amz-Target": self._prefix + operation}
        request = AWSRequest("POST", self._url, headers=headers, data=data)
        if self._credentials is None:
            raise NoCredentialsError()
        # Frozen at each call: a role's credentials are renewed while we run.
        SigV4Auth(self._credentials.get_frozen_credentials(), self._service, self._region).add_auth(request)
        response = self._pool.urlopen(
            "POST", self._url, body=data, headers=dict(request.headers.items()), retries=False
        )
        return response.status, response.data


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

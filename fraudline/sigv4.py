"""AWS Signature Version 4 on the standard library: what boto3 needs 250 ms of start for, in none.

Tests hold it against botocore's own signer, byte for byte. Source: AWS General Reference, "Create a signed AWS API
request". The measured share of boto3 in a cold start is printed by `benchmarks/realtime.py`.
"""

import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """An access key, and the session token that belongs to a role's."""

    access_key: str
    secret_key: str
    token: str = ""


class Request(NamedTuple):
    """An HTTP request to sign. `path` is as it is sent (encoded); `query` is not encoded yet."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """Path and query as the request line has them."""
        return f"{self.path}?{query}" if (query := encode_query(self.query)) else self.path


def signed_headers(
    request: Request, service: str, region: str, credentials: Credentials, moment: str
) -> dict[str, str]:
    """All headers to send; `moment` is the time as `20261124T062557Z`."""
    digest = hashlib.sha256(request.body).hexdigest()
    headers = {**request.headers, "host": request.host, "x-amz-date": moment}
    if service == "s3":
        headers["x-amz-content-sha256"] = digest
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = sorted(headers)
    signed = ";".join(names)
    canonical = "\n".join(
        (
            request.method,
            request.path,
            encode_query(request.query),
            *(f"{name}:{headers[name].strip()}" for name in names),
            "",
            signed,
            digest,
        )
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = _signing_key(credentials.secret_key, moment[:8], region, service)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{credentials.access_key}/{scope}"
    headers["authorization"] = f"{_ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}"
    return headers


def encode_query(query: Mapping[str, str]) -> str:
    """The query in canonical order, which is also how it is sent."""
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def encode_path(path: str) -> str:
    """A path of an S3 object, encoded once, its slashes kept."""
    return quote(path, safe="/-_.~")


@lru_cache(maxsize=8)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """The key of a day; four hashes that every request of the day shares."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key

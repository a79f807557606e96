"""Our signatures beside botocore's."""

import datetime
from unittest import mock
from urllib.parse import quote

from botocore import auth, awsrequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from fraudline.sigv4 import Credentials, Request, encode_path, signed_headers

MOMENT = datetime.datetime(2026, 11, 24, 6, 25, 57, tzinfo=datetime.UTC)
STAMP = "20261124T062557Z"
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20)
tokens = st.text("abcDEF0123+/=", max_size=30)
credentials = st.builds(Credentials, st.text("ABC123", min_size=4), st.text("abc/+", min_size=4), tokens)


def botocores(request: Request, service: str, region: str, ours: Credentials) -> str:
    """The authorization header botocore gives the same request."""
    query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in request.query.items())
    url = f"https://{request.host}{request.path}" + (f"?{query}" if query else "")
    theirs = awsrequest.AWSRequest(request.method, url, headers=dict(request.headers), data=request.body)
    signer = {"s3": auth.S3SigV4Auth}.get(service, auth.SigV4Auth)
    with mock.patch("botocore.auth.get_current_datetime", return_value=MOMENT.replace(tzinfo=None)):
        signer(BotocoreCredentials(ours.access_key, ours.secret_key, ours.token or None), service, region).add_auth(
            theirs
        )
    return str(theirs.headers["Authorization"])


@given(credentials, st.binary(max_size=200), st.sampled_from(["us-east-1", "eu-central-1"]))
def test_a_dynamodb_call_is_signed_as_botocore_signs_it(ours: Credentials, body: bytes, region: str) -> None:
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.BatchGetItem"}
    request = Request("POST", f"dynamodb.{region}.amazonaws.com", "/", {}, headers, body)
    signed = signed_headers(request, "dynamodb", region, ours, STAMP)
    assert signed["authorization"] == botocores(request, "dynamodb", region, ours)


@given(credentials, st.lists(texts.filter(lambda t: t not in ("", ".", "..")), min_size=1, max_size=3), texts)
def test_an_s3_request_is_signed_as_botocore_signs_it(ours: Credentials, parts: list[str], prefix: str) -> None:
    path = encode_path("/" + "/".join(parts))
    query = {"list-type": "2", "prefix": prefix}
    request = Request("GET", "bucket.s3.eu-central-1.amazonaws.com", path, query, {}, b"")
    signed = signed_headers(request, "s3", "eu-central-1", ours, STAMP)
    theirs = botocores(request, "s3", "eu-central-1", ours)
    assert signed["authorization"].partition("Signature=")[2] == theirs.partition("Signature=")[2]

"""Lambda events as AWS sends them."""

import base64
import json
from collections.abc import Iterable
from typing import Any

from tests.realtime.bundles import population


def a_transaction(index: int = 5, **changes: Any) -> dict[str, Any]:
    """A simulated record, changed."""
    return {**population()[index], **changes}


def http(body: bytes | str | None, method: str = "POST", base64_encoded: bool | None = None) -> dict[str, Any]:
    """A Function URL's event (payload format 2.0): bytes that are no text come in base64."""
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": "/"}, "requestId": "r", "stage": "$default"},
        "isBase64Encoded": isinstance(body, bytes) if base64_encoded is None else base64_encoded,
    }
    if body is not None:
        event["body"] = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    return event


def rest(body: str, method: str = "POST") -> dict[str, Any]:
    """An event of API Gateway's REST APIs (payload format 1.0)."""
    context = {"httpMethod": method, "path": "/", "requestId": "r", "stage": "prod"}
    return {"httpMethod": method, "path": "/", "requestContext": context, "isBase64Encoded": False, "body": body}


def http_json(value: object) -> dict[str, Any]:
    return http(json.dumps(value))


def kinesis(datas: Iterable[bytes], first: int = 1, arrived: float = 1_770_000_000.125) -> dict[str, Any]:
    """An event source mapping's event."""
    return {"Records": [kinesis_record(data, str(first + n), arrived) for n, data in enumerate(datas)]}


def kinesis_record(data: bytes, sequence: str, arrived: float = 1_770_000_000.125) -> dict[str, Any]:
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "U1",
            "sequenceNumber": sequence,
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": arrived,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{sequence}",
        "eventName": "aws:kinesis:record",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/fraudline-transactions",
    }

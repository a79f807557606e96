"""What the function is called with, in three forms, as records that are still to be validated.

    {"transaction_data": {...} or "<the same as JSON>"}               invoked directly
    {"requestContext": ..., "body": "..."}                            API Gateway (HTTP and REST), Function URL
    {"Records": [{"kinesis": {"data": "<base64>", ...}}, ...]}        Kinesis event source mapping

A body holds `{"transaction_data": ...}` or `{"transactions": [...]}`.
"""

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

MAX_BODY_BYTES = 1_048_576
MAX_TRANSACTIONS = 100
_MICROSECONDS = 1_000_000

Kind = Literal["single", "batch", "stream"]


class BadRequest(Exception):
    """The request as a whole is not one: an HTTP status, the field, a code to count by and a sentence to act on."""

    def __init__(self, status: int, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.code = code


class Record(NamedTuple):
    """Something that should be a transaction: JSON bytes, or a value that Lambda has decoded.

    `id` and `arrived_at` (microseconds since the epoch) are the stream's.
    """

    data: object
    id: str = ""
    arrived_at: int | None = None


class Request(NamedTuple):
    """The records of one call and how they are to be answered."""

    kind: Kind
    records: tuple[Record, ...]


def parse(event: object) -> Request:
    """The request in a Lambda event; `BadRequest` if it is none."""
    if not isinstance(event, Mapping):
        raise BadRequest(400, "", "not_an_object", "the event is not a JSON object")
    if "requestContext" in event:
        return _from_body(_body(event))
    if isinstance(event.get("Records"), list):
        return Request("stream", tuple(map(_from_kinesis, event["Records"])))
    if event.get("transaction_data") is None:
        raise _missing()
    return Request("single", (_from_value(event["transaction_data"]),))


class _Body(msgspec.Struct):
    transaction_data: msgspec.Raw = msgspec.Raw(b"")
    transactions: list[msgspec.Raw] | None = None


_body_decoder = msgspec.json.Decoder(_Body)
_NOTHING = (b"", b"null")


def _body(event: Mapping[str, Any]) -> bytes:
    """The body's bytes, however API Gateway has wrapped them."""
    context = event["requestContext"]
    http = context.get("http") if isinstance(context, Mapping) else None
    method = http.get("method", "POST") if isinstance(http, Mapping) else event.get("httpMethod", "POST")
    if method != "POST":
        raise BadRequest(405, "", "method_not_allowed", "use POST")
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise BadRequest(400, "", "not_json", "the body is not a text")
    if len(body) > MAX_BODY_BYTES * 4 // 3 + 4:
        raise _too_large()
    data = _from_base64(body) if event.get("isBase64Encoded") else _from_text(body)
    if len(data) > MAX_BODY_BYTES:
        raise _too_large()
    return data


def _from_body(data: bytes) -> Request:
    try:
        body = _body_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(400, "", "not_json", f"the body is not the JSON object this takes: {error}") from None
    if body.transactions is None:
        if bytes(body.transaction_data) in _NOTHING:
            raise _missing()
        return Request("single", (_from_raw(body.transaction_data),))
    if not 0 < len(body.transactions) <= MAX_TRANSACTIONS:
        status = 413 if body.transactions else 400
        message = f"holds {len(body.transactions)} transactions, 1 to {MAX_TRANSACTIONS} are allowed"
        raise BadRequest(status, "transactions", "batch_size", message)
    return Request("batch", tuple(map(_from_raw, body.transactions)))


def _from_raw(raw: msgspec.Raw) -> Record:
    """A transaction's bytes; one that was put into a JSON text comes out of it."""
    data = bytes(raw)
    try:
        return _from_value(msgspec.json.decode(data)) if data.startswith(b'"') else Record(data)
    except UnicodeDecodeError:
        # The body's decoder has passed over the text unread. `validate` refuses it, and none beside it.
        return Record(data)


def _from_value(value: object) -> Record:
    return Record(_from_text(value)) if isinstance(value, str) else Record(value)


def _from_kinesis(record: object) -> Record:
    """A record of the stream; what it cannot be read as is left for `validate` to refuse."""
    kinesis = record.get("kinesis") if isinstance(record, Mapping) else None
    if not isinstance(kinesis, Mapping):
        return Record(b"")
    data = kinesis.get("data")
    try:
        raw = _from_base64(data) if isinstance(data, str) else b""
    except BadRequest:
        raw = b""
    at = _micros(kinesis.get("approximateArrivalTimestamp"))
    return Record(raw, str(kinesis.get("sequenceNumber", "")), at)


def _micros(seconds: object) -> int | None:
    if isinstance(seconds, int | float) and -math.inf < seconds < math.inf:
        return round(seconds * _MICROSECONDS)
    return None


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(400, "", "not_base64", "the body is said to be base64 and is not") from None


def _from_text(text: str) -> bytes:
    # A lone surrogate, which JSON can write and UTF-8 cannot, is left for the decoder to refuse.
    return text.encode(errors="surrogatepass")


def _missing() -> BadRequest:
    return BadRequest(400, "transaction_data", "missing", "is missing")


def _too_large() -> BadRequest:
    return BadRequest(413, "", "too_large", f"the body has over {MAX_BODY_BYTES} bytes")

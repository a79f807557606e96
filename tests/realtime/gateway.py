"""An API Gateway in process: WSGI requests become the events Lambda gets, its responses HTTP again."""

import base64
from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Gateway:
    """A WSGI application that calls a handler with payload format 2.0, and serves a description of it."""

    def __init__(self, handler: Callable[[object], dict[str, Any]], description: bytes) -> None:
        self._handler = handler
        self._description = description

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/openapi.json":
            start_response("200 OK", [("content-type", "application/json")])
            return [self._description]
        response = self._handler(_event(environ))
        start_response(f"{response['statusCode']} Answered", list(response["headers"].items()))
        return [response["body"].encode()]


def _event(environ: Environ) -> dict[str, Any]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    is_text = environ.get("CONTENT_TYPE", "").startswith(("text/", "application/json"))
    text = body.decode(errors="replace") if is_text else base64.b64encode(body).decode()
    method = environ["REQUEST_METHOD"]
    event = {
        "version": "2.0",
        "rawPath": environ["PATH_INFO"],
        "headers": {"content-type": environ.get("CONTENT_TYPE", "")},
        "requestContext": {"http": {"method": method, "path": environ["PATH_INFO"]}},
        "isBase64Encoded": not is_text,
    }
    return event | ({"body": text} if body else {})

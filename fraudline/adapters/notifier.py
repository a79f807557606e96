"""A bridge from the Prefect server's automations to SNS: takes their POSTs on this machine, publishes each to a topic.

A Prefect server signs nothing, and a flow that told of late runs would be late itself. So this stands beside the
server, listens on 127.0.0.1 only, and may do one thing: publish to one topic.
"""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fraudline.adapters.aws.errors import explained
from fraudline.errors import FraudlineError

HOST, PORT = "127.0.0.1", 4280
# SNS takes messages of 256 KiB, and subjects of 100 printable ASCII characters.
_MOST_BYTES = 200 << 10
_SUBJECT = 100

Publish = Callable[[bytes], None]


def address(port: int = PORT) -> str:
    """Where the server's automations reach it."""
    return f"http://{HOST}:{port}/sns"


def notifier(client: Any, topic_arn: str, port: int = PORT) -> ThreadingHTTPServer:
    """A server, ready for `serve_forever`. `client` is a boto3 SNS client; a notice that SNS did not take is a 502."""

    def publish(notice: bytes) -> None:
        with explained(f"topic {topic_arn}"):
            client.publish(TopicArn=topic_arn, Subject=subject(notice), Message=notice.decode())

    return ThreadingHTTPServer((HOST, port), type("Handler", (_Handler,), {"publish": staticmethod(publish)}))


def subject(notice: bytes) -> str:
    """What a mail's subject says: the notice's text, as far as SNS takes it; `ValueError` if it is no notice.

    >>> subject(b'{"text": "fraudline: a run failed: retrain-\\u00e9"}')
    'fraudline: a run failed: retrain-?'
    """
    told = json.loads(notice)
    if not isinstance(told, dict) or not isinstance(told.get("text"), str):
        raise ValueError("a notice is a JSON object with a text")
    text = told["text"].encode("ascii", "replace").decode()
    line = "".join(character if character.isprintable() else " " for character in text)
    return line[:_SUBJECT].strip() or "fraudline"


class _Handler(BaseHTTPRequestHandler):
    publish: Publish

    def do_GET(self) -> None:
        """Whether it is there."""
        self._answer(204, "")

    def do_POST(self) -> None:
        self._answer(*self._outcome())

    def _outcome(self) -> tuple[int, str]:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _MOST_BYTES:
            return 413, f"a notice has a length, of {_MOST_BYTES} bytes at most"
        try:
            self.publish(self.rfile.read(int(length)))
        except ValueError as error:
            return 400, str(error)
        except FraudlineError as error:
            return 502, str(error)
        return 204, ""

    def _answer(self, status: int, message: str) -> None:
        if message:
            self.log_error("%s", message)
        self.send_response(status)
        self.send_header("Content-Length", str(len(message.encode())))
        self.end_headers()
        self.wfile.write(message.encode())

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """What went well is in the topic."""

"""A proxy before the emulator that does what no emulator does: throttle, leave work unprocessed, lose answers, kill.

A rule sees each request of DynamoDB and Kinesis, which speak JSON, and may change what happens to it.
"""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

Body = dict[str, Any]


class Reply(NamedTuple):
    """An answer that the emulator never sees the question of."""

    status: int
    body: Body


class Rewritten(NamedTuple):
    """A request to forward in another form, and what to make of its answer."""

    body: Body
    finish: Callable[[Body], Body]


class AnswerLost(NamedTuple):
    """The request is done, and the one who asked gets this instead of the answer."""

    reply: Reply


# From operation and body to what becomes of a request; None: forward it as it is.
Rule = Callable[[str, Body], Reply | Rewritten | AnswerLost | None]


def throttled() -> Reply:
    return Reply(400, {"__type": "com.amazonaws#ProvisionedThroughputExceededException", "message": "slow down"})


@contextmanager
def proxy(endpoint: str, rule: Rule, after: Callable[[str, Body], None] = lambda *_: None) -> Iterator[str]:
    """The address of a proxy to `endpoint`; `after` is called between the emulator's answer and ours.

    It is told the operation; of S3, which has none, the method.
    """
    target = urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            operation = (self.headers.get("X-Amz-Target") or "").rpartition(".")[2]
            body = json.loads(data) if operation and data else {}
            verdict = rule(operation, body) if operation else None
            if isinstance(verdict, Reply):
                return self._answer(verdict.status, json.dumps(verdict.body).encode(), {})
            if isinstance(verdict, Rewritten):
                data = json.dumps(verdict.body).encode()
            status, answer, headers = self._forward(data)
            if isinstance(verdict, Rewritten) and status == 200:
                answer = json.dumps(verdict.finish(json.loads(answer))).encode()
            after(operation or self.command, body)
            if isinstance(verdict, AnswerLost):
                return self._answer(verdict.reply.status, json.dumps(verdict.reply.body).encode(), {})
            return self._answer(status, answer, headers)

        def _forward(self, data: bytes) -> tuple[int, bytes, dict[str, str]]:
            connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
            headers = {
                k: v for k, v in self.headers.items() if k.lower() not in ("content-length", "connection", "expect")
            }
            connection.request(self.command, self.path, data, {**headers, "Content-Length": str(len(data))})
            response = connection.getresponse()
            answer = response.read()
            connection.close()
            return response.status, answer, dict(response.headers.items())

        def _answer(self, status: int, answer: bytes, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

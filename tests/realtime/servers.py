"""An HTTP server that answers by a script: what AWS does on a bad day, and no emulator."""

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol


class Step(Protocol):
    """What to do with one request on a connection; False closes it."""

    def __call__(self, connection: socket.socket) -> bool: ...


def answer(status: int, body: object) -> Step:
    """An answer in JSON, or bytes as they are, the connection kept open."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def step(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(data), data))
        return True

    return step


def answer_and_close(status: int, body: object) -> Step:
    """The same, but the connection is closed behind it without a word, as an idle one is."""

    def step(connection: socket.socket) -> bool:
        answer(status, body)(connection)
        return False

    return step


def cut(body: bytes) -> Step:
    """An answer that ends before the last of its bytes, the connection closed."""

    def step(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 x\r\ncontent-length: %d\r\n\r\n%b" % (len(body) + 1, body))
        return False

    return step


def drop(connection: socket.socket) -> bool:
    """No answer, and the connection is closed."""
    return False


def drip(connection: socket.socket) -> bool:
    """A byte every tenth of a second, for as long as anybody listens."""
    connection.sendall(b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n")
    while not threading.Event().wait(0.1):
        connection.sendall(b"x")
    return False


def silence(connection: socket.socket) -> bool:
    """Nothing, until the other end gives up."""
    connection.recv(1)
    return False


@dataclass
class Server:
    """Where it listens, and the paths and bodies of the requests it got, in order."""

    endpoint: str
    paths: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0


@contextmanager
def scripted(steps: Iterable[Step], otherwise: Step = drop) -> Iterator[Server]:
    """A server that takes a step for each request, whatever connection it comes on, and at the end `otherwise`."""
    script, lock = iter(steps), threading.Lock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve(connection: socket.socket) -> None:
            with connection:
                goes_on = True
                while goes_on and (request := _request(connection)) is not None:
                    with lock:
                        server.paths.append(request[0])
                        server.requests.append(request[1])
                        step = next(script, otherwise)
                    try:
                        goes_on = step(connection)
                    except OSError:  # the other end gave up
                        return

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # the test is over
                    return
                server.connections += 1
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


def _request(connection: socket.socket) -> tuple[str, dict[str, Any]] | None:
    """The path and the body of the next request, or None if there is none any more."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            more = connection.recv(65536)
        except OSError:
            return None
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head.split(b" ")[1].decode(), dict(json.loads(body)) if body else {}

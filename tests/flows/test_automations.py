"""Automations as code: created by a command as often as one likes, and fired for real against a webhook."""

import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import prefect
import pytest

from fraudline.adapters.automations import apply, names
from fraudline.errors import BadInput
from fraudline.local.processes import HOST
from tests.support.pipeline import Pipeline

# The server's event pipeline is not in a hurry on a busy machine.
PATIENCE = 60.0


class Webhook:
    """Somebody's chat tool."""

    def __init__(self) -> None:
        received: queue.Queue[dict[str, Any]] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests print what matters."""

        self.server = HTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_port}/alerts"
        self._received = received

    def wait(self, event: str) -> dict[str, Any]:
        while True:
            told = self._received.get(timeout=PATIENCE)
            if told["event"] == event:
                return told


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def automated(pipeline: Pipeline, webhook: Webhook) -> Pipeline:
    with pipeline.here():
        apply(webhook.url)
    return pipeline


def test_applying_them_again_makes_no_second_one_and_leaves_the_others(automated: Pipeline, webhook: Webhook) -> None:
    def ours() -> list[str]:
        found = automated.api.post("/automations/filter", {"limit": 200})
        return sorted(automation["name"] for automation in found)

    before = ours()
    with automated.here():
        assert sorted(apply(webhook.url)) == sorted(names())
    assert ours() == before
    assert set(names()) <= set(before)


def test_a_run_of_ours_that_fails_reaches_the_webhook_with_its_name(
    automated: Pipeline, webhook: Webhook, tmp_path: Any
) -> None:
    from flows.backfill import BackfillRequest, backfill

    request = BackfillRequest(start="2026-01-02", end="2026-01-01", out=str(tmp_path))  # type: ignore[arg-type]
    with automated.here(), prefect.tags("fraudline"), pytest.raises(BadInput):
        backfill(request)
    told = webhook.wait("prefect.flow-run.Failed")
    assert told["text"] == "fraudline: a run failed or crashed: backfill-ecommerce-2026-01-02"
    assert told["resource"].startswith("prefect.flow-run.")


def test_a_shard_that_is_stuck_reaches_the_webhook_with_its_lag(automated: Pipeline, webhook: Webhook) -> None:
    from prefect import flow

    from tasks.artifacts import tell

    @flow(name="tells")
    def tells() -> None:
        tell("fraudline.stream.flagged", "fraudline.stream.s.shard-1", {"flags": ["stuck"], "lag_seconds": 400})

    with automated.here():
        tells()
    told = webhook.wait("fraudline.stream.flagged")
    assert told["resource"] == "fraudline.stream.s.shard-1"
    assert told["details"] == {"flags": ["stuck"], "lag_seconds": 400}

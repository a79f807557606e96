"""Automations as code: created by a command as often as one likes, and fired for real against a webhook."""

import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import prefect
import pytest
from typer.testing import CliRunner

from fraudline.adapters.automations import apply, names, told_at
from fraudline.adapters.aws.clients import client
from fraudline.adapters.notifier import address, notifier, subject
from fraudline.cli.app import app
from fraudline.errors import BadInput
from fraudline.local.notifying import running_notifier
from fraudline.local.processes import HOST, answers
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


@contextmanager
def publishing(topic: str | None) -> Iterator[str]:
    """The bridge to SNS for the time of the block: where it takes POSTs."""
    assert topic is not None
    with notifier(client("sns"), topic, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield address(server.server_port)
        server.shutdown()
        thread.join()


def queued(queue: str, event: str) -> dict[str, Any]:
    """The first message about this event in the queue behind a topic."""
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", ()):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            told: dict[str, Any] = json.loads(message["Body"])
            if told["event"] == event:
                return told
    raise AssertionError(f"no message about {event} within {PATIENCE} s")


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
        done = CliRunner().invoke(app, ["automations", "--webhook", webhook.url, "--json"])
    assert sorted(json.loads(done.stdout)["automations"]) == sorted(names())
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


@pytest.mark.parametrize(
    "event",
    [
        "prefect.flow-run.Crashed",
        "prefect.flow-run.TimedOut",
        "fraudline.data_quality.failed",
        "fraudline.stream.flagged",
    ],
)
def test_whatever_people_must_hear_of_is_in_the_queue_behind_the_alarms_topic(
    automated: Pipeline, webhook: Webhook, event: str
) -> None:
    from prefect.events import emit_event

    with automated.here(), publishing(automated.settings.alarms_topic_arn) as url:
        try:
            apply(url)
            assert told_at() == url
            ours = [{"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.fraudline"}]
            emit_event(event, {"prefect.resource.id": f"test.{event}", "prefect.resource.name": "a-run"}, related=ours)
            told = queued(automated.settings.alarms_topic, event)
            assert told["resource"] == f"test.{event}"
            assert told["text"].startswith("fraudline: ")
            assert told["text"].endswith(": a-run")
        finally:
            apply(webhook.url)


def test_the_stacks_bridge_takes_no_notices_that_people_have_sent_elsewhere(
    automated: Pipeline, webhook: Webhook, tmp_path: Path
) -> None:
    gone = address(1)
    with automated.here():
        try:
            with running_notifier(tmp_path):
                assert told_at() == webhook.url
            # Of a bridge before this one.
            apply(gone)
            with running_notifier(tmp_path):
                now = told_at()
                assert now is not None
                assert now != gone
                assert answers(now)
        finally:
            apply(webhook.url)


def test_a_run_of_ours_that_fails_reaches_the_alarms_topic(
    automated: Pipeline, webhook: Webhook, tmp_path: Any
) -> None:
    from flows.backfill import BackfillRequest, backfill

    request = BackfillRequest(start="2026-01-02", end="2026-01-01", out=str(tmp_path))  # type: ignore[arg-type]
    with automated.here(), publishing(automated.settings.alarms_topic_arn) as url:
        try:
            apply(url)
            with prefect.tags("fraudline"), pytest.raises(BadInput):
                backfill(request)
            told = queued(automated.settings.alarms_topic, "prefect.flow-run.Failed")
            assert told["text"] == "fraudline: a run failed or crashed: backfill-ecommerce-2026-01-02"
        finally:
            apply(webhook.url)


def test_a_run_that_no_worker_begins_reaches_the_alarms_topic(deployed: Pipeline, webhook: Webhook) -> None:
    deployment = deployed.api.deployment("monitor/daily")
    with deployed.here(), publishing(deployed.settings.alarms_topic_arn) as url:
        apply(url)
        run = deployed.api.post(f"/deployments/{deployment['id']}/create_flow_run", {})
        try:
            told = queued(deployed.settings.alarms_topic, "prefect.flow-run.Late")
            assert told["resource"] == f"prefect.flow-run.{run['id']}"
            assert told["text"] == f"fraudline: a run is late: {run['name']}"
        finally:
            deployed.api._http.delete(f"{deployed.api.url}/flow_runs/{run['id']}")
            apply(webhook.url)


def test_what_is_no_notice_is_refused_and_what_sns_does_not_take_is_told(automated: Pipeline) -> None:
    def post(url: str, body: bytes) -> int:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    with automated.here():
        arn = automated.settings.alarms_topic_arn
        with publishing(arn) as url:
            assert post(url, b"{}") == 400
            assert post(url, b"no JSON") == 400
            assert post(url, b'{"text": "hello"}') == 204
            assert post(url, b'{"text": "' + b"x" * 300_000 + b'"}') == 413
        with publishing(f"{arn}-gone") as url:
            assert post(url, b'{"text": "hello"}') == 502


def test_a_subject_is_what_sns_takes() -> None:
    assert subject(json.dumps({"text": "a\nb\té" + "x" * 200}).encode()) == "a b ?" + "x" * 95
    assert subject(b'{"text": ""}') == "fraudline"

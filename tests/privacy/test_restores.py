"""How far back a table can be restored, from its description: the emulator's tables have no period of their own."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.erasure.restores import DEFAULT_DAYS, restorable_days

Days = Callable[[dict[str, Any]], int]


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> Iterator[Days]:
    """What is read from a description in the form that AWS documents, over HTTP."""
    described: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["x-amz-target"].endswith(".DescribeContinuousBackups")
            assert json.loads(self.rfile.read(int(self.headers["Content-Length"]))) == {"TableName": "t"}
            answer = json.dumps({"ContinuousBackupsDescription": described}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Tests print what matters."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)

    def read(description: dict[str, Any]) -> int:
        described.clear()
        described.update(description)
        return restorable_days(DynamoDB(AwsJson("dynamodb")), "t")

    yield read
    server.shutdown()
    server.server_close()


def test_the_period_is_the_tables_own_or_the_longest(days: Days) -> None:
    enabled = {"PointInTimeRecoveryStatus": "ENABLED"}
    assert days({"PointInTimeRecoveryDescription": {**enabled, "RecoveryPeriodInDays": 7}}) == 7
    assert days({"PointInTimeRecoveryDescription": enabled}) == DEFAULT_DAYS


def test_a_table_that_cannot_be_restored_keeps_nothing(days: Days) -> None:
    assert days({"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"}}) == 0
    assert days({"ContinuousBackupsStatus": "DISABLED"}) == 0

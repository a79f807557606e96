"""Who reads logs, reports, messages or the Prefect UI learns of no user: they are searched for every id there is."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.adapters.storage.objects import open_objects
from tests.privacy.shop import record, send, sent
from tests.support.later import an_hour_later
from tests.support.pipeline import Pipeline

# As the simulator makes them, with a mark for those whose rows are no transactions.
ID = re.compile(r"(?<![A-Za-z0-9])U\d{6}(?![A-Za-z0-9])")
STRANGE = "U909090"
# Where rows themselves are kept, for people who may mend them; a bucket of its own or named in docs/erasure.md.
ROWS = ("quarantine/", "excluded/", "corrections/", "redriven/")


def dirty(user: str) -> list[dict[str, Any]]:
    """Rows with the user's id where other values belong."""
    columns = ("timestamp", "amount", "device_type", "location", "is_vpn", "card_type", "transaction_id")
    return [record(user, 9000 + n, **{column: user}) for n, column in enumerate(columns)]


@pytest.fixture(scope="module")
def ran(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All that a pipeline tells of its work, after every flow has been at work on clean and dirty rows."""
    from flows.backfill import BackfillRequest, backfill
    from flows.data_quality import DataQualityRequest, data_quality
    from flows.monitor import MonitorRequest, monitor
    from flows.retrain import RetrainRequest, retrain
    from flows.score_stream import ScoreStreamRequest, score_stream

    folder, today = tmp_path_factory.mktemp("personal"), datetime.now(UTC).date()
    rows = folder / "dirty.jsonl"
    history = pipeline.history.read_text().splitlines()
    cells = [dict(zip(history[0].split(","), line.split(","), strict=True)) for line in history[1:400]]
    torn = f'{{"user_id": "{STRANGE}", "amou'
    rows.write_text("\n".join([*map(json.dumps, [*map(_typed, cells), *dirty(STRANGE)]), torn]) + "\n")
    with pipeline.here():
        out = f"s3://{pipeline.settings.reports_bucket}/personal"
        user = cells[0]["user_id"]
        send(pipeline.settings, *[sent(user, 8000 + n) for n in range(30)])
        send(
            pipeline.settings,
            *[(STRANGE, json.dumps(row).encode()) for row in dirty(STRANGE)],
            (STRANGE, torn.encode()),
        )
        score_stream(ScoreStreamRequest(seconds=30))
        data_quality(DataQualityRequest(transactions=[str(rows)], out=out), return_state=True)
        with an_hour_later() as later:
            data_quality(DataQualityRequest(as_of=later, out=out), return_state=True)
        monitor(MonitorRequest(), return_state=True)
        retrain(RetrainRequest(transactions=[str(rows)], models=f"{folder}/models", quarantine=f"{folder}/quarantine"),
                return_state=True)  # fmt: skip
        retrain(RetrainRequest(candidates=["logistic"]), return_state=True)
        backfill(BackfillRequest(transactions=[str(rows)], start=today - timedelta(days=60), end=today,
                                 out=f"{folder}/backfill"), return_state=True)  # fmt: skip
        told = dict(chain(_prefect(pipeline), _reports(pipeline), _commands(rows)))
        told |= {"realtime": _answers(user), "messages": "".join(_messages(pipeline.settings.alerts_topic))}
    logs = list(tmp_path_factory.getbasetemp().rglob("*.log"))
    return told | {str(path): path.read_text(errors="replace") for path in logs}


def _typed(row: dict[str, str]) -> dict[str, Any]:
    numbers = {"amount": float(row["amount"]), "is_vpn": int(row["is_vpn"]), "is_fraud": int(row["is_fraud"])}
    return {**row, **numbers}


def _answers(user: str) -> str:
    """What the Lambda writes to its log: it prints lines."""
    code = (
        "import json, os, sys; from fraudline.realtime.start import start; answer = start(os.environ).answer;"
        "[answer(json.loads(line), None) for line in sys.stdin]"
    )
    events = [{"transaction_data": row} for row in (record(user, 8100), *dirty(STRANGE))]
    lines = "\n".join(map(json.dumps, events))
    done = subprocess.run([sys.executable, "-c", code], input=lines, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _prefect(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Runs with their parameters and states, tasks, logs, artifacts and events."""
    for what in ("flow_runs", "task_runs", "logs", "artifacts"):
        found, offset = [], 0
        while page := pipeline.api.post(f"/{what}/filter", {"limit": 200, "offset": offset}):
            found += page
            offset += len(page)
        assert found, what
        yield f"prefect {what}", json.dumps(found)
    yield "prefect events", json.dumps(pipeline.api.await_events("fraudline."))


def _reports(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    objects = open_objects(f"s3://{pipeline.settings.reports_bucket}")
    for key in objects.list():
        if not any(part in key for part in ROWS):
            yield f"report {key}", objects.get(key).decode("utf-8", "replace")


def _commands(rows: Path) -> Iterator[tuple[str, str]]:
    program = Path(sys.executable).with_name("fraudline")
    commands = {
        "quality": ["quality", "--transactions", str(rows), "--out", str(rows.parent / "quality")],
        "status": ["status"],
        "review": ["review"],
        "models": ["models", "list", "--models", str(rows.parent / "models")],
    }
    for name, words in commands.items():
        done = subprocess.run([program, *words], capture_output=True, text=True, env=os.environ)
        yield f"command {name}", done.stdout + done.stderr


def _messages(queue: str) -> Iterator[str]:
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        yield from (message["Body"] for message in messages)


@pytest.mark.timeout(600)
def test_nothing_that_is_told_names_a_user(ran: dict[str, str]) -> None:
    assert {"realtime", "messages", "prefect logs", "prefect artifacts", "command quality"} <= set(ran)
    assert any(name.startswith("report ") and name.endswith(".html") for name in ran)
    assert any(name.endswith("prefect.log") for name in ran)
    named = {place: sorted(set(ID.findall(text)))[:3] for place, text in ran.items() if ID.search(text)}
    assert named == {}

"""Flows killed as they begin a write: what is there is whole, and the next run ends as if nothing had been.

Stream runs and retrains are killed in test_crashes.py and tests/stream, backfills in tests/unit/test_backfilling.py and
tests/flows/test_backfill_dynamodb.py, builds of generations in tests/stream/test_generations.py.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.slices import run_slice
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from tests.stream.conftest import Send, send
from tests.stream.storage import objects, table_items
from tests.stream.test_lagged import WORKER, payments
from tests.stream.worker import deps_of
from tests.support.pipeline import ROOT, Pipeline

__all__ = ["send"]

# Writes are what has an effect: S3's PUTs, and DynamoDB's operations but the reading ones.
KILLED = """
import http.client, os, signal, sys
from fraudline.adapters.aws.json_calls import AwsJson

left = int(sys.argv[1])

def write():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

call, putrequest = AwsJson.call, http.client.HTTPConnection.putrequest

def counted_call(self, operation, *rest, **named):
    if not operation.startswith(("BatchGet", "Get", "Query", "Scan")):
        write()
    return call(self, operation, *rest, **named)

def counted_putrequest(self, method, *rest, **named):
    if method == "PUT":
        write()
    return putrequest(self, method, *rest, **named)

AwsJson.call, http.client.HTTPConnection.putrequest = counted_call, counted_putrequest
exec(sys.argv[2])
"""
FLOWS = {
    "data_quality": "from flows.data_quality import *; data_quality.fn(DataQualityRequest(transactions=[{history!r}]))",
    "monitor": "from flows.monitor import *; monitor.fn(MonitorRequest(days=3))",
    "ingest_labels": "from flows.ingest_labels import *; ingest_labels.fn(IngestLabelsRequest(labels=[{labels!r}]))",
}


def run(statement: str, variables: Mapping[str, str], killed_at: int = 0) -> None:
    """A flow as a process of its own, killed as it begins that write (0: never)."""
    command = [sys.executable, "-c", KILLED, str(killed_at), statement]
    environment = {**os.environ, **variables}
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == (-signal.SIGKILL if killed_at else 0), done.stderr[-3000:]


def held(settings: Settings) -> dict[str, Any]:
    """Every object and row of the deployment that these flows write."""
    buckets = (settings.quarantine_bucket, settings.reports_bucket)
    found: dict[str, Any] = {f"{bucket}/{key}": data for bucket in buckets for key, data in objects(bucket).items()}
    found |= {f"label {item['transaction_id']}": item for item in table_items(settings.labels_table)}
    return found | {f"profile {item['entity']}": item for item in table_items(settings.profiles_table)}


@pytest.fixture
def labels(pipeline: Pipeline, write: int, tmp_path: Path) -> Path:
    """What was found of three landed transactions that nobody has looked at, and one row that says nothing."""
    ids = [line.split(",")[0] for line in pipeline.history.read_text().splitlines()[3 * write : 3 * write + 3]]
    rows = [f"{id_},{number % 2},2026-01-0{number + 1}T00:00:00Z" for number, id_ in enumerate(ids)]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["transaction_id,label,known_at", *rows, f"{ids[0]},perhaps,never"]) + "\n")
    return path


@pytest.mark.parametrize(
    ("flow", "write"), [("data_quality", 1), ("data_quality", 2), ("monitor", 1), ("monitor", 2), ("ingest_labels", 1)]
)
def test_a_killed_run_leaves_nothing_half_written_and_the_next_one_completes(
    pipeline: Pipeline, labels: Path, flow: str, write: int
) -> None:
    statement = FLOWS[flow].format(history=str(pipeline.history), labels=str(labels))
    with pipeline.here():
        before = held(pipeline.settings)
        run(statement, pipeline.variables, killed_at=write)
        left = held(pipeline.settings)
        run(statement, pipeline.variables)
        after = held(pipeline.settings)
    made = {key: value for key, value in left.items() if before.get(key) != value}
    assert made.keys() <= after.keys()
    assert {key for key, value in made.items() if not _is_whole(value, after[key])} == set()
    assert after.keys() >= before.keys()


def _is_whole(left: Any, after: Any) -> bool:
    """A row as the next run leaves it; a page written to its end (it tells when it was made)."""
    return len(left) > 0.9 * len(after) if isinstance(left, bytes) else left == after


@pytest.mark.parametrize("write", [1, 2])
def test_a_killed_build_of_lagged_entities_is_finished_by_the_next_one_before_anybody_reads_it(
    resources: Settings, aws: Emulator, send: Send, write: int
) -> None:
    variables = aws.environment | resources.to_environment() | {"FRAUDLINE_CONTRACT": "cards"}
    send(payments(200, 0))
    run_slice(deps_of(resources, WORKER), Limits())
    statement = "from flows.materialize import *; materialize.fn(MaterializeRequest(now='2026-01-07T00:00:00Z'))"
    run(statement, variables, killed_at=write)
    assert not any(item["entity"].startswith("#built_through#") for item in table_items(resources.profiles_table))
    run(statement, variables)
    assert any(item["entity"].startswith("#built_through#") for item in table_items(resources.profiles_table))

"""A whole deployment with a real Prefect server: resources on the emulator, a landed history, a trained champion."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.base import PrefectHttpxSyncClient
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from fraudline.adapters.aws.clients import client
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.outgoing import outgoing
from fraudline.adapters.stream.producer import Producer
from fraudline.contract import load_contract
from fraudline.local.emulator import Emulator, environment_of
from fraudline.local.prefect_server import PrefectServer, running_prefect_server
from fraudline.local.processes import Process
from fraudline.local.resources import create_resources
from fraudline.settings import Settings
from fraudline.simulate import Population, simulate

DAYS = 45
POOL = "fraudline"
ROOT = Path(__file__).parents[2]


class Api:
    """A Prefect server's REST API, as the UI uses it, with the patience of Prefect's own clients.

    A server that is starved of time, or whose database is busy, is asked again.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = PrefectHttpxSyncClient(raise_on_all_errors=False, timeout=PREFECT_API_REQUEST_TIMEOUT.value())

    def post(self, path: str, body: object = None) -> Any:
        answer = self.try_post(path, body)
        assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def try_post(self, path: str, body: object = None) -> httpx.Response:
        return self._http.post(self.url + path, json={} if body is None else body)

    def get(self, path: str) -> Any:
        answer = self._http.get(self.url + path)
        assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """A flow's runs that have begun, the newest first."""
        begun = {"start_time": {"is_null_": False}}
        wanted = {"flows": {"name": {"any_": [flow]}}, "flow_runs": begun, "sort": "START_TIME_DESC", "limit": 50}
        found: list[dict[str, Any]] = self.post("/flow_runs/filter", wanted)
        return found

    def deployment(self, name: str) -> dict[str, Any]:
        """One that is named `flow/deployment`."""
        found: dict[str, Any] = self.get(f"/deployments/name/{name}")
        return found

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        """A run's artifacts by key."""
        found = self.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {artifact["key"]: artifact for artifact in found}

    def events(self, prefix: str) -> list[dict[str, Any]]:
        """What has happened, the newest first, of the kinds that begin with `prefix`."""
        since = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
        body = {"filter": {"event": {"prefix": [prefix]}, "occurred": {"since": since}}, "limit": 50}
        found: list[dict[str, Any]] = self.post("/events/filter", body)["events"]
        return found

    def await_events(self, prefix: str, resource: str = "") -> list[dict[str, Any]]:
        """Those of a resource whose id begins so, once there are any: an event is stored a while after it was sent."""
        deadline = time.monotonic() + 30
        while not (found := self._of(resource, prefix)) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert found, f"no event {prefix} of {resource or 'anything'} within 30 s"
        return found

    def _of(self, resource: str, prefix: str) -> list[dict[str, Any]]:
        found = self.events(prefix)
        return [event for event in found if event["resource"]["prefect.resource.id"].startswith(resource)]


@dataclass(frozen=True)
class Pipeline:
    """A deployment that has landed a history of `DAYS` days up to yesterday, and has trained on it."""

    settings: Settings
    variables: Mapping[str, str]
    api: Api
    history: Path
    result: Any

    @contextmanager
    def here(self) -> Iterator[None]:
        """This process is part of the deployment: flows that it calls are recorded as runs."""
        with (
            environment_of(self.variables),
            temporary_settings({PREFECT_API_URL: self.api.url, PREFECT_LOGGING_LEVEL: "INFO"}),
        ):
            try:
                yield
            finally:
                # Prefect keeps one connection for events, whatever server the settings come to name: the next server's
                # events would go to this one.
                EventsWorker.drain_all()

    @contextmanager
    def worker(self, log: Path) -> Iterator[Process]:
        """A process worker of the pool that looks for work every second."""
        environment = {**os.environ, **self.variables, "PREFECT_WORKER_QUERY_SECONDS": "1"}
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        with Process("the worker", command, environment, log) as process:
            yield process

    def send(self, count: int, first_id: str) -> None:
        """New transactions to the stream, copied from the history under ids of their own."""
        contract = load_contract(self.settings.contract)
        records = []
        for number, record in zip(range(count), outgoing(contract, self.history), strict=False):
            data = record.data.replace(b'"transaction_id":"', b'"transaction_id":"%b%d-' % (first_id.encode(), number))
            records.append(record._replace(data=data))
        Producer(client("kinesis"), self.settings.stream).send(records)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One for the whole session, which looks for due schedules every few seconds instead of every minute."""
    with (
        environment_of({"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5"}),
        running_prefect_server(tmp_path_factory.mktemp("prefect")) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def pipeline(emulator: Emulator, prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Trained by one `retrain` run whose request says nothing."""
    history = tmp_path_factory.mktemp("history") / "history.csv"
    start = datetime.now(UTC).date() - timedelta(days=DAYS)
    simulate(Population(users=150, start=start, days=DAYS, fraud_rate=0.04, seed=0)).to_csv(history, index=False)
    prefix = f"p{uuid.uuid4().hex[:10]}"
    names = Settings.model_construct().model_dump(exclude={"contract", "consumer"}, exclude_none=True)
    own = {field: f"{prefix}-{name.removeprefix('fraudline-')}" for field, name in names.items()}
    with environment_of(emulator.environment):
        settings = create_resources(Settings(**own), shards=2)
    variables = emulator.environment | prefect_server.environment | settings.to_environment()
    made = Pipeline(settings, variables, Api(prefect_server.api), history, None)
    with made.here():
        from flows.retrain import RetrainRequest, retrain

        open_objects(f"s3://{settings.landing_bucket}").put("files/history.csv", history.read_bytes())
        result = retrain(RetrainRequest())
    return Pipeline(settings, variables, made.api, history, result)


@pytest.fixture
def here(pipeline: Pipeline) -> Iterator[Pipeline]:
    """The pipeline, with this process as a part of it."""
    with pipeline.here():
        yield pipeline


@pytest.fixture(scope="session")
def deployed(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """All of prefect.yaml deployed from a copy of what git keeps; nothing runs without a worker."""
    clone = tmp_path_factory.mktemp("clone")
    kept = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, kept.decode().split("\0")):
        # What somebody has just deleted is still in the index.
        with contextlib.suppress(FileNotFoundError):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    deploy_all(pipeline.variables, clone)
    return pipeline


def deploy_all(variables: Mapping[str, str], folder: Path) -> None:
    """A pool, and all of the folder's prefect.yaml in it."""
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    environment = {**os.environ, **variables}
    for command in (["work-pool", "create", POOL, "--type", "process"], ["deploy", "--all"]):
        done = subprocess.run([*prefect, *command], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

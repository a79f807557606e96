"""Engines, workers and servers killed in the middle of the work: what the UI shows, and what the next run does."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraudline.adapters.automations import apply
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.errors import BadInput
from fraudline.local.prefect_server import running_prefect_server
from fraudline.local.processes import choose_port
from tests.stream.storage import accounts, balances, table_items
from tests.support.pipeline import ROOT, Api, Pipeline, deploy_all

pytestmark = pytest.mark.long

RECORDS = 5_000
PATIENCE = 240.0


@pytest.fixture
def quiet(deployed: Pipeline) -> Iterator[Pipeline]:
    """The deployment, in which nothing runs but what the test begins."""
    with quieted(deployed.api):
        yield deployed


@pytest.fixture
def working(quiet: Pipeline, tmp_path: Path) -> Iterator[Pipeline]:
    """The same with a worker."""
    with quiet.worker(tmp_path / "worker.log"):
        yield quiet


@contextmanager
def quieted(api: Api) -> Iterator[None]:
    """No schedule starts a run meanwhile: one that comes due would have the test's own cancelled by the limit."""
    paths = [f"/deployments/{deployment['id']}" for deployment in api.post("/deployments/filter")]
    for path in paths:
        assert api.try_post(f"{path}/pause_deployment").is_success
    yield
    for path in paths:
        assert api.try_post(f"{path}/resume_deployment").is_success


def wait_for(what: Callable[[], Any], sentence: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{sentence} within {PATIENCE} s")


def begin(working: Pipeline, deployment: str) -> str:
    made = working.api.deployment(deployment)
    run: str = working.api.post(f"/deployments/{made['id']}/create_flow_run", {"parameters": {"request": {}}})["id"]
    return run


def ended(working: Pipeline, run: str) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        found: dict[str, Any] = working.api.get(f"/flow_runs/{run}")["state"]
        return found if found["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    found: dict[str, Any] = wait_for(state, "the run has not ended")
    return found


def kill(working: Pipeline, run: str) -> None:
    """The engine's process, as the out-of-memory killer would."""
    pid = int(working.api.get(f"/flow_runs/{run}")["infrastructure_pid"].rpartition(":")[2])
    os.kill(pid, signal.SIGKILL)


def test_a_stream_run_killed_between_batches_is_shown_as_crashed_and_the_next_one_loses_nothing_and_doubles_nothing(
    working: Pipeline,
) -> None:
    settings = working.settings
    with working.here():
        working.send(RECORDS, "crash-")
        landing = open_objects(f"s3://{settings.landing_bucket}")
        before = sum(1 for _ in landing.list("archive/"))
        run = begin(working, "score-stream/every-5-minutes")
        wait_for(lambda: sum(1 for _ in landing.list("archive/")) > before, "no batch was archived")
        kill(working, run)
        scored = sum(item["transaction_id"].startswith("crash-") for item in _decisions(working))
        state = ended(working, run)
        assert state["type"] == "CRASHED"
        assert scored < RECORDS, "it was too quick to be killed in the middle"

        assert ended(working, begin(working, "score-stream/every-5-minutes"))["type"] == "COMPLETED"
        ids = [item["transaction_id"] for item in _decisions(working)]
        assert len({id_ for id_ in ids if id_.startswith("crash-")}) == RECORDS
        assert len(ids) == len(set(ids))
        found = accounts(working.settings)
        assert all(map(balances, found))
        assert sum(account.scored for account in found) == len(ids)


def test_a_retrain_killed_in_the_middle_leaves_the_champion_and_the_next_one_makes_the_version_it_would_have_made(
    working: Pipeline,
) -> None:
    with working.here():
        registry = Registry(open_objects(f"s3://{working.settings.models_bucket}"), "ecommerce")
        champion, versions, number = registry.champion(), registry.versions(), registry.next_number()
        run = begin(working, "retrain/weekly")
        wait_for(lambda: _is_measuring(working, run), "no candidate was measured")
        kill(working, run)
        assert ended(working, run)["type"] == "CRASHED"
        assert (registry.champion(), registry.versions(), registry.next_number()) == (champion, versions, number)

        assert ended(working, begin(working, "retrain/weekly"))["type"] == "COMPLETED"
        assert registry.next_number() == number + 1


def test_a_run_whose_worker_died_with_it_is_called_crashed_and_the_next_worker_goes_on(
    quiet: Pipeline, tmp_path: Path
) -> None:
    def heartbeats(run: str) -> bool:
        found = quiet.api.events("prefect.flow-run.heartbeat")
        return any(run in event["resource"]["prefect.resource.id"] for event in found)

    def state(run: str) -> dict[str, Any]:
        found: dict[str, Any] = quiet.api.get(f"/flow_runs/{run}")["state"]
        return found

    with quiet.here():
        apply("http://127.0.0.1:9/nobody")
        with quiet.worker(tmp_path / "first.log") as worker:
            run = begin(quiet, "retrain/weekly")
            wait_for(lambda: heartbeats(run), "no heartbeat was heard")
            # A run has a session of its own: it would go on without its worker.
            os.killpg(worker.pid, signal.SIGKILL)
            kill(quiet, run)
        assert state(run)["type"] == "RUNNING"
        wait_for(lambda: state(run)["type"] == "CRASHED", "silence was not noticed")
        assert "died without a word" in state(run)["message"]
        with quiet.worker(tmp_path / "second.log"):
            assert ended(quiet, begin(quiet, "retrain/weekly"))["type"] == "COMPLETED"


class Unsteady:
    """The pipeline with a Prefect server of its own, which may be killed and started again."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self._folder = folder
        # Below those that the system gives to clients: one of them could take it while the server is away.
        self._port = choose_port(random.randrange(20_000, 30_000))
        self._server = ExitStack()
        self.start()
        own = pipeline.variables | self._environment
        self.pipeline = replace(pipeline, variables=own, api=Api(self._environment["PREFECT_API_URL"]))
        deploy_all(own, ROOT)
        with self.pipeline.here():
            apply("http://127.0.0.1:9/nobody")

    def start(self) -> None:
        server = self._server.enter_context(running_prefect_server(self._folder, self._port))
        self._process, self._environment = server.process, server.environment

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # The kernel takes a moment to bury what listened.
        wait_for(self._port_is_free, "the server still listens")

    def _port_is_free(self) -> bool:
        try:
            return choose_port(self._port) == self._port
        except BadInput:
            return False

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def unsteady(pipeline: Pipeline, tmp_path: Path) -> Iterator[Unsteady]:
    """With a worker, which outlives the server."""
    made = Unsteady(pipeline, tmp_path / "server")
    try:
        with quieted(made.pipeline.api), made.pipeline.worker(tmp_path / "worker.log"):
            yield made
    finally:
        made.close()


def engine(working: Pipeline, run: str) -> int:
    """The process id of a run's engine."""
    return int(working.api.get(f"/flow_runs/{run}")["infrastructure_pid"].rpartition(":")[2])


def test_a_stream_run_goes_on_without_its_server_and_is_completed_when_that_is_back(unsteady: Unsteady) -> None:
    working = unsteady.pipeline
    with working.here():
        working.send(RECORDS, "server-")
        landing = open_objects(f"s3://{working.settings.landing_bucket}")
        before = sum(1 for _ in landing.list("archive/"))
        run = begin(working, "score-stream/every-5-minutes")
        wait_for(lambda: sum(1 for _ in landing.list("archive/")) > before, "no batch was archived")
        unsteady.kill()
        wait_for(lambda: _count(working, "server-") == RECORDS, "scoring has not gone on")
        unsteady.start()
        assert ended(working, run)["type"] == "COMPLETED"
        _nothing_is_lost_or_doubled(working, "server-")
        assert ended(working, begin(working, "score-stream/every-5-minutes"))["type"] == "COMPLETED"


def test_a_retrain_goes_on_without_its_server_and_is_completed_when_that_is_back(unsteady: Unsteady) -> None:
    working = unsteady.pipeline
    with working.here():
        registry = Registry(open_objects(f"s3://{working.settings.models_bucket}"), "ecommerce")
        number = registry.next_number()
        run = begin(working, "retrain/weekly")
        wait_for(lambda: _is_measuring(working, run), "no candidate was measured")
        unsteady.kill()
        unsteady.start()
        assert ended(working, run)["type"] == "COMPLETED"
        assert registry.next_number() == number + 1


def test_a_run_whose_server_stays_away_has_done_its_work_is_called_crashed_and_followed_by_the_next(
    unsteady: Unsteady,
) -> None:
    working = unsteady.pipeline
    with working.here():
        working.send(RECORDS, "away-")
        landing = open_objects(f"s3://{working.settings.landing_bucket}")
        before = sum(1 for _ in landing.list("archive/"))
        run = begin(working, "score-stream/every-5-minutes")
        wait_for(lambda: sum(1 for _ in landing.list("archive/")) > before, "no batch was archived")
        pid = engine(working, run)
        unsteady.kill()
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the engine waits for its server for ever")
        unsteady.start()
        assert ended(working, run)["type"] == "CRASHED"
        _nothing_is_lost_or_doubled(working, "away-")
        assert ended(working, begin(working, "score-stream/every-5-minutes"))["type"] == "COMPLETED"


def _count(working: Pipeline, first: str) -> int:
    return sum(item["transaction_id"].startswith(first) for item in _decisions(working))


def _nothing_is_lost_or_doubled(working: Pipeline, first: str) -> None:
    ids = [item["transaction_id"] for item in _decisions(working)]
    assert len({id_ for id_ in ids if id_.startswith(first)}) == RECORDS
    assert len(ids) == len(set(ids))
    found = accounts(working.settings)
    assert all(map(balances, found))
    assert sum(account.scored for account in found) == len(ids)


def _decisions(working: Pipeline) -> list[dict[str, Any]]:
    return [item for item in table_items(working.settings.decisions_table) if item["origin"] == "stream"]


def _is_measuring(working: Pipeline, run: str) -> bool:
    tasks = working.api.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return any(task["name"].startswith("measure") and task["state"]["type"] == "RUNNING" for task in tasks)

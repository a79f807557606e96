"""prefect.yaml: what it deploys from a fresh clone to a fresh server, and that a schedule really starts a run."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.data_quality import DataQualityRequest
from tests.support.pipeline import POOL, ROOT, Pipeline

DECLARED = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
NAMES = {f"{d['entrypoint'].rpartition(':')[2].replace('_', '-')}/{d['name']}" for d in DECLARED}


def test_everything_is_deployed_with_a_description_tags_a_limit_and_the_pool(deployed: Pipeline) -> None:
    flows = {flow["id"]: flow["name"] for flow in deployed.api.post("/flows/filter")}
    found = {f"{flows[d['flow_id']]}/{d['name']}": d for d in deployed.api.post("/deployments/filter")}
    assert set(found) == NAMES
    for name, deployment in found.items():
        assert len(deployment["description"]) > 80, name
        assert "fraudline" in deployment["tags"], name
        assert deployment["global_concurrency_limit"]["limit"] == 1, name
        assert deployment["work_pool_name"] == POOL, name
        assert set(deployment["job_variables"]) - {"disk"} == {"cpu", "memory", "env"}, name


@pytest.mark.parametrize(
    ("name", "crons"),
    [
        ("retrain/weekly", ["0 3 * * 1"]),
        ("score-stream/every-5-minutes", ["*/5 * * * *"]),
        ("data-quality/stream", ["10 * * * *", "20 0 * * *", "30 0 * * *", "40 0 * * *"]),
        ("monitor/daily", ["30 4 * * *"]),
        ("forget/nightly", ["0 2 * * *"]),
        ("backfill/on-demand", []),
        ("warm-up/on-demand", []),
    ],
)
def test_schedules_are_active_and_told_in_a_time_zone(deployed: Pipeline, name: str, crons: list[str]) -> None:
    schedules = deployed.api.deployment(name)["schedules"]
    assert sorted(s["schedule"]["cron"] for s in schedules) == crons
    assert all(s["active"] and s["schedule"]["timezone"] == "UTC" for s in schedules)


def test_every_stage_that_a_deployment_has_is_judged_by_a_schedule_of_its_own(deployed: Pipeline) -> None:
    """A retrain judges its training set itself."""
    schedules = deployed.api.deployment("data-quality/stream")["schedules"]
    requests = [DataQualityRequest(**schedule["parameters"]["request"]) for schedule in schedules]
    judged = {(request.stage, request.window) for request in requests if request.stage != "labels"}
    assert judged == {("landed", "hour"), ("landed", "day"), ("decisions", "day")}
    assert [request.stage for request in requests].count("labels") == 1


def test_every_field_of_every_form_says_what_it_is(deployed: Pipeline) -> None:
    for name in NAMES:
        definitions = deployed.api.deployment(name)["parameter_openapi_schema"]["definitions"]
        (request,) = (model for title, model in definitions.items() if title.endswith("Request"))
        fields = request["properties"]
        assert fields, name
        assert [field for field, told in fields.items() if len(told["description"]) <= 10] == [], name


@pytest.mark.parametrize(
    ("name", "request_", "named"),
    [
        ("retrain/weekly", {"as_of": "yesterday"}, "as_of"),
        ("retrain/weekly", {"seed": -1}, "seed"),
        ("backfill/on-demand", {"start": "2026-01-01"}, "end"),
        ("score-stream/every-5-minutes", {"seconds": 0}, "seconds"),
        ("score-stream/every-5-minutes", {"records": "many"}, "records"),
        ("data-quality/stream", {"window": "week"}, "window"),
    ],
)
def test_bad_parameters_are_refused_before_anything_runs(
    deployed: Pipeline, name: str, request_: dict[str, Any], named: str
) -> None:
    deployment = deployed.api.deployment(name)
    answer = deployed.api.try_post(
        f"/deployments/{deployment['id']}/create_flow_run", {"parameters": {"request": request_}}
    )
    assert answer.status_code == 409
    assert named in answer.text


def test_a_schedule_starts_a_run_on_a_worker_that_scores_what_waits(deployed: Pipeline, tmp_path: Path) -> None:
    """The server may be healthy and never create a scheduled run; nothing but waiting for one shows it."""
    with deployed.here():
        deployed.send(20, "scheduled-")
    before = {run["id"] for run in deployed.api.runs("score-stream")}
    deployment = deployed.api.deployment("score-stream/every-5-minutes")
    soon = {"schedule": {"interval": timedelta(seconds=20).total_seconds()}, "active": True}
    (added,) = deployed.api.post(f"/deployments/{deployment['id']}/schedules", [soon])
    try:
        with deployed.worker(tmp_path / "worker.log") as worker:
            run = _first_finished(deployed, before, seconds=150)
            assert worker.is_running()
    finally:
        deployed.api._http.delete(f"{deployed.api.url}/deployments/{deployment['id']}/schedules/{added['id']}")
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    assert run["auto_scheduled"] is True
    assert f"stream-{deployed.settings.stream}" in deployed.api.artifacts(run["id"])


def _first_finished(deployed: Pipeline, before: set[str], seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for run in deployed.api.runs("score-stream"):
            if run["id"] not in before and run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED"):
                return run
        time.sleep(1)
    raise AssertionError(f"no scheduled run has ended within {seconds} s")

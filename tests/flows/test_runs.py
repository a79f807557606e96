"""What a run shows to whoever looks at the Prefect UI in the morning."""

import base64
import json
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fraudline.adapters.registry import open_registry
from fraudline.errors import BadInput
from tests.realtime.bundles import bundle_files, version_of
from tests.support.pipeline import Pipeline


def trained(pipeline: Pipeline) -> dict[str, Any]:
    """The run that made the champion: the first of all."""
    return pipeline.api.runs("retrain")[-1]


def test_a_retrain_that_is_told_nothing_trains_on_all_that_has_landed_as_of_its_day(pipeline: Pipeline) -> None:
    today = datetime.now(UTC).date()
    run = trained(pipeline)
    assert run["name"] in {f"retrain-ecommerce-{day}" for day in (today, today - timedelta(days=1))}
    assert run["state"]["type"] == "COMPLETED"
    assert pipeline.result.decision.action == "promote"
    assert pipeline.result.rows == pipeline.result.valid > 5000


def test_a_form_with_a_day_that_is_still_to_come_trains_nothing() -> None:
    from flows.retrain import RetrainRequest, retrain

    with pytest.raises(BadInput, match="as of 2099-01-01"):
        retrain.fn(RetrainRequest(as_of=date(2099, 1, 1), transactions=["nothing-is-read.csv"]))


def test_a_run_is_found_by_contract_version_and_decision(pipeline: Pipeline) -> None:
    run = trained(pipeline)
    assert {"contract:ecommerce", f"version:{pipeline.result.version}", "decision:promote"} <= set(run["tags"])


def test_runs_that_look_after_the_data_are_found_by_their_contract_too(here: Pipeline) -> None:
    from flows.data_quality import DataQualityRequest, data_quality
    from flows.materialize import MaterializeRequest, materialize

    data_quality(DataQualityRequest(stage="labels"))
    materialize(MaterializeRequest())
    newest = [here.api.runs(flow)[0] for flow in ("data-quality", "materialize")]
    assert all("contract:ecommerce" in run["tags"] for run in newest)
    assert re.fullmatch(r"materialize-\d{4}-\d\d-\d\dT\d\d:\d\d", newest[1]["name"])


def test_every_step_of_a_retrain_is_a_task_run_with_a_name_that_says_what_it_does(pipeline: Pipeline) -> None:
    run = trained(pipeline)
    tasks = pipeline.api.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    names = {task["name"].rpartition("-")[0] or task["name"] for task in tasks}
    assert {"load all that has landed", "judge the training window", "decide", "publish"} <= names
    assert {"measure logistic", "measure logistic_smote"} <= {task["name"] for task in tasks}


def test_a_retrain_shows_its_gates_its_model_card_and_its_picture_under_keys_that_stay(pipeline: Pipeline) -> None:
    run = trained(pipeline)
    shown = pipeline.api.artifacts(run["id"])
    assert set(shown) == {"gates-ecommerce", "model-card-ecommerce", "evaluation-ecommerce"}
    assert {row["passed"] for row in json.loads(shown["gates-ecommerce"]["data"])} <= {"yes", "NO"}
    assert shown["model-card-ecommerce"]["data"].startswith("# Model card: ecommerce")
    assert {shown[key]["description"] for key in ("model-card-ecommerce", "evaluation-ecommerce")} == {
        pipeline.result.version
    }
    kind, _, picture = shown["evaluation-ecommerce"]["data"].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(picture).startswith(b"\x89PNG")


def test_a_promotion_is_an_event_that_names_the_version(pipeline: Pipeline) -> None:
    event = pipeline.api.await_events("fraudline.model.promoted")[-1]
    assert event["resource"]["prefect.resource.id"] == "fraudline.model.ecommerce"
    assert event["payload"]["version"] == pipeline.result.version


def test_a_rollback_by_a_person_is_an_event_too(here: Pipeline) -> None:
    location = f"s3://{here.settings.models_bucket}"
    registry, files = open_registry(location, "ecommerce"), bundle_files()
    registry.publish(version_of(files), files)
    registry.promote(version_of(files), "another one", {}, "a test", datetime.now(UTC))
    program = [Path(sys.executable).with_name("fraudline"), "models"]
    back = [*program, "rollback", "--reason", "a test of it", "--models", location]
    subprocess.run(back, check=True, capture_output=True)
    payload = here.api.await_events("fraudline.model.rolled_back")[0]["payload"]
    assert (payload["version"], payload["reason"]) == (here.result.version, "a test of it")


def test_a_backfill_shows_what_it_scored_day_by_day(here: Pipeline, tmp_path: Path) -> None:
    from flows.backfill import BackfillRequest, backfill

    end = datetime.now(UTC).date()
    start = end - timedelta(days=2)
    result = backfill(BackfillRequest(start=start, end=end, out=str(tmp_path / "out")))
    run = here.api.runs("backfill")[0]
    assert run["name"] == f"backfill-ecommerce-{start}"
    assert f"version:{here.result.version}" in run["tags"]
    rows = json.loads(here.api.artifacts(run["id"])["backfill-ecommerce"]["data"])
    assert [row["day"] for row in rows] == [str(start), str(start + timedelta(days=1))]
    assert sum(row["transactions"] for row in rows) == result.rows > 0


def test_a_slice_of_the_stream_shows_what_became_of_each_shard(here: Pipeline) -> None:
    from flows.score_stream import ScoreStreamRequest, score_stream

    here.send(50, "shown-")
    report = score_stream(ScoreStreamRequest(seconds=60))
    run = here.api.runs("score-stream")[0]
    assert f"stream:{here.settings.stream}" in run["tags"]
    assert {f"shard:{drain.shard}" for drain in report.drains} <= set(run["tags"])
    rows = json.loads(here.api.artifacts(run["id"])[f"stream-{here.settings.stream}"]["data"])
    assert len(rows) == len(report.drains)
    queue = json.loads(here.api.artifacts(run["id"])["review-ecommerce"]["data"])
    losses = [row["expected loss"] for row in queue]
    assert losses == sorted(losses, reverse=True)
    assert sum(row["read"] for row in rows) == report.read >= 50


def test_a_flow_that_fails_says_so_with_the_sentence_a_person_can_act_on(here: Pipeline, tmp_path: Path) -> None:
    from flows.backfill import BackfillRequest, backfill
    from fraudline.errors import BadInput

    day = datetime.now(UTC).date()
    with pytest.raises(BadInput):
        backfill(BackfillRequest(start=day, end=day, out=str(tmp_path)))
    run = here.api.runs("backfill")[0]
    assert run["state"]["type"] == "FAILED"
    assert "swap them" in run["state"]["message"]

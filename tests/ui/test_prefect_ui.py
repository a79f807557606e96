"""The Prefect UI as people open it in the morning, in a real browser: runs, a retrain's artifacts, the backfill form.

Screenshots are kept below `out/screenshots` (or where FRAUDLINE_SCREENSHOTS says); docs/images has those of a stack
that `fraudline up` has run for a while.
"""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.pipeline import Pipeline
from tests.ui.chromium import program
from tests.ui.live import LivePage, labelled, live_page

SCREENSHOTS = Path(os.environ.get("FRAUDLINE_SCREENSHOTS", "out/screenshots"))


@pytest.fixture(scope="module")
def page() -> Iterator[LivePage]:
    browser = program()
    if browser is None:
        pytest.skip("NO BROWSER TESTS RUN HERE: there is no Chromium; install the package chromium")
    with live_page(browser) as opened:
        yield opened


def keep(page: LivePage, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"{name}.png").write_bytes(page.screenshot())


def ui(pipeline: Pipeline) -> str:
    return pipeline.api.url.removesuffix("/api")


def test_the_runs_page_says_what_ran_and_asks_nothing_of_the_internet(page: LivePage, deployed: Pipeline) -> None:
    page.go(f"{ui(deployed)}/runs")
    page.wait_for_text(deployed.api.runs("retrain")[-1]["name"])
    assert page.strangers() == []
    keep(page, "prefect-runs")


def test_a_retrain_shows_its_decision_in_tags_and_its_artifacts_along_its_steps(
    page: LivePage, deployed: Pipeline
) -> None:
    run = deployed.api.runs("retrain")[-1]
    page.go(f"{ui(deployed)}/runs/flow-run/{run['id']}")
    for text in (run["name"], "decision:promote", f"version:{deployed.result.version}", "Completed"):
        page.wait_for_text(text)
    keys = ["GATES-ECOMMERCE", "MODEL-CARD-ECOMMERCE", "EVALUATION-ECOMMERCE"]
    shown = f"{keys}.every(key => document.body.innerText.toUpperCase().includes(key))"
    page.until(shown, lambda: page.click(labelled("Artifacts")))
    keep(page, "prefect-retrain")


def test_the_evaluation_picture_is_shown_as_a_picture(page: LivePage, deployed: Pipeline) -> None:
    run = deployed.api.runs("retrain")[-1]
    artifact = deployed.api.artifacts(run["id"])["evaluation-ecommerce"]
    page.go(f"{ui(deployed)}/artifacts/artifact/{artifact['id']}")
    page.wait("[...document.querySelectorAll('img')].some(i => i.src.startsWith('data:') && i.naturalWidth > 1000)")
    keep(page, "prefect-evaluation")


def test_the_backfill_form_filled_and_submitted_makes_a_run_with_what_was_filled_in(
    page: LivePage, deployed: Pipeline
) -> None:
    deployment = deployed.api.deployment("backfill/on-demand")
    end = datetime.now(UTC).date()
    start = end - timedelta(days=3)
    page.go(f"{ui(deployed)}/deployments/deployment/{deployment['id']}/run")
    page.wait_for_text("The day after the last one to score")

    def fill_and_submit() -> None:
        for field, day in enumerate((start, end)):
            page.fill(f"document.querySelectorAll('input[type=date]')[{field}]", str(day))
        keep(page, "prefect-backfill-form")
        page.click(labelled("Submit", "button"))

    page.until("!location.pathname.endsWith('/run')", fill_and_submit)
    made = _run_of(deployed, deployment["id"])
    assert made["parameters"]["request"]["start"] == str(start)
    assert made["parameters"]["request"]["end"] == str(end)
    assert made["parameters"]["request"]["model"] == "champion"


def test_a_backfills_progress_is_shown_with_how_fast_it_goes(
    page: LivePage, deployed: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.backfill import BackfillRequest, backfill

    # What is worked in memory is over before anybody could look.
    monkeypatch.setattr("tasks.backfilling.is_large", lambda paths: True)
    end = datetime.now(UTC).date()
    start, history = end - timedelta(days=3), str(deployed.history)
    with deployed.here():
        backfill(BackfillRequest(transactions=[history], start=start, end=end, out=str(tmp_path / "out")))
    run = deployed.api.runs("backfill")[0]
    artifact = deployed.api.artifacts(run["id"])["backfill-progress-ecommerce"]
    page.go(f"{ui(deployed)}/artifacts/artifact/{artifact['id']}")
    page.wait_for_text("100%")
    page.wait_for_text("a second")
    keep(page, "prefect-backfill-progress")


def test_a_backfill_form_with_a_day_missing_stays_where_it_is(page: LivePage, deployed: Pipeline) -> None:
    deployment = deployed.api.deployment("backfill/on-demand")
    before = len(_runs_of(deployed, deployment["id"]))
    page.go(f"{ui(deployed)}/deployments/deployment/{deployment['id']}/run")
    page.wait_for_text("The day after the last one to score")
    page.fill("document.querySelectorAll('input[type=date]')[0]", "2026-01-01")
    page.until("/required|must/i.test(document.body.innerText)", lambda: page.click(labelled("Submit", "button")))
    assert len(_runs_of(deployed, deployment["id"])) == before


def _runs_of(deployed: Pipeline, deployment: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deployed.api.post(
        "/flow_runs/filter", {"deployments": {"id": {"any_": [deployment]}}}
    )
    return found


def _run_of(deployed: Pipeline, deployment: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if made := _runs_of(deployed, deployment):
            return made[0]
        time.sleep(0.5)
    raise AssertionError("submitting the form has made no run")

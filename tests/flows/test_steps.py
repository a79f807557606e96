"""Steps: tasks inside a flow run and plain functions elsewhere, tried again only where another try may help."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.artifacts import update_progress_artifact
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from fraudline.adapters.stream.draining import CAUGHT_UP, EXPIRED, STUCK, DrainReport
from fraudline.errors import BadInput, FraudlineError, LostRace, NotReady, Tampered, Unavailable
from fraudline.local.emulator import environment_of
from fraudline.local.orchestration import last_runs
from fraudline.local.prefect_server import PrefectServer
from tasks import meter as meters
from tasks import streaming
from tasks.progress import listening, say
from tasks.steps import in_flow_run, step
from tests.support.pipeline import Api


@pytest.fixture
def api(prefect_server: PrefectServer) -> Iterator[Api]:
    """Flows that the test calls are recorded by the server."""
    with (
        environment_of(prefect_server.environment),
        temporary_settings({PREFECT_API_URL: prefect_server.api, PREFECT_LOGGING_LEVEL: "INFO"}),
    ):
        try:
            yield Api(prefect_server.api)
        finally:
            EventsWorker.drain_all()


def failing(error: type[FraudlineError], tried: list[bool]) -> Any:
    @step(name="fail", retries=2, retry_delay_seconds=0)
    def fail() -> None:
        tried.append(in_flow_run())
        raise error("no good")

    return fail


@pytest.mark.parametrize(
    ("error", "times"), [(Unavailable, 3), (LostRace, 3), (BadInput, 1), (NotReady, 1), (Tampered, 1)]
)
def test_a_step_is_tried_again_where_that_may_help_and_nowhere_else(
    api: Api, error: type[FraudlineError], times: int
) -> None:
    tried: list[bool] = []
    fail = failing(error, tried)

    @flow(name="trying")
    def trying() -> None:
        fail()

    with pytest.raises(error):
        trying()
    assert tried == [True] * times


def test_without_a_flow_run_a_step_is_the_function_it_was_made_of() -> None:
    tried: list[bool] = []
    with pytest.raises(Unavailable):
        failing(Unavailable, tried)()
    assert tried == [False]


def test_what_is_said_goes_to_whoever_listens_and_else_to_the_runs_log(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    @flow(name="saying")
    def saying() -> None:
        say("into the log")
        with listening(heard.append):
            say("to somebody")
        say("into the log, too")

    saying()
    say("to nobody")
    assert heard == ["to somebody"]
    told = [record.getMessage() for record in caplog.records if record.name == "prefect.flow_runs"]
    assert [sentence for sentence in told if sentence.startswith(("into", "to "))] == [
        "into the log",
        "into the log, too",
    ]


def test_a_shard_that_somebody_must_look_at_is_an_event_and_all_are_rows_of_a_table(api: Api, unique: str) -> None:
    fine = DrainReport("shard-2", CAUGHT_UP, read=3, scored=1, duplicates=1, quarantined={"not_json": 1})
    odd = DrainReport("shard-1", CAUGHT_UP, lag_seconds=400.04, flags=(EXPIRED, STUCK))

    @flow(name=f"telling-{unique}")
    def telling() -> None:
        streaming._tell_of(unique, [fine, odd])

    telling()
    resource = f"fraudline.stream.{unique}"
    told = api.await_events("fraudline.stream.flagged", resource)
    assert [(event["resource"]["prefect.resource.id"], event["payload"]) for event in told] == [
        (f"{resource}.shard-1", {"shard": "shard-1", "flags": [EXPIRED, STUCK], "lag_seconds": 400.04})
    ]
    rows = streaming.drain_rows([fine, odd])
    assert [row["shard"] for row in rows] == ["shard-1", "shard-2"]
    assert (rows[0]["look at"], rows[0]["lag (s)"], rows[1]["quarantined"]) == (f"{EXPIRED}, {STUCK}", 400.0, 1)
    assert f"stream-{unique}" in api.artifacts(api.runs(f"telling-{unique}")[0]["id"])


def test_of_each_flow_the_last_run_is_told(api: Api, unique: str) -> None:
    @flow(name=f"again-{unique}")
    def again() -> None:
        """Nothing."""

    again()
    again()
    last, first = (run["name"] for run in api.runs(f"again-{unique}"))
    told = {run["run"]: run["state"] for run in last_runs()}
    assert told[last] == "Completed"
    assert first not in told


def test_progress_is_told_at_the_beginning_and_the_end_of_a_stage_and_seldom_between(
    api: Api, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meters, "ARTIFACT_SECONDS", 60.0)
    told, heard = list[float](), list[tuple[str, int, int]]()

    def note(artifact: UUID, percent: float, sentence: str) -> object:
        told.append(percent)
        return update_progress_artifact(artifact, percent, sentence)

    def work() -> None:
        tell = meters.meter(f"progress-{unique}")
        for step_ in (("Read", 5, 10), ("Read", 6, 10), ("Read", 10, 10), ("Sorted", 1, 4), ("Sorted", 2, 4)):
            tell(*step_)

    monkeypatch.setattr(meters, "update_progress_artifact", note)
    with meters.metering(lambda *said: heard.append(said)):
        flow(name=f"metered-{unique}")(work)()
        assert len(heard) == 5
        work()
    work()
    assert len(heard) == 10
    assert told == [50.0, 100.0, 25.0]
    artifact = api.artifacts(api.runs(f"metered-{unique}")[0]["id"])[f"progress-{unique}"]
    assert float(artifact["data"]) == 25.0
    assert artifact["description"].startswith("Sorted 1 of 4")

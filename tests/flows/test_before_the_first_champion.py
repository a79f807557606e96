"""A stream run that is due before there is any model: nothing to do yet, unless a model has been lost."""

import uuid

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.errors import NotReady
from fraudline.local.resources import create_bucket
from tests.support.pipeline import Pipeline


@pytest.fixture
def scheduled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid.uuid4()))


@pytest.fixture
def no_models(here: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline with an empty registry, as a consumer group that has scored nothing."""
    bucket = f"empty-{uuid.uuid4().hex[:10]}"
    create_bucket(client("s3"), bucket)
    monkeypatch.setenv("FRAUDLINE_MODELS_BUCKET", bucket)
    monkeypatch.setenv("FRAUDLINE_CONSUMER", bucket)
    return here


def test_a_scheduled_run_before_the_first_champion_is_completed_and_says_that_it_had_nothing_to_do(
    no_models: Pipeline, scheduled: None
) -> None:
    from flows.score_stream import ScoreStreamRequest, score_stream

    score_stream(ScoreStreamRequest(seconds=1))
    run = no_models.api.runs("score-stream")[0]
    assert run["state"]["type"] == "COMPLETED"
    assert "before the first champion" in run["state"]["message"]
    assert "champion:none-yet" in run["tags"]


def test_a_run_by_hand_is_told_that_there_is_no_champion(no_models: Pipeline) -> None:
    from flows.score_stream import ScoreStreamRequest, score_stream

    with pytest.raises(NotReady, match="no champion yet"):
        score_stream(ScoreStreamRequest(seconds=1))


def test_a_scheduled_run_of_a_deployment_that_has_lost_its_champion_fails(
    no_models: Pipeline, scheduled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.score_stream import ScoreStreamRequest, score_stream

    with monkeypatch.context() as before_the_loss:
        before_the_loss.setenv("FRAUDLINE_MODELS_BUCKET", no_models.settings.models_bucket)
        score_stream(ScoreStreamRequest(seconds=1))
    with pytest.raises(NotReady, match="no champion yet"):
        score_stream(ScoreStreamRequest(seconds=1))
    assert no_models.api.runs("score-stream")[0]["state"]["type"] == "FAILED"

"""Commands beside a deployment: which one they mean, and what a person sees when a recorded run goes wrong."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudline.local.emulator import Emulator
from fraudline.local.stack import Running, _state
from fraudline.settings import Settings
from tests.cli.conftest import Shop
from tests.support.command import Person
from tests.support.pipeline import Pipeline


@pytest.fixture
def beside_a_stack(person: Person, aws: Emulator, resources: Settings) -> Iterator[Person]:
    """Somebody in the folder of a stack that runs, whose shell knows nothing of it."""
    with _state(person.folder / "out" / "stack") as tell:
        tell(Running(os.getpid(), "http://127.0.0.1:1", aws.environment | resources.to_environment()))
        yield person


@pytest.mark.parametrize(
    "command",
    [
        ("quarantine", "list"),
        ("labels", "apply", "labels.csv"),
        ("materialize",),
        ("send", "-t", "tx.jsonl"),
        ("review",),
    ],
)
def test_a_command_of_a_deployment_works_on_the_stack_that_runs_here(
    command: tuple[str, ...], beside_a_stack: Person
) -> None:
    (beside_a_stack.folder / "labels.csv").write_text("transaction_id,label,known_at\n")
    done = beside_a_stack.runs(*command)
    assert "Using the stack in out/stack" in done.err
    assert "credentials" not in done.err


def test_an_endpoint_of_one_service_that_the_shell_names_does_not_win_over_the_stack(beside_a_stack: Person) -> None:
    done = beside_a_stack.runs("quarantine", "list", AWS_ENDPOINT_URL_S3="http://127.0.0.1:1", AWS_PROFILE="production")
    assert (done.code, done.out) == (0, "Nothing is in quarantine.\n"), done.err


def test_the_contract_is_the_one_that_the_shell_is_pointed_at(person: Person) -> None:
    done = person.runs("models", "show", "--models", "models", FRAUDLINE_CONTRACT="cards")
    assert done.sentence.startswith("no champion yet for contract 'cards'")
    named = person.runs("models", "show", "--models", "models", "-c", "ecommerce", FRAUDLINE_CONTRACT="cards")
    assert named.code == 0, named.err


def test_automations_are_not_given_to_a_server_that_ends_with_the_command(person: Person) -> None:
    done = person.runs("automations", "--sns")
    assert done.code == 3
    assert done.sentence == "no Prefect server is named: set PREFECT_API_URL, or start one with `fraudline up`"


def test_a_prefect_server_that_is_not_there_is_a_service_that_cannot_be_used(person: Person, shop: Shop) -> None:
    arguments = ("retrain", "-t", "tx.csv", "--as-of", "2026-02-18", "--models", "new")
    done = person.runs(*arguments, PREFECT_API_URL="http://127.0.0.1:1/api")
    assert done.code == 5
    assert "unset PREFECT_API_URL" in done.sentence


def test_an_error_of_ours_is_a_sentence_here_has_no_second_try_and_its_traceback_is_in_the_runs_log(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    done = Person(tmp_path, tmp_path).runs("score-stream", "--model", "nope", **pipeline.variables)
    assert done.code == 2
    assert done.sentence.startswith("no version 'nope' in s3://")
    assert "Retry" not in done.err
    (run,) = [run for run in pipeline.api.runs("score-stream") if run["name"] == "score-stream-nope"]
    logs = pipeline.api.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert any("Traceback" in log["message"] for log in logs)

"""Commands beside a deployment: which one they mean, and what a person sees when a recorded run goes wrong."""

import json
import os
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.adapters.storage.objects import open_objects
from fraudline.local.emulator import Emulator
from fraudline.local.stack import Running, _state
from fraudline.quarantine import Reject, encode_rejects
from fraudline.settings import Settings
from fraudline.transactions.transaction import Problem
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


@pytest.fixture
def beside_a_stack_of_cards(person: Person, aws: Emulator, resources: Settings) -> Iterator[Person]:
    with _state(person.folder / "out" / "stack") as tell:
        variables = aws.environment | resources.to_environment() | {"FRAUDLINE_CONTRACT": "cards"}
        tell(Running(os.getpid(), "http://127.0.0.1:1", variables))
        yield person


@pytest.mark.parametrize(
    "command",
    [
        ("backfill", "--start", "2026-02-14", "--end", "2026-02-16", "--name", "again"),
        ("models", "show", "--models", "s3://{bucket}"),
    ],
)
def test_beside_a_stack_the_contract_is_that_of_the_stack(
    command: tuple[str, ...], beside_a_stack_of_cards: Person, resources: Settings
) -> None:
    words = [word.format(bucket=resources.models_bucket) for word in command]
    done = beside_a_stack_of_cards.runs(*words)
    assert (done.code, done.sentence.partition(" in ")[0]) == (3, "no champion yet for contract 'cards'")
    named = beside_a_stack_of_cards.runs(*words, "--contract", "ecommerce")
    assert "'cards'" not in named.err


def test_records_are_sent_by_the_contract_of_the_stack(beside_a_stack_of_cards: Person, resources: Settings) -> None:
    row = "1,2026-01-31T10:00:00Z,7,3,12.5"
    columns = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT"
    (beside_a_stack_of_cards.folder / "cards.csv").write_text(f"{columns}\n{row}\n")
    assert beside_a_stack_of_cards.runs("send", "-t", "cards.csv", "--json").json["records"] == 1
    (record,) = _records(resources.stream)
    assert (record["PartitionKey"], json.loads(record["Data"])["TX_AMOUNT"]) == ("7", 12.5)


def _records(stream: str) -> list[dict[str, Any]]:
    """All of a stream, shard by shard."""
    kinesis = client("kinesis")
    first = [
        kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
        for shard in kinesis.list_shards(StreamName=stream)["Shards"]
    ]
    return [r for at in first for r in kinesis.get_records(ShardIterator=at["ShardIterator"])["Records"]]


def test_a_redrive_of_a_day_judges_by_the_contract_of_the_stack_and_sends_each_record_once(
    person: Person, aws: Emulator, resources: Settings
) -> None:
    record = {"TRANSACTION_ID": 1, "TX_DATETIME": "2026-01-31T10:00:00Z", "CUSTOMER_ID": 7, "TERMINAL_ID": 3}
    paid, torn = (json.dumps({**record, "TX_AMOUNT": amount}).encode() for amount in (12.5, "a lot"))
    quarantine = open_objects(f"s3://{resources.quarantine_bucket}")
    for number, data in enumerate((paid, torn)):
        reject = Reject(f"{number}#s", "s", 0, "7", (Problem("", "wrong_shard", ""),), b64encode(data).decode())
        quarantine.put(f"stream/2026-01-31/s/{number}-{number}.jsonl", encode_rejects([reject]))
    with _state(person.folder / "out" / "stack") as tell:
        variables = aws.environment | resources.to_environment() | {"FRAUDLINE_CONTRACT": "cards"}
        tell(Running(os.getpid(), "http://127.0.0.1:1", variables))
        for sent in (1, 0):
            told = person.runs("quarantine", "redrive", "stream/2026-01-31", "--json").json
            assert told == {"sent": sent, "sent_before": 1 - sent, "refused": {"amount_not_a_number": 1}}
        nothing = person.runs("quarantine", "redrive", "stream/2026-02-01")
        assert (nothing.code, nothing.sentence.partition(":")[0]) == (
            2, "no object's key begins with 'stream/2026-02-01'"
        )  # fmt: skip


def test_a_quarantine_that_is_not_there_is_not_an_empty_one(person: Person) -> None:
    done = person.runs("quarantine", "list", "--at", "nowhere")
    assert (done.code, done.sentence.partition(":")[0]) == (2, "there is no folder nowhere")


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

"""What `fraudline status` says of a deployment whose parts are not all there."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.registry import open_registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.decisions import Decisions
from fraudline.adapters.tables.labels import Labels
from fraudline.contract import load_contract
from fraudline.decision import Decision
from fraudline.labels import Verdict
from fraudline.local.status import status
from fraudline.settings import Settings
from tests.stream.events import clean_events
from tests.stream.worker import Orders, deps_of

NOW = time.time_ns() // 1000
MISSING = ["the Prefect server is not there", "the worker is not there", "the deployments are not there"]


@pytest.fixture(autouse=True)
def no_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")


def alert(number: int) -> Decision:
    return Decision(
        f"T{number}", "stream", 0.9, True, 0.5, "v1", ("r",), NOW + number, NOW + number, {"user": "U1"}, 10_000,
        b"\0" * 8, f"p{number}", "", NOW, b"\0" * 8,
    )  # fmt: skip


def test_without_a_prefect_server_it_tells_what_aws_knows(resources: Settings) -> None:
    told = status(resources)
    assert told["parts"] == {"Prefect server": False, "worker": False, "deployments": False, "AWS": True}
    assert (told["healthy"], told["problems"], told["runs"]) == (False, MISSING, [])
    assert told["champion"] is None
    assert [(lag["lag_seconds"], lag["owner"]) for lag in told["shards"]] == [(0.0, "")] * 4
    assert set(told["waiting"].values()) == {0}


def test_what_waits_for_people_is_what_has_no_verdict_yet(resources: Settings) -> None:
    dynamodb, contract = DynamoDB(AwsJson("dynamodb")), load_contract("ecommerce")
    Decisions(dynamodb, resources.decisions_table, contract).write([alert(n) for n in range(3)], within(30))
    Labels(dynamodb, resources.labels_table).add("T1", Verdict(1, NOW, "ann"), within(30))
    quarantine, today = open_objects(f"s3://{resources.quarantine_bucket}"), datetime.now(UTC).date().isoformat()
    for day, number in ((today, 1), (today, 2), ("2020-01-01", 3)):
        quarantine.put(f"stream/{day}/s/{number}-{number}.jsonl", b"")
    assert status(resources)["waiting"] == {
        "batches with quarantined records": 2, "alerts": 3, "alerts to review": 2
    }  # fmt: skip


def test_the_champion_is_told(resources: Settings) -> None:
    registry = open_registry(f"s3://{resources.models_bucket}", "ecommerce")
    registry.publish("v1", {"manifest.json": b"{}"})
    registry.promote("v1", "first", {}, "ann", datetime.now(UTC))
    assert status(resources)["champion"] == "v1"


def test_a_shard_is_behind_by_what_nobody_has_read_and_told_with_who_holds_it(resources: Settings) -> None:
    """Whoever held it before its lease expired holds it no more."""
    Producer(client("kinesis"), resources.stream).send(clean_events(10, users=1))
    time.sleep(0.2)
    shards = status(resources)["shards"]
    assert [lag["shard"] for lag in shards] == sorted(lag["shard"] for lag in shards)
    (behind,) = (lag["shard"] for lag in shards if lag["lag_seconds"])
    deps = deps_of(resources, Orders("w"))
    run_slice(deps, Limits())
    assert {lag["lag_seconds"] for lag in status(resources)["shards"]} == {0.0}
    holder = deps_of(resources, Orders("holder", lease_seconds=600)).leases
    dead = deps_of(resources, Orders("dead", lease_seconds=0)).leases
    other = next(shard for shard in deps.leases.rows() if shard != behind)
    assert holder.acquire(deps.leases.rows()[behind])
    assert dead.acquire(deps.leases.rows()[other])
    assert {lag["shard"]: lag["owner"] for lag in status(resources)["shards"] if lag["owner"]} == {behind: "holder"}


def test_a_shard_that_is_read_to_its_end_has_no_lag(resources: Settings) -> None:
    leases = deps_of(resources, Orders("w")).leases
    run_slice(deps_of(resources, Orders("w")), Limits())
    row = next(iter(leases.rows().values()))
    taken = leases.acquire(row)
    assert taken is not None
    leases.renew(taken, closed=True)
    assert row.shard not in {lag["shard"] for lag in status(resources)["shards"]}
    assert len(status(resources)["shards"]) == 3


def test_one_thing_that_is_not_there_hides_nothing_of_the_others(resources: Settings) -> None:
    told = status(resources.model_copy(update={"stream": "no-such-stream"}))
    assert told["parts"]["AWS"] is False
    assert told["shards"] is None
    assert told["problems"][:3] == MISSING
    assert [problem.partition(":")[0] for problem in told["problems"][3:]] == [
        "stream 'no-such-stream' does not exist"
    ]  # fmt: skip
    assert told["waiting"]["alerts"] == 0


def test_without_credentials_one_sentence_answers_all(
    resources: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from fraudline.adapters.aws import clients

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(clients, "_session", boto3.session.Session())
    told = status(resources)
    assert (told["champion"], told["shards"], told["waiting"]) == (None, None, None)
    assert told["parts"]["AWS"] is False
    (problem,) = told["problems"][3:]
    assert problem.startswith("no AWS credentials for this deployment")

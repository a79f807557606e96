"""The packaged function on the emulator: invoked, asked over HTTP, subscribed to the stream."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from fraudline.adapters.aws_json import AwsJson
from fraudline.adapters.backoff import within
from fraudline.adapters.clients import client
from fraudline.adapters.decisions import Decisions
from fraudline.adapters.dynamodb import DynamoDB
from fraudline.adapters.objects import open_objects
from fraudline.adapters.profiles import Profiles
from fraudline.adapters.registry import Registry
from fraudline.decision import Decision
from fraudline.local.emulator import emulator_python
from fraudline.local.functions import Function, deploy, invoke, open_url, subscribe
from fraudline.profiles import ProfileChange, encode_history
from fraudline.realtime.decide import REALTIME, Decider, Stored
from fraudline.realtime.packaging import package_lambda
from fraudline.settings import Settings
from fraudline.transaction import Transaction
from tests.realtime.bundles import Files, population, version_of

SECONDS = 30.0


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The function without a model, for the interpreter the emulator runs it on."""
    report = package_lambda(tmp_path_factory.mktemp("package") / "function.zip", python=emulator_python())
    return report.path.read_bytes()


@pytest.fixture
def function(package: bytes, resources: Settings, files: Files, unique: str) -> Iterator[str]:
    """A deployed function that answers by the champion of its own registry."""
    registry = Registry(open_objects(f"s3://{resources.models_bucket}"), "ecommerce")
    registry.publish(version_of(files), files)
    registry.promote(version_of(files), "the first", {}, "test", datetime.now(UTC))
    name = f"{unique}-realtime"
    # A deadline no busy machine misses: what happens beyond it, test_profiles.py tells.
    environment = {**resources.to_environment(), "FRAUDLINE_PROFILE_DEADLINE_MS": "5000"}
    environment |= {"FRAUDLINE_RECORD_BUDGET_MS": "5000"}
    deploy(client("lambda"), Function(name, emulator_python(), environment), package)
    yield name
    client("lambda").delete_function(FunctionName=name)


def transaction_data(index: int = 5) -> dict[str, Any]:
    return dict(population()[index])


def decisions_of(resources: Settings, decider: Decider, *ids: str, origin: str = REALTIME) -> dict[str, Decision]:
    table = Decisions(DynamoDB(AwsJson("dynamodb")), resources.decisions_table, decider.bundle.contract)
    return table.read(ids, within(SECONDS), origin)


def store_profile(resources: Settings, decider: Decider, transaction: Transaction, position: str) -> None:
    """Have the stream's profile of the transaction's user hold an hour-old purchase."""
    history = decider.online.new_history()
    decider.online.count(history, transaction, transaction.timestamp - 3_600_000_000)
    (key,) = decider.profile_keys(transaction)
    profiles = Profiles(DynamoDB(AwsJson("dynamodb")), resources.profiles_table, resources.decisions_table)
    change = ProfileChange(key, "", position, encode_history(history))
    profiles.commit([change], within(SECONDS))


def test_an_invoked_function_scores_with_the_stored_profile_and_keeps_its_decision(
    function: str, resources: Settings, decider: Decider
) -> None:
    data = transaction_data()
    transaction = decider.validator.validate(data)
    assert isinstance(transaction, Transaction)
    store_profile(resources, decider, transaction, "0007#shard")
    response = invoke(client("lambda"), function, {"transaction_data": data})
    answer = json.loads(response["body"])
    assert response["statusCode"] == 200
    assert answer["profile"] == "found"
    kept = decisions_of(resources, decider, transaction.id)[transaction.id]
    assert kept.profile_position == "0007#shard"
    assert kept.score == answer["fraud_probability"]
    assert kept.model_version == answer["model_version"] == decider.bundle.version


def test_a_function_url_answers_a_batch_with_a_status_for_each(function: str, resources: Settings) -> None:
    url = open_url(client("lambda"), function)
    good, bad = transaction_data(), {**transaction_data(6), "amount": "12"}
    status, body = post(url, json.dumps({"transactions": [good, bad]}).encode())
    assert status == 200
    assert [item["status"] for item in body["answers"]] == [200, 400]
    assert body["answers"][1]["errors"] == [
        {"field": "amount", "code": "amount_not_a_number", "message": "is not a number"}
    ]


def test_the_deployed_function_gives_the_bits_that_are_given_here(function: str, decider: Decider) -> None:
    datas = [transaction_data(number) for number in range(0, 2_000, 20)]
    _, body = post(open_url(client("lambda"), function), json.dumps({"transactions": datas}).encode())
    assert len(body["answers"]) == 100
    for data, answer in zip(datas, body["answers"], strict=True):
        transaction = decider.validator.validate(data)
        assert isinstance(transaction, Transaction)
        ours = decider.decide(transaction, Stored("new"), 1)
        assert answer["fraud_probability"].hex() == ours.score.hex()


def test_a_function_url_refuses_what_is_no_json_with_a_reason(function: str) -> None:
    status, body = post(open_url(client("lambda"), function), b"\xff\xfe not json")
    assert status == 400
    assert body["errors"][0]["code"] == "not_json"


def test_records_of_the_stream_get_a_second_opinion(function: str, resources: Settings, decider: Decider) -> None:
    kinesis = client("kinesis")
    arn = kinesis.describe_stream_summary(StreamName=resources.stream)["StreamDescriptionSummary"]["StreamARN"]
    subscribe(client("lambda"), function, arn)
    data = transaction_data(8)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        # The mapping begins at LATEST, which the emulator resolves when it first polls.
        for record in (b"poison", json.dumps(data).encode()):
            kinesis.put_record(StreamName=resources.stream, Data=record, PartitionKey=data["user_id"])
        time.sleep(1)
        kept = decisions_of(resources, decider, data["transaction_id"])
        if kept:
            break
    assert kept[data["transaction_id"]].origin == REALTIME


def post(url: str, body: bytes) -> tuple[int, Any]:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())

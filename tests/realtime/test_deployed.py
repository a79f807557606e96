"""The packaged function on the emulator: invoked, asked over HTTP, subscribed to the stream."""

import json
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.tables.decisions import Decisions
from fraudline.adapters.tables.profiles import Profiles
from fraudline.decision import REALTIME, Decision
from fraudline.errors import BadInput, NotReady, Unavailable
from fraudline.local.deploying import Deployed, deploy_to_try, read_package
from fraudline.local.emulator import Emulator, emulator_python
from fraudline.local.functions import Function, invoke
from fraudline.local.functions import deploy as deploy_function
from fraudline.profiles import ProfileChange, encode_history
from fraudline.realtime.decide import Decider, Stored
from fraudline.realtime.packaging import package_lambda
from fraudline.settings import Settings
from fraudline.transactions.transaction import Transaction
from tests.realtime.bundles import Files, population, version_of
from tests.support.command import PROGRAM, Finished

ISOLATED = str(Path(__file__).parents[1] / "support" / "isolated")
CONTRACTS = Path(__file__).parents[2] / "data" / "contracts"
SECONDS = 30.0


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function without a model, for the interpreter the emulator runs it on."""
    path = tmp_path_factory.mktemp("package") / "function.zip"
    return package_lambda(path, python=emulator_python()).path


def deploy(package: Path, name: str, *options: str) -> Finished:
    """`fraudline deploy-lambda` where no package of the emulator is seen, its deadlines such as none misses."""
    slow = {"FRAUDLINE_PROFILE_DEADLINE_MS": "5000", "FRAUDLINE_RECORD_BUDGET_MS": "5000", "PYTHONPATH": ISOLATED}
    variables = [option for variable, value in slow.items() for option in ("--set", f"{variable}={value}")]
    command = [PROGRAM, "deploy-lambda", "--package", str(package), "--name", name, "--json", *variables, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def deployed(package: Path, resources: Settings, files: Files, unique: str) -> Iterator[Deployed]:
    """A deployed function that answers by the champion of its own registry."""
    registry = Registry(open_objects(f"s3://{resources.models_bucket}"), "ecommerce")
    registry.publish(version_of(files), files)
    registry.promote(version_of(files), "the first", {}, "test", datetime.now(UTC))
    yield Deployed(**deploy(package, f"{unique}-realtime").json)
    client("lambda").delete_function(FunctionName=f"{unique}-realtime")


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
    deployed: Deployed, resources: Settings, decider: Decider
) -> None:
    data = transaction_data()
    transaction = decider.validator.validate(data)
    assert isinstance(transaction, Transaction)
    store_profile(resources, decider, transaction, "0007#shard")
    response = invoke(client("lambda"), deployed.function, {"transaction_data": data}, deployed.alias)
    answer = json.loads(response["body"])
    assert response["statusCode"] == 200
    assert answer["profile"] == "found"
    kept = decisions_of(resources, decider, transaction.id)[transaction.id]
    assert kept.profile_position == "0007#shard"
    assert kept.score == answer["fraud_probability"]
    assert kept.model_version == answer["model_version"] == decider.bundle.version


def test_a_function_url_answers_a_batch_with_a_status_for_each(deployed: Deployed) -> None:
    good, bad = transaction_data(), {**transaction_data(6), "amount": "12"}
    status, body = post(deployed.url, json.dumps({"transactions": [good, bad]}).encode())
    assert status == 200
    assert [item["status"] for item in body["answers"]] == [200, 400]
    assert body["answers"][1]["errors"] == [
        {"field": "amount", "code": "amount_not_a_number", "message": "is not a number"}
    ]


def test_the_deployed_function_gives_the_bits_that_are_given_here(deployed: Deployed, decider: Decider) -> None:
    datas = [transaction_data(number) for number in range(0, 2_000, 20)]
    _, body = post(deployed.url, json.dumps({"transactions": datas}).encode())
    assert len(body["answers"]) == 100
    for data, answer in zip(datas, body["answers"], strict=True):
        transaction = decider.validator.validate(data)
        assert isinstance(transaction, Transaction)
        ours = decider.decide(transaction, Stored("new"), 1)
        assert answer["fraud_probability"].hex() == ours.score.hex()


def test_a_function_url_refuses_what_is_no_json_with_a_reason(deployed: Deployed) -> None:
    status, body = post(deployed.url, b"\xff\xfe not json")
    assert status == 400
    assert body["errors"][0]["code"] == "not_json"


def test_records_of_the_stream_get_a_second_opinion(
    deployed: Deployed, package: Path, resources: Settings, decider: Decider
) -> None:
    assert deploy(package, deployed.function, "--subscribe").code == 0
    kinesis = client("kinesis")
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


# What the command does and refuses


def test_deploying_again_moves_the_alias_to_a_new_version_at_the_same_address(
    deployed: Deployed, package: Path
) -> None:
    assert (deployed.version, deployed.alias, deployed.previous) == ("1", "live", None)
    again = Deployed(**deploy(package, deployed.function, "--set", "FRAUDLINE_WITHOUT_MODEL=closed").json)
    assert (again.previous, again.url, again.has_model) == ("1", deployed.url, True)
    live = client("lambda").get_alias(FunctionName=deployed.function, Name="live")["FunctionVersion"]
    assert live == again.version != "1"
    assert post(again.url, json.dumps({"transaction_data": transaction_data()}).encode())[0] == 200


def test_a_function_that_has_no_model_it_can_load_is_told_apart(deployed: Deployed, package: Path) -> None:
    again = Deployed(**deploy(package, deployed.function, "--set", "FRAUDLINE_MODEL=nowhere").json)
    assert not again.has_model
    assert post(again.url, json.dumps({"transaction_data": transaction_data()}).encode())[0] == 503


def test_a_package_that_lacks_a_library_never_reaches_the_alias(
    deployed: Deployed, package: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(package) as whole, zipfile.ZipFile(broken, "w") as archive:
        for name in whole.namelist():
            if not name.startswith("msgspec/"):
                archive.writestr(name, whole.read(name))
    refused = deploy(broken, deployed.function)
    assert refused.code == Unavailable.exit_code
    assert "version 2 does not answer, the alias stays where it is" in refused.sentence
    assert "No module named 'msgspec'" in refused.sentence
    assert client("lambda").get_alias(FunctionName=deployed.function, Name="live")["FunctionVersion"] == "1"
    assert post(deployed.url, json.dumps({"transaction_data": transaction_data()}).encode())[0] == 200


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ({"ManagedBy": "terraform"}, "is Terraform's: it is delivered from main, with a canary"),
        ({}, "was not made by this command and stays as it is: name another with --name"),
    ],
)
def test_a_function_that_something_else_manages_is_left_alone(
    package: Path, resources: Settings, unique: str, tags: dict[str, str], sentence: str
) -> None:
    functions = client("lambda")
    deploy_function(functions, Function(unique, emulator_python(), tags=tags), package.read_bytes())
    before = functions.get_function(FunctionName=unique)["Configuration"]["RevisionId"]
    refused = deploy(package, unique)
    assert refused.code == BadInput.exit_code
    assert sentence in refused.sentence
    assert functions.get_function(FunctionName=unique)["Configuration"]["RevisionId"] == before


def test_a_stream_that_is_not_there_is_said_before_anything_is_made(
    package: Path, resources: Settings, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUDLINE_STREAM", f"{unique}-nowhere")
    refused = deploy(package, unique, "--subscribe")
    assert refused.code == NotReady.exit_code
    assert f"stream '{unique}-nowhere' does not exist" in refused.sentence
    functions = client("lambda")
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.get_function(FunctionName=unique)


def test_a_function_is_told_the_name_of_a_contract_that_is_a_file(
    deployed: Deployed, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUDLINE_CONTRACT", str(CONTRACTS / "ecommerce.toml"))
    again = Deployed(**deploy(package, deployed.function).json)
    assert post(again.url, json.dumps({"transaction_data": transaction_data()}).encode())[0] == 200


def test_a_person_is_told_the_address_in_one_piece(deployed: Deployed, package: Path) -> None:
    command = [PROGRAM, "deploy-lambda", "--package", str(package), "--name", deployed.function]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == deployed.url


def test_on_aws_a_role_must_be_named_before_anything_is_made(package: Path) -> None:
    class Aws:
        """A client of AWS that knows no function; Lambda there cannot be asked from a test."""

        meta = SimpleNamespace(endpoint_url="https://lambda.eu-west-1.amazonaws.com")
        exceptions = SimpleNamespace(ResourceNotFoundException=LookupError)

        def get_function(self, FunctionName: str) -> dict[str, object]:
            raise LookupError(FunctionName)

    with pytest.raises(BadInput, match="on AWS a function needs a role: name one with --role"):
        deploy_to_try(Aws(), "shop", "live", read_package(package), {}, None)


@pytest.mark.parametrize("content", [b"no zip", None], ids=["bytes", "nothing there"])
def test_what_is_no_package_is_said(aws: Emulator, tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "x.zip").write_bytes(content)
    refused = deploy(tmp_path / "x.zip", "any")
    assert refused.code == BadInput.exit_code
    assert "make one with `fraudline package-lambda`" in refused.sentence


def test_a_package_says_what_it_was_made_for(package: Path) -> None:
    assert read_package(package)[1:] == (emulator_python(), "x86_64")


def post(url: str, body: bytes) -> tuple[int, Any]:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())

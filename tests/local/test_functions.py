"""Functions deployed to the emulator are real processes: their answers, errors and environment come over HTTP."""

import io
import json
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.errors import NotReady, Unavailable
from fraudline.local.emulator import Emulator, emulator_python
from fraudline.local.functions import Function, deploy, invoke, open_url, subscribe
from fraudline.local.resources import create_stream

ISOLATED = str(Path(__file__).parents[1] / "support" / "isolated")

CODE = """
import json, os
def handler(event, context):
    if event == "fail":
        raise RuntimeError("no good")
    return {"statusCode": 200, "body": json.dumps({"event": event, "setting": os.environ.get("SETTING")})}
"""


@pytest.fixture
def functions(aws: Emulator) -> Any:
    return client("lambda")


def package(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("shop/handler.py", code)
    return buffer.getvalue()


def function(name: str, **environment: str) -> Function:
    return Function(name, emulator_python(), environment, handler="shop.handler.handler")


def test_a_deployed_function_answers_and_sees_its_environment(functions: Any, unique: str) -> None:
    deploy(functions, function(unique, SETTING="one"), package(CODE))
    answer = invoke(functions, unique, {"amount": 1})
    assert json.loads(answer["body"]) == {"event": {"amount": 1}, "setting": "one"}


def test_deploying_again_replaces_code_and_environment(functions: Any, unique: str) -> None:
    deploy(functions, function(unique, SETTING="one"), package(CODE))
    invoke(functions, unique, {})
    deploy(functions, function(unique, SETTING="two"), package(CODE.replace("200", "201")))
    answer = invoke(functions, unique, {})
    assert (answer["statusCode"], json.loads(answer["body"])["setting"]) == (201, "two")


def test_a_function_that_fails_is_said_with_its_error(functions: Any, unique: str) -> None:
    deploy(functions, function(unique), package(CODE))
    with pytest.raises(Unavailable, match=f"function '{unique}' failed: no good"):
        invoke(functions, unique, "fail")


def test_a_missing_function_is_said(functions: Any, unique: str) -> None:
    with pytest.raises(NotReady, match=f"function '{unique}' does not exist"):
        invoke(functions, unique, {})


def test_a_function_url_answers_over_http(functions: Any, unique: str) -> None:
    deploy(functions, function(unique), package(CODE))
    url = open_url(functions, unique)
    assert open_url(functions, unique) == url
    request = urllib.request.Request(url + "score", data=b'{"a": 1}', headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        event = json.load(response)["event"]
    assert (event["version"], event["body"], event["rawPath"]) == ("2.0", '{"a": 1}', "/score")


def test_a_package_that_forgot_a_dependency_fails_where_the_emulators_packages_are_hidden(
    functions: Any, unique: str
) -> None:
    code = "import botocore\ndef handler(event, context):\n    return botocore.__version__\n"
    deploy(functions, function(unique), package(code))
    assert invoke(functions, unique, {})
    deploy(functions, function(unique, PYTHONPATH=ISOLATED), package(code))
    with pytest.raises(Unavailable, match="No module named 'botocore'"):
        invoke(functions, unique, {})


def test_a_subscribed_function_gets_the_streams_records(functions: Any, unique: str) -> None:
    kinesis, s3 = client("kinesis"), client("s3")
    s3.create_bucket(Bucket=unique)
    create_stream(kinesis, unique, shards=1)
    arn = kinesis.describe_stream_summary(StreamName=unique)["StreamDescriptionSummary"]["StreamARN"]
    code = f"""
import botocore.session
def handler(event, context):
    s3 = botocore.session.get_session().create_client("s3")
    for record in event["Records"]:
        s3.put_object(Bucket="{unique}", Key=record["kinesis"]["partitionKey"], Body=record["kinesis"]["data"])
    return {{"batchItemFailures": []}}
"""
    deploy(functions, function(unique), package(code))
    mapping = subscribe(functions, unique, arn)
    assert subscribe(functions, unique, arn) == mapping
    (found,) = functions.list_event_source_mappings(FunctionName=unique)["EventSourceMappings"]
    # A poison record would come for a day, and the shard would wait.
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (found["BisectBatchOnFunctionError"], found["MaximumRetryAttempts"]) == (True, 5)
    deadline = time.monotonic() + 30
    while not s3.list_objects_v2(Bucket=unique)["KeyCount"] and time.monotonic() < deadline:
        # The mapping begins at LATEST, which the emulator resolves when it first polls.
        kinesis.put_record(StreamName=unique, PartitionKey="U1", Data=b"hello")
        time.sleep(0.5)
    assert s3.get_object(Bucket=unique, Key="U1")["Body"].read() == b"aGVsbG8="

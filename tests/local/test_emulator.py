"""The embedded AWS: on this machine only, isolated from its environment, gone when we are."""

import json
import os
from pathlib import Path

import psutil
import pytest

from fraudline.adapters.aws import clients
from fraudline.adapters.aws.clients import client
from fraudline.adapters.tables.keys import BY_ALERT_DAY, BY_ENTITY, EXPIRES_AT
from fraudline.errors import BadInput, NotReady
from fraudline.local.emulator import KEEP_SECONDS, Emulator, emulator_program, environment_of, running_emulator
from fraudline.local.processes import GRACE_SECONDS
from fraudline.local.resources import create_resources, create_stream
from fraudline.settings import Settings, load_settings


def test_it_listens_on_this_machine_only(emulator: Emulator) -> None:
    group = psutil.Process(emulator.process.pid)
    listening = [
        connection.laddr.ip
        for process in (group, *group.children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_what_it_holds_is_there_again_after_a_restart(tmp_path: Path) -> None:
    with running_emulator(tmp_path, keep_data=True) as running, environment_of(running.environment):
        # Killed as soon as others may be, it would lose what it has not written down yet.
        assert running.process._grace == KEEP_SECONDS > GRACE_SECONDS
        settings = create_resources(load_settings())
        client("s3").put_object(Bucket=settings.landing_bucket, Key="a", Body=b"1")
        client("dynamodb").put_item(TableName=settings.labels_table, Item={"transaction_id": {"S": "T1"}})
    with running_emulator(tmp_path, keep_data=True) as running, environment_of(running.environment):
        assert create_resources(load_settings()) == settings
        assert client("s3").get_object(Bucket=settings.landing_bucket, Key="a")["Body"].read() == b"1"
        assert client("dynamodb").scan(TableName=settings.labels_table)["Count"] == 1


def test_a_real_account_in_the_environment_is_out_of_reach(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    real = {"AWS_PROFILE": "shop", "AWS_ENDPOINT_URL_S3": "https://s3.example.com", "AWS_ACCESS_KEY_ID": "AKIA"}
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    with environment_of(emulator.environment):
        assert client("s3").meta.endpoint_url == emulator.endpoint
        assert client("s3").list_buckets()["Buckets"] is not None
    assert {name: os.environ[name] for name in real} == real
    assert "AWS_ENDPOINT_URL" not in os.environ


def test_whatever_was_set_before_is_set_again_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "before")
    monkeypatch.delenv("FRAUDLINE_STREAM", raising=False)
    with environment_of({"PREFECT_API_URL": "within", "FRAUDLINE_STREAM": "s", "AWS_REGION": "r"}):
        assert os.environ["PREFECT_API_URL"] == "within"
    assert os.environ["PREFECT_API_URL"] == "before"
    assert "FRAUDLINE_STREAM" not in os.environ


def test_a_given_port_is_used_and_a_taken_one_is_said(emulator: Emulator, tmp_path: Path) -> None:
    port = int(emulator.endpoint.rpartition(":")[2])
    with (
        pytest.raises(BadInput, match=f"port {port} on 127.0.0.1 cannot be used"),
        running_emulator(tmp_path, port=port),
    ):
        pass


def test_where_it_is_not_installed_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"is not installed .*: run `make setup`"):
        emulator_program(tmp_path)


def test_a_deployment_is_created_once_and_again_without_harm(resources: Settings) -> None:
    again = create_resources(resources)
    assert again == resources
    assert again.alerts_topic_arn is not None
    kinesis = client("kinesis")
    assert len(kinesis.list_shards(StreamName=resources.stream)["Shards"]) == 4


def test_rows_that_may_expire_do_and_saying_so_again_is_left_out(
    resources: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS refuses to be told twice."""
    status = client("dynamodb").describe_time_to_live(TableName=resources.decisions_table)["TimeToLiveDescription"]
    assert status == {"TimeToLiveStatus": "ENABLED", "AttributeName": EXPIRES_AT}
    calls: list[object] = []
    event = "before-call.dynamodb.UpdateTimeToLive"
    clients._session.events.register(event, note := lambda **_: calls.append(_))
    try:
        create_resources(resources)
    finally:
        clients._session.events.unregister(event, note)
    assert calls == []


def test_a_queue_lets_its_own_topic_send_and_nobody_else(resources: Settings) -> None:
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=resources.alerts_topic)["QueueUrl"]
    policy = json.loads(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"])
    (statement,) = policy["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": resources.alerts_topic_arn}}


def test_decisions_have_their_two_indexes(resources: Settings) -> None:
    table = client("dynamodb").describe_table(TableName=resources.decisions_table)["Table"]
    indexes = {
        index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
        for index in table["GlobalSecondaryIndexes"]
    }
    assert indexes == {BY_ENTITY: ["entity", "event_time"], BY_ALERT_DAY: ["alert_day", "expected_loss"]}


def test_an_alert_reaches_the_queue_as_it_was_sent(resources: Settings) -> None:
    sqs = client("sqs")
    client("sns").publish(TopicArn=resources.alerts_topic_arn, Message='{"transaction_id": "T1"}')
    queue = sqs.get_queue_url(QueueName=resources.alerts_topic)["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    assert [message["Body"] for message in messages] == ['{"transaction_id": "T1"}']


def test_a_split_and_a_merge_are_seen_to_the_end_on_kinesis_local(
    kinesis_local: str, aws: Emulator, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one emulator that closes shards as Kinesis does: what the resharding tests stand on."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS", kinesis_local)
    kinesis = client("kinesis")
    create_stream(kinesis, unique, shards=1)
    active = kinesis.get_waiter("stream_exists")
    for number in range(30):
        kinesis.put_record(StreamName=unique, PartitionKey=f"U{number}", Data=b"before")
    kinesis.split_shard(StreamName=unique, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    active.wait(StreamName=unique, WaiterConfig={"Delay": 1})
    for number in range(30):
        kinesis.put_record(StreamName=unique, PartitionKey=f"U{number}", Data=b"between")
    kinesis.merge_shards(
        StreamName=unique, ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002"
    )
    active.wait(StreamName=unique, WaiterConfig={"Delay": 1})
    kinesis.put_record(StreamName=unique, PartitionKey="U1", Data=b"after")
    shards = {shard["ShardId"][-1]: shard for shard in kinesis.list_shards(StreamName=unique)["Shards"]}
    assert {number: shard.get("ParentShardId", "")[-1:] for number, shard in shards.items()} == {
        "0": "",
        "1": "0",
        "2": "0",
        "3": "1",
    }
    counts, children = {}, {}
    for number, shard in shards.items():
        counts[number], children[number] = drain(kinesis, unique, shard["ShardId"])
    assert counts["0"] == 30
    assert counts["1"] + counts["2"] == 30
    assert counts["3"] == 1
    assert children == {"0": ["1", "2"], "1": ["3"], "2": ["3"], "3": []}


def drain(kinesis: object, stream: str, shard: str) -> tuple[int, list[str]]:
    """How many records a shard has, and the last digits of the shards it names as children at its end."""
    iterator = kinesis.get_shard_iterator(  # type: ignore[attr-defined]
        StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    count = 0
    while True:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=20)  # type: ignore[attr-defined]
        count += len(answer["Records"])
        iterator = answer.get("NextShardIterator")
        if not iterator:
            return count, sorted(child["ShardId"][-1] for child in answer["ChildShards"])
        if not answer["Records"] and answer["MillisBehindLatest"] == 0:
            return count, []

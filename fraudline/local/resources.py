"""Creates a deployment's stream, tables, buckets and topics on an emulator; on AWS Terraform does (`infra/`).

Everything here may be called again: what exists is left as it is.
"""

import json
from contextlib import suppress
from typing import Any

from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.errors import explained
from fraudline.adapters.tables.keys import DECISIONS, ERASURES, EXPIRES_AT, LABELS, LEASES, PROFILES, Key, Table
from fraudline.settings import Settings

SHARDS = 4
_POLL = {"Delay": 1, "MaxAttempts": 60}


def create_resources(settings: Settings, shards: int = SHARDS) -> Settings:
    """Create all of a deployment where AWS's variables point; the settings with the topics' ARNs."""
    create_stream(client("kinesis"), settings.stream, shards)
    tables = {
        settings.decisions_table: DECISIONS,
        settings.profiles_table: PROFILES,
        settings.leases_table: LEASES,
        settings.labels_table: LABELS,
        settings.erasures_table: ERASURES,
    }
    dynamodb, s3 = client("dynamodb"), client("s3")
    for name, table in tables.items():
        create_table(dynamodb, name, table)
    for bucket in settings.buckets:
        create_bucket(s3, bucket)
    sns, sqs = client("sns"), client("sqs")
    topics = {
        "alerts_topic_arn": create_topic(sns, sqs, settings.alerts_topic),
        "alarms_topic_arn": create_topic(sns, sqs, settings.alarms_topic),
    }
    return settings.model_copy(update=topics)


def create_stream(kinesis: Any, name: str, shards: int) -> None:
    """A stream of `shards` shards that is ready to be written to."""
    with explained(f"stream {name!r}"):
        with suppress(kinesis.exceptions.ResourceInUseException):
            kinesis.create_stream(StreamName=name, ShardCount=shards)
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig=_POLL)


def create_table(dynamodb: Any, name: str, table: Table) -> None:
    """A table with its indexes, paid by request, that is ready to be written to."""
    indexes = [
        {"IndexName": index, "KeySchema": _schema(key), "Projection": {"ProjectionType": "ALL"}}
        for index, key in table.indexes
    ]
    with explained(f"table {name!r}"):
        with suppress(dynamodb.exceptions.ResourceInUseException):
            dynamodb.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[
                    {"AttributeName": attribute, "AttributeType": kind} for attribute, kind in table.attributes.items()
                ],
                KeySchema=_schema(table.key),
                **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
            )
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig=_POLL)
        if table.expires:
            _expire(dynamodb, name)


def create_bucket(s3: Any, name: str) -> None:
    with explained(f"bucket {name!r}"), suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=name)


def create_topic(sns: Any, sqs: Any, name: str) -> str:
    """A topic and a queue of the same name that gets its messages as they were sent; the topic's ARN."""
    with explained(f"topic and queue {name!r}"):
        topic = str(sns.create_topic(Name=name)["TopicArn"])
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _lets_send(topic, queue)})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    return topic


def _schema(key: Key) -> list[dict[str, str]]:
    return [
        {"AttributeName": attribute, "KeyType": kind}
        for attribute, kind in zip(key.attributes, ("HASH", "RANGE"), strict=False)
    ]


def _expire(dynamodb: Any, name: str) -> None:
    status = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"]
    if status == "DISABLED":
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES_AT}
        )


def _lets_send(topic: str, queue: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

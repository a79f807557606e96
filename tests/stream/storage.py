"""What a deployment holds after scoring: read back whole, by plain boto3, to be compared."""

import json
from typing import Any, NamedTuple

from boto3.dynamodb.types import TypeDeserializer

from fraudline.adapters.archive.landing import PREFIX
from fraudline.adapters.aws.clients import client
from fraudline.archive import Account, Archived, Row, decode_archive
from fraudline.quarantine import Reject, decode_rejects
from fraudline.settings import Settings

_deserialize = TypeDeserializer().deserialize


class Stored(NamedTuple):
    """Everything scoring has written, in forms that do not depend on how the batches were cut."""

    decisions: dict[str, dict[str, Any]]
    alerts: dict[str, dict[str, Any]]
    notified: set[str]
    profiles: dict[str, dict[str, Any]]
    rows: dict[str, Row]
    rejects: dict[str, Reject]
    duplicates: set[str]


def table_items(name: str) -> list[dict[str, Any]]:
    pages = client("dynamodb").get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
    return [{k: _deserialize(v) for k, v in item.items()} for page in pages for item in page["Items"]]


def objects(bucket: str) -> dict[str, bytes]:
    s3 = client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def archives(settings: Settings) -> list[Archived]:
    return [decode_archive(data) for key, data in objects(settings.landing_bucket).items() if key.startswith(PREFIX)]


def accounts(settings: Settings) -> list[Account]:
    return [archived.account for archived in archives(settings)]


def balances(account: Account) -> bool:
    return account.read == account.scored + len(account.duplicates) + len(account.refused)


def stored(settings: Settings) -> Stored:
    items = table_items(settings.decisions_table)
    archived = archives(settings)
    rejects = [
        reject
        for key, data in objects(settings.quarantine_bucket).items()
        if key.startswith("stream/")
        for reject in decode_rejects(data)
    ]
    rows = [row for archive in archived for row in archive.rows]
    assert len({row.position for row in rows}) == len(rows), "a transaction is archived twice"
    assert len({reject.position for reject in rejects}) == len(rejects), "a record is quarantined twice"
    return Stored(
        {item["transaction_id"]: item for item in items if item["origin"] == "stream"},
        {item["transaction_id"]: item for item in items if item["origin"] == "alert"},
        {item["transaction_id"] for item in items if item["origin"] == "notified"},
        {item["entity"]: item for item in table_items(settings.profiles_table)},
        {row.position: row for row in rows},
        {reject.position: reject for reject in rejects},
        {position for archive in archived for position in archive.account.duplicates},
    )


def notifications(queue_name: str) -> list[str]:
    """The ids told of in all messages that wait in the alerts queue, again and again if told again."""
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
    told: list[str] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            told += [t["transaction_id"] for t in json.loads(message["Body"])["transactions"]]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return told

"""Sweeps beside others who write: what is newer than what a sweep has read is left to the next one."""

from collections.abc import Mapping
from typing import Any

from fraudline.adapters.aws.backoff import Deadline, within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.erasure.labels import LabelRows
from fraudline.adapters.erasure.stores import Bucket
from fraudline.adapters.tables.labels import Labels
from fraudline.contract import load_contract
from fraudline.erasure.people import Erased, Tombstone, keyed_hash
from fraudline.labels import Verdict
from fraudline.settings import Settings

KEY = b"for tests: forty-eight characters nobody can guess"
ERASED = Erased(load_contract("ecommerce"), KEY, [Tombstone(keyed_hash(KEY, "user", "U1"), "user", "erased-1", 0)])


def test_an_object_that_is_replaced_while_it_is_swept_stays_and_is_swept_next(resources: Settings) -> None:
    s3, where = client("s3"), {"Bucket": resources.landing_bucket, "Key": "files/a.jsonl"}

    def held() -> bytes:
        return bytes(s3.get_object(**where)["Body"].read())

    def meanwhile(key: str, data: bytes) -> None:
        s3.put_object(**where, Body=b'{"user_id": "U1", "amount": 2}')

    s3.put_object(**where, Body=b'{"user_id": "U1", "amount": 1}')
    Bucket(s3, resources.landing_bucket, meanwhile).sweep(ERASED)
    assert held() == b'{"user_id": "U1", "amount": 2}'
    assert Bucket(s3, resources.landing_bucket).sweep(ERASED).changed == 1
    assert b"erased-1" in held()
    assert b"U1" not in held()


def test_an_old_version_that_tells_of_a_person_is_found_and_goes(resources: Settings) -> None:
    s3, where = client("s3"), {"Bucket": resources.landing_bucket, "Key": "files/a.jsonl"}
    s3.put_bucket_versioning(Bucket=resources.landing_bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(**where, Body=b'{"user_id": "U1"}')
    s3.put_object(**where, Body=b'{"user_id": "U2"}')
    bucket = Bucket(s3, resources.landing_bucket)
    (place,) = bucket.tells_of("U1")
    assert place.startswith(f"s3://{resources.landing_bucket}/files/a.jsonl (version ")
    assert bucket.sweep(ERASED) == (0, 1)
    assert list(bucket.tells_of("U1")) == []
    assert s3.get_object(**where)["Body"].read() == b'{"user_id": "U2"}'


def test_a_verdict_that_is_given_while_its_row_is_swept_stays_and_is_swept_next(resources: Settings) -> None:
    dynamodb = DynamoDB(AwsJson("dynamodb"))
    labels = Labels(dynamodb, resources.labels_table)

    class Meanwhile(DynamoDB):
        """Somebody gives a verdict a moment before each update."""

        def single(self, operation: str, table: str, body: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
            if operation == "UpdateItem":
                labels.add("t1", Verdict(0, 2, "ben", "it was me, says U1"), within(10))
            return super().single(operation, table, body, deadline)

    labels.add("t1", Verdict(1, 1, "ann", "U1 called"), within(10))
    LabelRows(Meanwhile(AwsJson("dynamodb")), resources.labels_table).sweep(ERASED)
    assert len(labels.read(["t1"], within(10))["t1"]) == 2
    LabelRows(dynamodb, resources.labels_table).sweep(ERASED)
    notes = [verdict.note for verdict in labels.read(["t1"], within(10))["t1"]]
    assert notes == ["erased-1 called", "it was me, says erased-1"]

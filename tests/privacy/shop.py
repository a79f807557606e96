"""A deployment with a user in every store, and a reader of all stores that shares no code with the erasure."""

import base64
import gzip
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from flows.backfill import BackfillRequest, backfill
from flows.data_quality import DataQualityRequest, data_quality
from flows.retrain import RetrainRequest, retrain
from flows.score_stream import ScoreStreamRequest, score_stream
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.stream.producer import Outgoing, Producer
from fraudline.adapters.tables.labels import Labels
from fraudline.labels import Verdict
from fraudline.realtime.start import start
from fraudline.settings import Settings
from fraudline.simulate import Population, simulate
from tests.support.later import an_hour_later

KEY = "for tests: forty-eight characters nobody can guess"
DAYS = 42
TODAY = datetime.now(UTC).date()
NOW = datetime.now(UTC).isoformat()


@dataclass(frozen=True)
class Shop:
    """A deployment, one of its users, and what its first training came to."""

    settings: Settings
    user: str
    version: str
    folder: Path
    sent: list[tuple[str, bytes]]

    def retrain(self) -> str:
        """The version that the same request makes now."""
        return str(retrain.fn(training()).version)

    def tells_of(self, id_: str) -> set[str]:
        """Every place that holds the id."""
        return {place for place, text in self.texts() if id_ in text}

    def texts(self) -> Iterator[tuple[str, str]]:
        yield from objects(self.settings)
        yield from rows(self.settings)
        for path in self.folder.rglob("*"):
            if path.is_file():
                yield from (("backfill", text) for text in unpacked(path.name, path.read_bytes()))


def training() -> RetrainRequest:
    return RetrainRequest(as_of=TODAY, candidates=["logistic"], save_splits=True)


def record(user: str, number: int, **changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"N{number}", "user_id": user, "timestamp": NOW, "amount": 4000.5, "device_type": "mobile",
        "location": "Lyon", "is_vpn": 1, "card_type": "credit", **changes,
    }  # fmt: skip


def send(settings: Settings, *records: tuple[str, bytes]) -> None:
    Producer(client("kinesis"), settings.stream).send([Outgoing(key, data) for key, data in records])


def sent(user: str, number: int, **changes: Any) -> tuple[str, bytes]:
    return user, json.dumps(record(user, number, **changes)).encode()


def drain() -> Any:
    return score_stream.fn(ScoreStreamRequest(seconds=60))


def open_shop(resources: Settings, folder: Path) -> Shop:
    """A history, a model with its splits, a scored stream with dirt, a verdict, an answer, reports and a backfill."""
    # So many that their first model is acceptable, whatever day of the week the test runs on.
    history = simulate(Population(users=120, start=TODAY - timedelta(days=DAYS), days=DAYS, fraud_rate=0.05, seed=3))
    user = str(history["user_id"].value_counts().index[0])
    s3 = client("s3")
    for bucket in resources.buckets:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    landed = history.to_csv(index=False).encode()
    torn = f"2026-01-01,{user},no row at all\n".encode()
    for _ in range(2):
        s3.put_object(Bucket=resources.landing_bucket, Key="files/history.csv", Body=landed + torn)
    version = retrain.fn(training()).version
    others = [sent(other, 100 + n) for n, other in enumerate(history["user_id"].unique()[:20]) if other != user]
    own = [sent(user, number) for number in range(4)]
    send(
        resources,
        *others,
        *own,
        own[2],
        sent(user, 4, device_type="fridge"),
        (user, f'{{"transaction_id": "N5", "user_id": "{user}", "amou'.encode()),
        ("unknown", f"N6,{user},12.50".encode()),
        ("unknown", json.dumps(record(user, 7)).encode()),
    )
    drain()
    Labels(DynamoDB(AwsJson("dynamodb")), resources.labels_table).add(
        "N1", Verdict(1, 1_800_000_000_000_000, "ann", f"{user} called"), within(30)
    )
    start(os.environ).answer({"transaction_data": record(user, 9)}, None)
    with an_hour_later() as later:
        data_quality.fn(DataQualityRequest(as_of=later))
    # As of what the model was trained on: after it the history pauses up to now, whose volume depends on the hour.
    midnight = datetime.combine(TODAY, datetime.min.time(), UTC)
    data_quality.fn(DataQualityRequest(stage="training", as_of=midnight))
    backfill.fn(BackfillRequest(start=TODAY - timedelta(days=3), end=TODAY, out=str(folder)))
    return Shop(resources, user, version, folder, own)


def objects(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every version of every object, unpacked."""
    s3 = client("s3")
    for bucket in settings.buckets:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for told in page.get("Versions", ()):
                where = {"Bucket": bucket, "Key": told["Key"], "VersionId": told["VersionId"]}
                data = s3.get_object(**where)["Body"].read()
                place = f"{bucket.partition('-')[2]}/{told['Key'].partition('/')[0]}"
                yield place, told["Key"]
                yield from ((place, text) for text in unpacked(told["Key"], data))


def unpacked(name: str, data: bytes) -> Iterator[str]:
    yield data.decode("latin-1")
    if name.endswith(".gz"):
        yield gzip.decompress(data).decode()
    if name.endswith(".parquet"):
        yield json.dumps(pq.read_table(io.BytesIO(data)).to_pylist(), default=str)
    if name.endswith(".jsonl"):
        for line in data.splitlines():
            yield base64.b64decode(json.loads(line).get("data", "")).decode("latin-1")


def rows(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every row of every table."""
    names = settings.model_dump()
    for table in (names[field] for field in names if field.endswith("_table")):
        pages = client("dynamodb").get_paginator("scan").paginate(TableName=table)
        yield from ((table.partition("-")[2], str(item)) for page in pages for item in page["Items"])

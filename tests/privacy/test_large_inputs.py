"""A large backfill from a bucket meets people who were erased before: it tells of them by their pseudonyms only."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from flows.backfill import BackfillRequest, BackfillResult, backfill
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.large import backfill as large_backfill
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.tables.tombstones import Tombstones
from fraudline.settings import Settings
from tests.privacy.shop import KEY
from tests.realtime.bundles import bundle_files, version_of
from tests.unit.retrained import frame

START, END = date(2026, 1, 12), date(2026, 1, 17)


def erase(settings: Settings, user: str) -> str:
    """The pseudonym of a user who is known to be erased."""
    dynamodb = DynamoDB(AwsJson("dynamodb"))
    store = Tombstones(dynamodb, settings.erasures_table, KEY.encode())
    tombstone = store.new("user", user, within(30))
    dynamodb.single("PutItem", settings.erasures_table, store.write(tombstone)["Put"], within(30))
    return tombstone.pseudonym


def test_a_large_backfill_from_a_bucket_tells_of_nobody_who_is_erased(
    resources: Settings, key: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = frame()
    user = rows[rows.timestamp.astype(str).str.startswith("2026-01-13")].user_id.iloc[0]
    rows.loc[rows.index[rows.user_id == user][0], "device_type"] = "fax"
    rows.to_csv(tmp_path / "rows.csv", index=False)
    landing = open_objects(f"s3://{resources.landing_bucket}")
    landing.put("old/rows.csv", (tmp_path / "rows.csv").read_bytes())
    files = bundle_files("ecommerce")
    Registry(open_objects(str(tmp_path / "models")), "ecommerce").publish(version_of(files), files)
    pseudonym = erase(resources, user)

    def run(out: str) -> BackfillResult:
        return backfill.fn(
            BackfillRequest(
                transactions=[f"{landing.location}/old/"],
                start=START,
                end=END,
                model=version_of(files),
                models=str(tmp_path / "models"),
                out=str(tmp_path / out),
            )
        )

    in_memory = run("memory.parquet")
    monkeypatch.setattr(large_backfill, "MEMORY_ROWS", 0)
    on_disk = run("disk.parquet")
    assert (tmp_path / "disk.parquet").read_bytes() == (tmp_path / "memory.parquet").read_bytes()
    told = pd.read_parquet(tmp_path / "disk.parquet").to_csv()
    assert user not in told
    assert pseudonym in told
    assert in_memory.quarantined == on_disk.quarantined == 1
    assert on_disk.quarantine
    refused = open_objects(f"s3://{resources.quarantine_bucket}").get(
        on_disk.quarantine.removeprefix(f"s3://{resources.quarantine_bucket}/")
    )
    assert user.encode() not in refused
    assert pseudonym.encode() in refused
    assert f"{landing.location}/old/rows.csv".encode() in refused

"""A backfill into a bucket: what a container leaves behind, and what the next one goes on from."""

import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flows.backfill import BackfillRequest, BackfillResult
from flows.backfill import backfill as flow
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.backfill.named import BackfillOutput, held_output
from fraudline.adapters.backfill.partitions import MANIFEST
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.disk import partial_beside
from fraudline.adapters.storage.objects import Objects, open_objects
from fraudline.errors import BadInput, LostRace, NotReady, Tampered
from fraudline.settings import Settings
from tests.realtime.bundles import bundle_files, version_of
from tests.unit.retrained import frame

START, END = date(2026, 1, 12), date(2026, 1, 17)
KEYS = [*(f"2026-01-{day}.parquet" for day in range(12, 17)), MANIFEST]


@pytest.fixture
def shop(resources: Settings, tmp_path: Path) -> Settings:
    """A deployment with a version and transactions in a file here."""
    publish(resources, 0.1)
    frame().to_csv(tmp_path / "rows.csv", index=False)
    return resources


def publish(settings: Settings, threshold: float) -> str:
    files = dict(bundle_files("ecommerce", -1.0, threshold))
    registry = Registry(open_objects(f"s3://{settings.models_bucket}"), "ecommerce")
    registry.publish(version_of(files), files)
    return version_of(files)


VERSION = version_of(dict(bundle_files("ecommerce", -1.0, 0.1)))


def run(tmp_path: Path, **changes: Any) -> BackfillResult:
    request = {
        "transactions": [str(tmp_path / "rows.csv")],
        "start": START,
        "end": END,
        "model": VERSION,
        "reports": str(tmp_path / "reports"),
        **changes,
    }
    return flow.fn(BackfillRequest(**request))


def contents(objects: Objects) -> dict[str, bytes]:
    return {key: objects.get(key) for key in objects.list()}


def test_an_untouched_form_writes_into_the_deployments_bucket_what_a_folder_would_hold(
    shop: Settings, tmp_path: Path
) -> None:
    result = run(tmp_path)
    assert result.out == f"s3://{shop.reports_bucket}/backfills/{VERSION}"
    assert run(tmp_path, out=str(tmp_path / "out")).rows == result.rows > 0
    kept = contents(open_objects(result.out))
    assert list(kept) == KEYS
    assert kept == contents(open_objects(str(tmp_path / "out")))


def test_another_container_goes_on_where_one_was_stopped_and_a_second_run_does_nothing(
    shop: Settings, tmp_path: Path
) -> None:
    place = f"s3://{shop.reports_bucket}/april/"
    first = run(tmp_path, out=place, end=date(2026, 1, 14))
    assert (first.days, first.days_done_before) == (2, 0)
    planned = run(tmp_path, out=place, dry_run=True)
    assert [day.state for day in planned.plan] == ["done", "done", *["to score"] * 3]
    rest = run(tmp_path, out=place)
    assert (rest.days, rest.days_done_before) == (3, 2)
    whole = contents(open_objects(place))
    open_objects(place).delete(KEYS[1])
    again = run(tmp_path, out=place)
    assert (again.days, again.days_done_before) == (1, 4)
    assert run(tmp_path, out=place).days == 0
    assert contents(open_objects(place)) == whole


def test_of_two_runs_into_one_place_one_is_refused_and_one_that_lost_it_writes_no_more(
    shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"s3://{shop.reports_bucket}/april"
    rows = BackfillOutput(DynamoDB(AwsJson("dynamodb")), shop.leases_table, place)
    with held_output(rows, "ecommerce", VERSION), pytest.raises(NotReady, match=rf"another run writes {place} \(proc"):
        run(tmp_path, out=f"{place}/")
    assert contents(open_objects(place)) == {}

    def lost(*_: object) -> None:
        raise LostRace("it is another run's by now")

    with monkeypatch.context() as patched:
        patched.setattr("fraudline.adapters.backfill.named.Hold.check", lost)
        with pytest.raises(LostRace):
            run(tmp_path, out=place)
    assert contents(open_objects(place)) == {}
    assert run(tmp_path, out=place).days == 5


def test_another_version_is_held_against_what_lies_in_a_bucket(shop: Settings, tmp_path: Path) -> None:
    stricter = publish(shop, 0.3)
    place = f"s3://{shop.reports_bucket}/backfills/{VERSION}"
    rows = run(tmp_path).rows
    compared = run(tmp_path, model=stricter, compare_to=place).compared
    assert compared is not None
    assert compared.against == f"the decisions in {place}"
    assert (compared.transactions, compared.only_before, compared.only_after) == (rows, 0, 0)
    assert compared.flagged_only_after == 0 < compared.flagged_only_before
    with pytest.raises(BadInput, match=r"s3://.*/backfills/none has no _manifest\.json: compare with the output of a"):
        run(tmp_path, model=stricter, compare_to=f"s3://{shop.reports_bucket}/backfills/none")


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("where", ["bucket", "folder"])
def test_a_day_that_is_not_what_its_manifest_says_is_compared_with_by_nobody_until_it_is_made_again(
    where: str, shop: Settings, tmp_path: Path
) -> None:
    stricter = publish(shop, 0.3)
    place = f"s3://{shop.reports_bucket}/april" if where == "bucket" else str(tmp_path / "april")
    run(tmp_path, out=place)
    days = open_objects(place)
    other, whole = days.get(KEYS[1]), days.get(KEYS[2])

    def compared() -> int:
        result = run(tmp_path, model=stricter, out=str(tmp_path / "new.parquet"), compare_to=place).compared
        assert result is not None
        assert (result.only_before, result.only_after) == (0, 0)
        return result.transactions

    rows = compared()
    for data in (whole[:-9], other, whole.replace(b"T0", b"T1", 1)):
        days.put(KEYS[2], data)
        with pytest.raises(Tampered, match=rf"/{KEYS[2]} is not what _manifest\.json says: .* run that backfill again"):
            compared()
    days.delete(KEYS[2])
    with pytest.raises(Tampered, match=rf"/{KEYS[2]} is missing; run that backfill again"):
        compared()
    assert run(tmp_path, out=place).days == 1
    assert compared() == rows


def test_a_day_that_a_killed_run_has_not_finished_is_not_compared_with(shop: Settings, tmp_path: Path) -> None:
    stricter = publish(shop, 0.3)
    place = str(tmp_path / "april")
    first = run(tmp_path, out=place, end=date(2026, 1, 16)).rows
    # A day lies there before the manifest says so.
    open_objects(place).put(KEYS[4], open_objects(place).get(KEYS[3]))
    result = run(tmp_path, model=stricter, out=str(tmp_path / "new.parquet"), compare_to=place).compared
    assert result is not None
    assert (result.transactions, result.only_before) == (first, 0)
    assert result.only_after > 0


KILLED = """
import os, signal, sys
from pathlib import Path
from fraudline.adapters.storage.disk import partial_beside
with partial_beside(Path(sys.argv[1])) as partial:
    partial.write_bytes(b"PAR1 with ids of people")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("out", ["days", "all.parquet"])
def test_what_a_killed_run_was_writing_is_gone_after_the_next_and_what_others_write_is_not(
    out: str, shop: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / out if out == "days" else tmp_path / "new"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder / KEYS[0])], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(folder.glob(".*.partial"))
    with partial_beside(folder / "other.parquet") as theirs:
        run(tmp_path, out=str(tmp_path / "new" / out))
        assert list((tmp_path / "new").rglob(".*")) == [theirs]


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("s3://b/x.parquet", "would be one object: name a prefix"),
        ("https://b/x", "is no place for decisions"),
        ("s3://B/x", "is no place for objects"),
    ],
)
def test_places_that_are_none_are_told(shop: Settings, tmp_path: Path, out: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        run(tmp_path, out=out)


def test_a_place_of_another_version_is_not_written_into(shop: Settings, tmp_path: Path) -> None:
    stricter, place = publish(shop, 0.3), f"s3://{shop.reports_bucket}/april"
    run(tmp_path, out=place)
    before = contents(open_objects(place))
    with pytest.raises(BadInput, match=rf"holds a backfill of 'ecommerce' by {VERSION}: name another folder"):
        run(tmp_path, out=place, model=stricter)
    assert contents(open_objects(place)) == before

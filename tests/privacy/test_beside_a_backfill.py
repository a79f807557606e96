"""Somebody is forgotten while a backfill is at work on what it read before: it stops, and the next one goes on."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flows.backfill import BackfillRequest, BackfillResult, backfill
from fraudline.adapters.backfill.decisions import DecisionTarget
from fraudline.adapters.backfill.partitions import PartitionFile, PartitionFolder
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.storage.s3 import S3Objects
from fraudline.errors import NotReady
from fraudline.settings import Settings
from tests.privacy.shop import objects, rows
from tests.privacy.test_beside_the_stream import forget
from tests.realtime.bundles import bundle_files, version_of
from tests.unit.retrained import frame

START, END = date(2026, 1, 12), date(2026, 1, 17)
USER = str(frame()["user_id"].value_counts().index[0])
STOPPED = "somebody was erased while this was read.*run it again"


@pytest.fixture
def shop(resources: Settings, key: None, tmp_path: Path) -> Settings:
    """A deployment with a version, and transactions in a file here, of which one user has some every day."""
    files = dict(bundle_files("ecommerce", -1.0, 0.1))
    Registry(open_objects(f"s3://{resources.models_bucket}"), "ecommerce").publish(version_of(files), files)
    frame().to_csv(tmp_path / "rows.csv", index=False)
    return resources


def run(shop: Settings, folder: Path, **changes: Any) -> BackfillResult:
    request = {
        "transactions": [str(folder / "rows.csv")],
        "start": START,
        "end": END,
        "model": version_of(dict(bundle_files("ecommerce", -1.0, 0.1))),
        "reports": str(folder / "reports"),
        "out": f"s3://{shop.reports_bucket}/april",
        **changes,
    }
    return backfill.fn(BackfillRequest(**request))


def tells(shop: Settings) -> list[str]:
    return [place for place, text in [*objects(shop), *rows(shop)] if USER in text]


def forgetting_at(
    monkeypatch: pytest.MonkeyPatch, shop: Settings, owner: type, method: str, number: int
) -> Callable[[], str]:
    """The user is forgotten right before a call of this number; what comes tells the pseudonym."""
    original, calls, pseudonyms = getattr(owner, method), 0, list[str]()

    def called(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            pseudonyms.append(forget(shop, id_=USER))
        return original(self, *arguments)

    monkeypatch.setattr(owner, method, called)
    return lambda: pseudonyms[0]


@pytest.mark.parametrize(
    ("owner", "out"), [(PartitionFolder, "s3"), (DecisionTarget, "table"), (DecisionTarget, "both")]
)
def test_a_backfill_that_read_an_id_before_it_was_erased_stops_and_the_next_goes_on(
    shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, out: str
) -> None:
    where: dict[str, Any] = {} if out == "s3" else {"name": "april"} | ({"out": None} if out == "table" else {})
    pseudonym = forgetting_at(monkeypatch, shop, owner, "write", 3)
    with pytest.raises(NotReady, match=STOPPED):
        run(shop, tmp_path, **where)
    assert tells(shop) == []
    rest = run(shop, tmp_path, **where)
    # In a bucket the days were made anew, in which the erasure has changed their files.
    assert rest.days_done_before == (2 if out == "table" else 0)
    assert tells(shop) == []
    assert [place for place, text in [*objects(shop), *rows(shop)] if pseudonym() in text]


def test_what_is_put_at_the_very_moment_is_put_again_by_the_next_run(
    shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call was on its way when the sweep had passed: no manifest tells of it."""
    forgetting_at(monkeypatch, shop, S3Objects, "put_if", 5)
    with pytest.raises(NotReady, match=STOPPED):
        run(shop, tmp_path)
    assert set(tells(shop)) == {"reports/april"}
    run(shop, tmp_path)
    assert tells(shop) == []


def test_one_file_is_not_written_that_would_tell_of_somebody_erased(
    shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetting_at(monkeypatch, shop, PartitionFile, "close", 1)
    with pytest.raises(NotReady, match=STOPPED):
        run(shop, tmp_path, out=str(tmp_path / "april.parquet"))
    assert not list(tmp_path.glob("*april*"))


def test_without_the_key_nothing_is_written_into_a_deployment_that_has_forgotten_somebody(
    shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(shop, id_=USER)
    monkeypatch.delenv("FRAUDLINE_ERASURE_KEY")
    with pytest.raises(NotReady, match="people are to be erased and there is no key"):
        run(shop, tmp_path)
    assert run(shop, tmp_path, out=str(tmp_path / "out")).days == 5

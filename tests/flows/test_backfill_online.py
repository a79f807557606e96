"""Backfills of a deployment that has streamed: held against the record, from the stream itself, rehearsed, replayed."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.backfill import BackfillRequest, BackfillResult
from flows.backfill import backfill as flow
from fraudline.adapters.archive.landing import PREFIX
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.large import backfill as large_backfill
from fraudline.adapters.large import stream_runs
from fraudline.adapters.registry import Registry
from fraudline.adapters.replays import replay_recorded
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.deps import stream_deps
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.decisions import Decisions
from fraudline.adapters.tables.labels import Labels
from fraudline.clock import day_start
from fraudline.contract import load_contract
from fraudline.durations import MINUTE
from fraudline.errors import BadInput
from fraudline.labels import Verdict
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.settings import Settings
from tests.realtime.bundles import bundle_files, version_of
from tests.stream.events import clean_events, dirty_events
from tests.stream.storage import objects, stored, table_items

ROOT = Path(__file__).parents[2]
COUNT = 400
START, END = date(2026, 1, 5), date(2026, 1, 8)


@pytest.fixture
def registry(resources: Settings) -> Registry:
    return Registry(open_objects(f"s3://{resources.models_bucket}"), "ecommerce")


def published(registry: Registry, threshold: float, offset: float = -1.0, contract: str = "ecommerce") -> Bundle:
    files = dict(bundle_files(contract, offset, threshold))
    version = version_of(files)
    registry.publish(version, files)
    return load_bundle(files.__getitem__, version)


@pytest.fixture
def bundle(registry: Registry) -> Bundle:
    return published(registry, 0.1)


@pytest.fixture
def streamed(resources: Settings, bundle: Bundle) -> Settings:
    """A deployment whose stream has been scored, late transactions and all."""
    Producer(client("kinesis"), resources.stream).send(clean_events(COUNT, users=20))
    run_slice(stream_deps(resources, bundle, "w1"), Limits())
    return resources


def run(settings: Settings, tmp_path: Path, model: str, **changes: Any) -> BackfillResult:
    request = {
        "start": START,
        "end": END,
        "model": model,
        "out": None,
        "reports": str(tmp_path / "reports"),
        **changes,
    }
    return flow.fn(BackfillRequest(**request))


def test_the_version_that_decided_decides_the_same_again_from_all_that_has_landed(
    streamed: Settings, bundle: Bundle, tmp_path: Path
) -> None:
    before = stored(streamed)
    result = run(streamed, tmp_path, bundle.version, name="again", compare_to="record")
    compared = result.compared
    assert compared is not None
    assert (result.rows, compared.transactions, compared.only_before, compared.only_after) == (COUNT, COUNT, 0, 0)
    assert (compared.flagged_only_after, compared.flagged_only_before) == (0, 0)
    figures = json.loads((Path(compared.report).parent / "diff.json").read_bytes())
    assert figures["equal_scores"] == COUNT
    assert figures["versions_before"] == {bundle.version: COUNT}
    assert stored(streamed) == before


def test_all_that_has_landed_on_disk_by_processes_decides_the_same(
    streamed: Settings, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = Labels(DynamoDB(AwsJson("dynamodb")), streamed.labels_table)
    for number in range(0, COUNT, 7):
        known_at = day_start(START) + number * MINUTE
        labels.add(f"t{number:06d}", Verdict(number % 2, known_at, "ann"), within(30))
    results = []
    for name, rows in (("memory", 10**6), ("disk", 0)):
        monkeypatch.setattr(large_backfill, "MEMORY_ROWS", rows)
        out = str(tmp_path / name)
        results.append(run(streamed, tmp_path, bundle.version, out=out, name=name, compare_to="record"))
    pages = [Path(result.compared.report) for result in results if result.compared]
    figures = [json.loads((page.parent / "diff.json").read_bytes()) for page in pages]
    assert figures[0] == figures[1]
    assert figures[0]["total"]["labelled"] > 50
    memory, disk = ({path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in ("memory", "disk"))
    assert memory == disk
    assert len(disk) == 4
    kept = [table_of(streamed, f"backfill#{name}") for name in ("memory", "disk")]
    assert kept[0] == kept[1]
    assert len(kept[0]) == COUNT
    assert not (tmp_path / ".disk.shuffle").exists()


def table_of(settings: Settings, origin: str) -> list[dict[str, Any]]:
    """Decisions of this origin, without its name and the clock."""
    rows = [row for row in table_items(settings.decisions_table) if row["origin"] == origin]
    return sorted(({**row, "origin": "", "scored_at": ""} for row in rows), key=lambda row: str(row["transaction_id"]))


def test_another_version_is_held_against_the_record_and_each_of_its_decisions_can_be_replayed(
    streamed: Settings, bundle: Bundle, registry: Registry, tmp_path: Path
) -> None:
    stricter = published(registry, 0.3)
    result = run(streamed, tmp_path, stricter.version, name="stricter", compare_to="record")
    record = stored(streamed).decisions
    kept = Decisions(DynamoDB(AwsJson("dynamodb")), streamed.decisions_table, load_contract("ecommerce"))
    again = kept.read(record, within(30), "backfill#stricter")
    dropped = [id_ for id_, was in record.items() if was["is_fraud"] and not again[id_].is_fraud]
    assert result.compared is not None
    assert result.compared.flagged_only_before == len(dropped) > 0
    assert result.compared.money_at_stake == sum(again[id_].amount for id_ in dropped) / 100
    for id_ in list(again)[:20]:
        assert not replay_recorded(kept, registry, id_, "backfill#stricter", within(30)).differing


def test_two_versions_of_the_same_features_are_compared_on_one_computation(
    streamed: Settings, bundle: Bundle, registry: Registry, tmp_path: Path
) -> None:
    other = published(registry, 0.1, offset=-0.5)
    out = str(tmp_path / "b")
    first = run(streamed, tmp_path, bundle.version, out=str(tmp_path / "a"))
    one = run(streamed, tmp_path, other.version, out=out, compare_to=bundle.version).compared
    two = run(streamed, tmp_path, other.version, out=out, compare_to=str(tmp_path / "a"))
    assert (first.rows, two.days, two.days_done_before) == (COUNT, 0, first.days)
    assert one is not None
    assert two.compared is not None
    assert (one.transactions, one.flagged_only_after) == (COUNT, two.compared.flagged_only_after)
    assert one.flagged_only_after > 0


def test_a_version_of_other_features_is_compared_by_a_pass_of_its_own(
    streamed: Settings, bundle: Bundle, registry: Registry, tmp_path: Path
) -> None:
    longer = tmp_path / "longer.toml"
    shop = (ROOT / "data" / "contracts" / "ecommerce.toml").read_text()
    longer.write_text(shop.replace('windows = ["1h", "1d", "7d", "30d"]', 'windows = ["1h", "2d", "14d", "60d"]'))
    other = published(registry, 0.2, contract=str(longer))
    assert other.features.hash != bundle.features.hash
    run(streamed, tmp_path, other.version, contract=str(longer), out=str(tmp_path / "other"))
    asked = {"model": bundle.version, "out": str(tmp_path / "ours")}
    passed = run(streamed, tmp_path, compare_to=other.version, **asked).compared
    kept = run(streamed, tmp_path, compare_to=str(tmp_path / "other"), **asked).compared
    assert passed is not None
    assert kept is not None
    assert passed.against == f"version {other.version}, of other features"
    assert passed.transactions == COUNT
    assert passed.flagged_only_before + passed.flagged_only_after > 0
    assert replace(passed, against="", report="") == replace(kept, against="", report="")


def test_what_the_record_has_beyond_the_input_is_counted(streamed: Settings, bundle: Bundle, tmp_path: Path) -> None:
    lines = [data for _, data in clean_events(COUNT, users=20)]
    part = tmp_path / "part.jsonl"
    part.write_bytes(b"\n".join([*lines[10:], lines[0].replace(b"t000000", b"t-else")]))
    compared = run(streamed, tmp_path, bundle.version, name="p", transactions=[str(part)], compare_to="record").compared
    assert compared is not None
    assert (compared.transactions, compared.only_before, compared.only_after) == (COUNT - 10, 10, 1)


@pytest.mark.parametrize(("days_before", "counted"), [(1, 10), (2, 0)])
def test_what_came_the_day_before_may_count_on_the_first_day_of_the_record(
    streamed: Settings, bundle: Bundle, tmp_path: Path, days_before: int, counted: int
) -> None:
    """A producer's clock may be ahead by hours."""
    landing = open_objects(f"s3://{streamed.landing_bucket}")
    arrival = (START - timedelta(days=days_before)).isoformat()
    for key in list(landing.list(PREFIX)):
        landing.put(PREFIX + f"{arrival}/" + key.removeprefix(PREFIX).partition("/")[2], landing.get(key))
        landing.delete(key)
    part = tmp_path / "part.jsonl"
    part.write_bytes(b"\n".join(data for _, data in clean_events(COUNT, users=20)[10:]))
    compared = run(streamed, tmp_path, bundle.version, name="p", transactions=[str(part)], compare_to="record").compared
    assert compared is not None
    assert compared.only_before == counted


def test_the_stream_itself_is_a_source_and_reading_it_leaves_no_trace(
    resources: Settings, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some twenty records a run.
    monkeypatch.setattr(stream_runs, "RUN_BYTES", 5_000)
    monkeypatch.setattr(stream_runs, "_PAGE_RECORDS", 10)
    Producer(client("kinesis"), resources.stream).send(dirty_events(COUNT, users=20))
    tables = (resources.leases_table, resources.profiles_table, resources.decisions_table)
    since = datetime(2020, 1, 1, tzinfo=UTC)
    result = run(
        resources, tmp_path, bundle.version, out=str(tmp_path / "s.parquet"), stream_from=since,
        quarantine=str(tmp_path / "q"),
    )  # fmt: skip
    assert [table_items(table) for table in tables] == [[], [], []]
    assert objects(resources.landing_bucket) == objects(resources.quarantine_bucket) == {}
    assert (result.rows, result.quarantine is not None) == (COUNT, True)

    run_slice(stream_deps(resources, bundle, "w1"), Limits())
    kept = stored(resources)
    assert (result.quarantined, result.duplicates) == (len(kept.rejects), len(kept.duplicates))
    scores = {row["transaction_id"]: row["score"] for row in pq.read_table(tmp_path / "s.parquet").to_pylist()}
    assert scores == {id_: float(decision["score"]) for id_, decision in kept.decisions.items()}


def test_what_came_after_is_scored_with_all_that_has_landed_as_its_past(
    streamed: Settings, bundle: Bundle, tmp_path: Path
) -> None:
    Producer(client("kinesis"), streamed.stream).send(clean_events(50, users=20, seed=2, first=COUNT))
    since = datetime(2020, 1, 1, tzinfo=UTC)
    result = run(streamed, tmp_path, bundle.version, out=str(tmp_path / "s.parquet"), stream_from=since)
    assert (result.rows, result.duplicates) == (COUNT + 50, COUNT)
    run_slice(stream_deps(streamed, bundle, "w1"), Limits())
    kept = stored(streamed).decisions
    scores = {row["transaction_id"]: row["score"] for row in pq.read_table(tmp_path / "s.parquet").to_pylist()}
    assert scores == {id_: float(decision["score"]) for id_, decision in kept.items()}


def test_a_dry_run_says_what_would_be_done_and_does_none_of_it(
    streamed: Settings, bundle: Bundle, tmp_path: Path
) -> None:
    run(streamed, tmp_path, bundle.version, name="april", end=date(2026, 1, 6))
    tables = (streamed.leases_table, streamed.decisions_table)
    before = [table_items(table) for table in tables], sorted(tmp_path.rglob("*"))
    plan = run(streamed, tmp_path, bundle.version, name="april", out=str(tmp_path / "o"), dry_run=True)
    assert ([table_items(table) for table in tables], sorted(tmp_path.rglob("*"))) == before
    assert [(day.day, day.state) for day in plan.plan] == [(f"2026-01-0{n}", "to score") for n in (5, 6, 7)]
    only = run(streamed, tmp_path, bundle.version, name="april", dry_run=True)
    assert [day.state for day in only.plan] == ["done", "to score", "to score"]
    assert (only.origin, only.days_done_before, only.rows) == (
        "backfill#april",
        1,
        sum(day.transactions for day in only.plan[1:]),
    )


def test_what_cannot_be_compared_with_is_said_in_a_sentence(
    streamed: Settings, bundle: Bundle, registry: Registry, tmp_path: Path
) -> None:
    run(streamed, tmp_path, bundle.version, out=str(tmp_path / "a"))
    manifest = tmp_path / "a" / "_manifest.json"
    cards = tmp_path / "cards"
    cards.mkdir()
    (cards / "_manifest.json").write_bytes(manifest.read_bytes().replace(b'"ecommerce"', b'"cards"'))
    (tmp_path / "empty").mkdir()
    pq.write_table(pq.read_table(tmp_path / "a" / "2026-01-06.parquet").slice(0, 3), tmp_path / "few.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 no")
    pq.write_table(pq.read_table(tmp_path / "a" / "2026-01-06.parquet", columns=["score"]), tmp_path / "odd.parquet")
    cases = {
        str(cards): "holds a backfill of contract 'cards', not of 'ecommerce'",
        str(tmp_path / "empty"): "has no _manifest.json",
        str(tmp_path / "none" / "x"): "there is no .* to compare with",
        str(tmp_path / "torn.parquet"): "cannot be read to compare with",
        str(tmp_path / "odd.parquet"): "lacks column 'transaction_id'",
        "2020-01-01-none": "no version '2020-01-01-none'",
    }
    for what, words in cases.items():
        with pytest.raises(BadInput, match=words):
            run(streamed, tmp_path, bundle.version, name="x", compare_to=what)
    assert not [item for item in table_items(streamed.decisions_table) if item["origin"] == "backfill#x"]
    with pytest.raises(BadInput, match=r"none of the .* transactions scored is among"):
        run(
            streamed, tmp_path, bundle.version, name="y", compare_to=str(tmp_path / "few.parquet"),
            end=date(2026, 1, 6),
        )  # fmt: skip
    assert [item for item in table_items(streamed.decisions_table) if item["origin"] == "backfill#y"]

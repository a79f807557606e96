"""The flows against a real Prefect server: what they show, what they tell, and how they fail."""

import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.testing.utilities import prefect_test_harness

from expectations import load_suite
from flows.data_quality import DataQualityRequest, data_quality
from flows.monitor import MonitorRequest, SkewFound, monitor
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import FolderObjects, open_objects
from fraudline.adapters.stream.deps import stream_deps
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.decisions import Decisions
from fraudline.cli.app import app
from fraudline.clock import to_micros
from fraudline.contract import Contract, load_contract
from fraudline.decision import pack, unpack
from fraudline.durations import DAY, SECOND
from fraudline.errors import BadInput, NotReady
from fraudline.features.offline import offline_features
from fraudline.model.bundle import MANIFEST, Manifest, load_bundle, seal
from fraudline.model.matrix import score_matrix
from fraudline.quality.histograms import reference
from fraudline.quality.monitor_report import monitor_figures
from fraudline.quality.monitoring import LiveSkew, Monitored
from fraudline.quality.monitoring import monitor as measure
from fraudline.quality.outcome import QualityGate
from fraudline.quality.skew import Difference, Skew
from fraudline.quality.suite import encode_suite
from fraudline.settings import Settings
from fraudline.simulate import soil, weave
from fraudline.transactions.landed import Landed
from tasks.monitoring import champion, tell_age
from tests.realtime.bundles import bundle_files
from tests.stream.bundles import small_bundle
from tests.stream.events import clean_events, dirty_events, sent, transaction
from tests.support.later import an_hour_later

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="module")
def models(contract: Contract, landed_clean: Landed, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry whose champion has seen `landed_clean` in training."""
    files = dict(bundle_files())
    manifest = msgspec.json.decode(files.pop(MANIFEST), type=Manifest)
    bundle = load_bundle(bundle_files().__getitem__, manifest.version)
    matrix = offline_features(landed_clean.table)
    scores = score_matrix(bundle.scorer, matrix)
    known = reference(matrix, manifest.features, scores)
    figures = {"alerts_per_day": float((scores >= manifest.threshold).sum()) / 45, "average_precision": 0.5,
               "roc_auc": 0.9, "precision": 0.3, "recall": 0.8, "predicted_to_actual": 1.0,
               "expected_calibration_error": 0.01}  # fmt: skip
    manifest = msgspec.structs.replace(manifest, reference=known, metrics={"candidates": {"additive": figures}})
    sealed, files = seal(manifest, files)
    folder = tmp_path_factory.mktemp("models")
    registry = Registry(FolderObjects(folder), contract.name)
    registry.publish(sealed.version, files)
    registry.promote(sealed.version, "the first", figures, "tests", datetime(2026, 2, 19, tzinfo=UTC))
    return str(folder)


def events_named(name: str) -> list[dict[str, object]]:
    """Payloads of the events of this name, once the server has them."""
    with get_client(sync_client=True) as api:
        for _ in range(50):
            found = api.read_events(filter=EventFilter(event=EventNameFilter(name=[name])), limit=50).events
            if found:
                return [dict(event.payload) for event in found]
            time.sleep(0.1)
    return []


def request(frame: pd.DataFrame, folder: Path, **values: object) -> DataQualityRequest:
    frame.to_csv(folder / "orders.csv", index=False)
    return DataQualityRequest(transactions=[str(folder / "orders.csv")], out=str(folder / "out"), **values)


def test_a_run_shows_a_table_and_a_summary_under_stable_keys_and_tells_that_it_passed(
    clean: pd.DataFrame, tmp_path: Path, models: str
) -> None:
    part = clean.head(3_000)
    result = data_quality(request(weave(part, soil(part, 0.01, seed=1)), tmp_path, models=models))
    assert (result.rows, result.passed) == (3_030, True)
    table, summary = Artifact.get("quality-ecommerce-landed"), Artifact.get("quality-report-ecommerce-landed")
    assert table
    assert "the file is not doubled" in str(table.data)
    assert summary
    assert "| 3,030 | 3,000 |" in str(summary.data)
    (payload,) = events_named("fraudline.data_quality.passed")
    assert (payload["rows"], payload["valid"]) == (3_030, 3_000)
    assert b"training rows" in (tmp_path / "out" / "report.html").read_bytes()


def test_a_critical_failure_fails_the_run_with_one_sentence_after_its_report_is_kept(
    clean: pd.DataFrame, tmp_path: Path
) -> None:
    broken = clean.head(2_000).assign(amount=5.0)
    with pytest.raises(QualityGate, match="'amounts vary'"):
        data_quality(request(broken, tmp_path))
    (payload,) = events_named("fraudline.data_quality.failed")
    assert "'amounts vary': 100%, expected at most 50%" in payload["failed"]
    assert (tmp_path / "out" / "report.html").exists()


def test_who_is_told_to_correct_the_suite_is_told_the_one_that_judged(clean: pd.DataFrame, tmp_path: Path) -> None:
    broken, own = clean.head(2_000).assign(amount=5.0), _lenient(tmp_path)
    with pytest.raises(QualityGate) as kept:
        data_quality.fn(request(broken, tmp_path))
    assert str(kept.value).endswith("correct the data or expectations/ecommerce/landed.json")
    with pytest.raises(QualityGate) as given:
        data_quality.fn(request(broken, tmp_path, suite=own))
    assert str(given.value).endswith(f"correct the data or {own}")


def test_who_has_a_contract_without_a_suite_is_told_a_command_that_writes_one(
    clean: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expectations.loader.FOLDER", tmp_path / "expectations")
    file, broken = tmp_path / "shop.toml", clean.head(2_000).assign(amount=5.0)
    file.write_text(Path("data/contracts/ecommerce.toml").read_text().replace('"ecommerce"', '"shop"', 1))
    with pytest.raises(QualityGate) as drafted:
        data_quality.fn(request(broken, tmp_path, contract=str(file)))
    command = "fraudline quality suite --contract FILE.toml --stage landed"
    assert f"or the expectations, which follow from the contract alone: `{command}`" in str(drafted.value)
    app(command.replace("FILE.toml", str(file)).split()[1:], standalone_mode=False)
    with pytest.raises(QualityGate, match=r"correct the data or expectations/shop/landed\.json$"):
        data_quality.fn(request(broken, tmp_path, contract=str(file)))


def test_what_is_still_to_come_is_neither_judged_nor_monitored(tmp_path: Path, models: str) -> None:
    never = datetime(2099, 1, 1, tzinfo=UTC)
    told = r"nobody knows yet what is known as of 2099-01-01T.*, it is \d{4}-\d\d-\d\dT.*Z: name that or before"
    with pytest.raises(BadInput, match=told):
        data_quality.fn(DataQualityRequest(transactions=["nothing-is-read.csv"], as_of=never))
    with pytest.raises(BadInput, match=told):
        monitor.fn(MonitorRequest(models=models, out=str(tmp_path), as_of=never))


def test_the_archive_of_the_stream_is_judged_by_the_account_of_its_batches_and_by_its_decisions(
    resources: Settings, contract: Contract, tmp_path: Path, models: str
) -> None:
    Producer(client("kinesis"), resources.stream).send(dirty_events(100, users=10))
    report = run_slice(stream_deps(resources, small_bundle(), "w1"), Limits(batch_records=30))
    out = str(tmp_path / "out")
    with an_hour_later() as soon:
        asked = DataQualityRequest(out=out, as_of=soon, window="hour", models=models, suite=_lenient(tmp_path))
        result = data_quality(asked)
    assert Artifact.get("quality-ecommerce-landed-hour")
    assert Artifact.get("quality-report-ecommerce-landed-hour")
    assert not Artifact.get("quality-ecommerce-landed-day")
    assert (result.rows, result.valid, result.duplicates) == (report.read, report.scored, report.duplicates)
    assert result.reasons == dict(report.quarantined)
    assert (tmp_path / "out" / "landed" / "hour" / "report.html").exists()

    asked = DataQualityRequest(out=out, as_of=soon, window="hour", models=models, stage="decisions")
    with an_hour_later():
        assert data_quality.fn(asked).valid == report.scored
    decisions = Decisions(DynamoDB(AwsJson("dynamodb")), resources.decisions_table, contract)
    (decision,) = decisions.read(["t000003"], within(10)).values()
    decisions.write([msgspec.structs.replace(decision, is_fraud=not decision.is_fraud)], within(10))
    with an_hour_later(), pytest.raises(QualityGate, match="a flag is a score at or above the threshold"):
        data_quality.fn(asked)


def test_labels_are_judged_over_all_that_has_landed(
    resources: Settings, clean: pd.DataFrame, tmp_path: Path, models: str
) -> None:
    landing = open_objects(f"s3://{resources.landing_bucket}")
    landing.put("files/one.csv", clean.head(20_000).assign(is_fraud=1).to_csv(index=False).encode())
    end = datetime(2026, 2, 19, tzinfo=UTC)
    with pytest.raises(QualityGate, match="'the fraud rate is plausible': 100%"):
        data_quality.fn(DataQualityRequest(out=str(tmp_path), stage="labels", as_of=end, models=models))


def test_what_the_stream_brought_after_the_time_of_a_late_run_is_no_clock_that_runs_ahead(
    resources: Settings, clean: pd.DataFrame, tmp_path: Path, models: str
) -> None:
    landing = open_objects(f"s3://{resources.landing_bucket}")
    landing.put("files/one.csv", clean.to_csv(index=False).encode())
    now = int(datetime.now(UTC).timestamp()) * SECOND
    record = sent(transaction(1, "U1", now, random.Random(1)))
    Producer(client("kinesis"), resources.stream).send([record])
    assert run_slice(stream_deps(resources, small_bundle(), "w1"), Limits(batch_records=30)).scored == 1
    due = datetime(2026, 2, 19, tzinfo=UTC)
    result = data_quality.fn(DataQualityRequest(out=str(tmp_path), stage="training", as_of=due, models=models))
    assert (result.valid, result.measures["hours_ahead"]) == (len(clean), 0.0)


def _lenient(folder: Path) -> str:
    """The events are of January, whatever the day of the test."""
    suite = load_suite(load_contract("ecommerce"), "landed")
    kept = tuple(e for e in suite.expectations if e.column not in ("hours_since_newest", "quarantined_share"))
    (folder / "suite.json").write_bytes(encode_suite(msgspec.structs.replace(suite, expectations=kept)))
    return str(folder / "suite.json")


def test_the_monitor_finds_a_champion_at_home_in_its_training_data_and_lost_in_cents(
    clean: pd.DataFrame, tmp_path: Path, models: str
) -> None:
    def look(frame: pd.DataFrame) -> Monitored:
        frame.to_csv(tmp_path / "orders.csv", index=False)
        end = datetime(2026, 2, 19, tzinfo=UTC)
        files, out = [str(tmp_path / "orders.csv")], str(tmp_path / "out")
        return monitor(MonitorRequest(models=models, out=out, transactions=files, as_of=end, days=14))

    at_home = look(clean)
    newest = clean["timestamp"] >= "2026-02-05"
    lost = look(clean.assign(amount=clean["amount"].where(~newest, (clean["amount"] * 100).round().clip(upper=1e6))))
    assert at_home.performance
    assert lost.performance
    assert at_home.performance.live.average_precision > 0.2 > lost.performance.live.average_precision
    assert "amount" not in {drift.name for drift in at_home.drift.drifted}
    assert {"amount", "user_ratio", "score"} <= {drift.name for drift in lost.drift.drifted}
    assert lost.skew is None
    assert "amount" in str(Artifact.get("drift-ecommerce"))
    assert (tmp_path / "out" / "monitor.html").exists()
    assert events_named("fraudline.monitor.drifted")


def test_a_day_of_the_same_shop_is_no_drift_of_weekdays(landed_clean: Landed, models: str, contract: Contract) -> None:
    bundle = champion(models, contract)
    end = to_micros(datetime(2026, 2, 19, tzinfo=UTC))
    day = {d.name for d in measure(landed_clean.table, bundle, end - DAY, end).drift.features}
    week = {d.name for d in measure(landed_clean.table, bundle, end - 7 * DAY, end).drift.features}
    assert week - day == {"weekday", "is_weekend"}


def test_a_champion_is_monitored_with_its_own_features_while_the_contract_has_others(
    clean: pd.DataFrame, tmp_path: Path, models: str
) -> None:
    clean.to_csv(tmp_path / "orders.csv", index=False)
    shipped = (ROOT / "data" / "contracts" / "ecommerce.toml").read_text()
    (tmp_path / "next.toml").write_text(shipped.replace('"7d", "30d"', '"14d", "30d"'))

    def look(contract: str) -> Monitored:
        end, files = datetime(2026, 2, 19, tzinfo=UTC), [str(tmp_path / "orders.csv")]
        out = str(tmp_path / "out")
        return monitor.fn(MonitorRequest(contract=contract, models=models, out=out, transactions=files, as_of=end))

    assert look(str(tmp_path / "next.toml")) == look("ecommerce")


def test_the_monitor_of_a_stream_fails_on_skew_and_names_the_feature(
    resources: Settings, contract: Contract, tmp_path: Path, models: str
) -> None:
    registry = Registry(FolderObjects(models), contract.name)
    version = registry.resolve("champion")
    bundle = load_bundle(registry.read(version).__getitem__, version)
    now = datetime.now(UTC)
    Producer(client("kinesis"), resources.stream).send(clean_events(60, users=5))
    run_slice(stream_deps(resources, bundle, "w1"), Limits(batch_records=30))
    # The events are of January, the archive of today.
    days = (now - datetime(2026, 1, 1, tzinfo=UTC)).days
    asked = MonitorRequest(models=models, out=str(tmp_path), as_of=now, days=days)
    assert not monitor.fn(asked).skew.is_skewed

    decisions = Decisions(DynamoDB(AwsJson("dynamodb")), resources.decisions_table, contract)
    (decision,) = decisions.read(["t000003"], within(10)).values()
    values = list(unpack(decision.features))
    values[bundle.features.names.index("is_night")] += 1.0
    decisions.write([msgspec.structs.replace(decision, origin="realtime", features=pack(values))], within(10))
    with pytest.raises(SkewFound, match="is_night"):
        monitor.fn(asked)
    assert list(open_objects(str(tmp_path)).list("runs/"))


def test_the_figures_tell_a_hundred_differences_between_paths_and_how_many_more(
    landed_clean: Landed, models: str, contract: Contract
) -> None:
    many = tuple(Difference(f"t{number}", "is_night", 1.0, 0.0) for number in range(250))
    skew = LiveSkew(Skew(900, 0, many), Skew(900, 0, many[:3]), 0, {})
    end = to_micros(datetime(2026, 2, 19, tzinfo=UTC))
    seen = measure(landed_clean.table, champion(models, contract), end - DAY, end, skew)
    paths, offline = (json.loads(monitor_figures(seen))["skew"][name] for name in ("paths", "offline"))
    assert [len(each["differences"]) for each in (paths, offline)] == [100, 3]
    assert [each["more_differences"] for each in (paths, offline)] == [150, 0]
    assert [each["transactions_by_feature"] for each in (paths, offline)] == [{"is_night": 250}, {"is_night": 3}]


@pytest.mark.parametrize(("month", "days"), [(1, 0.0), (3, 28.0)])
def test_a_champion_is_never_younger_than_new_whatever_window_is_looked_at(
    contract: Contract, models: str, month: int, days: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tell_age(models, Settings(), contract, datetime(2026, month, 19, tzinfo=UTC)) == days
    assert json.loads(capsys.readouterr().out)["ChampionAgeDays"] == days


def test_a_monitor_without_a_champion_says_what_to_do_first(tmp_path: Path) -> None:
    models = tmp_path / "models"
    asked = MonitorRequest(models=str(models), out=str(tmp_path), transactions=["x.csv"])
    with pytest.raises(NotReady, match=r"no champion yet .*: run `fraudline retrain` first"):
        monitor.fn(asked)
    registry = Registry(FolderObjects(models), "ecommerce")
    registry.publish("2026-02-19-aaa", {MANIFEST: b"{}"})
    registry.append("reject", "2026-02-19-aaa", "it finds nothing", {}, "tests", datetime(2026, 2, 19, tzinfo=UTC))
    with pytest.raises(NotReady, match=r"last: reject 2026-02-19-aaa, it finds nothing.*`fraudline models list`"):
        monitor.fn(asked)

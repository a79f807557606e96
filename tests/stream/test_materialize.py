"""Lagged entities built from what has landed: the stream's features equal offline code's, labels among them."""

import itertools
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import pytest

from flows import defaults
from flows.ingest_labels import IngestLabelsRequest, ingest_labels
from flows.materialize import MaterializeRequest, materialize
from fraudline.adapters.archive.reading import EVER, read_archive
from fraudline.adapters.aws.backoff import Deadline, within
from fraudline.adapters.aws.dynamodb import DynamoDB, Statement
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.registry import open_registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.labels import Labels
from fraudline.adapters.tables.profiles import Profiles
from fraudline.clock import format_micros, from_micros
from fraudline.contract import contract_from
from fraudline.decision import pack
from fraudline.durations import DAY, HOUR, MINUTE
from fraudline.errors import LostRace, NotReady
from fraudline.features.definition import feature_set
from fraudline.features.offline import offline_features
from fraudline.features.profile import LaggedHistory
from fraudline.labels import Verdict, with_verdicts
from fraudline.local.emulator import Emulator
from fraudline.materializing import build_lagged, newest_hour
from fraudline.profiles import decode_lagged, profile_key
from fraudline.settings import Settings
from fraudline.transactions.table import TransactionTable, from_transactions
from fraudline.transactions.transaction import Transaction
from tasks.materializing import contract_in_use
from tests.realtime.bundles import bundle_files, version_of
from tests.stream.conftest import Send
from tests.stream.events import BEGIN
from tests.stream.proxy import Body, Reply, proxy, throttled
from tests.stream.storage import stored
from tests.stream.test_lagged import CARDS, WORKER, archive, payments
from tests.stream.worker import deps_of

PACE = 11 * MINUTE
LATER = 1300


def moment(time: int) -> datetime:
    return from_micros(time)


def labels_file(folder: Path, table: TransactionTable) -> tuple[str, dict[str, tuple[Verdict, ...]]]:
    """Two thirds of the transactions labelled after the delay, some a day late, one of them corrected."""
    rng, rows, verdicts = random.Random(5), ["transaction_id,label,known_at"], {}
    for id_, time in zip(table.ids.to_pylist(), table.timestamp.tolist(), strict=True):
        if rng.random() < 0.67:
            known = time + CARDS.label_delay + rng.choice((0, DAY))
            told = [Verdict(int(rng.random() < 0.4), known, "file")]
            if rng.random() < 0.1:
                told.append(Verdict(1 - told[0].label, known + HOUR, "file"))
            verdicts[id_] = tuple(told)
            rows += [f"{id_},{verdict.label},{format_micros(verdict.known_at)}" for verdict in told]
    file = folder / "labels.csv"
    file.write_text("\n".join(rows) + "\n")
    return str(file), verdicts


@pytest.fixture
def cards(resources: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FRAUDLINE_CONTRACT", "cards")
    return resources


def test_the_stream_sees_what_was_built_and_offline_code_follows(cards: Settings, send: Send, tmp_path: Path) -> None:
    deps = deps_of(cards, WORKER)
    send(payments(400, 0))
    run_slice(deps, Limits())
    file, verdicts = labels_file(tmp_path, archive(cards))
    applied = [ingest_labels.fn(IngestLabelsRequest(labels=[file], quarantine=str(tmp_path))) for _ in range(2)]
    assert {result.applied for result in applied} == {sum(map(len, verdicts.values()))}

    now = BEGIN + LATER * PACE
    built = materialize.fn(MaterializeRequest(now=moment(now)))
    assert built.entities == 5
    assert built.through == format_micros(newest_hour(CARDS, now))
    send(payments(60, LATER))
    run_slice(deps, Limits())

    table = with_verdicts(read_archive(open_objects(f"s3://{cards.landing_bucket}"), CARDS).table, verdicts, now)
    names = feature_set(CARDS).names
    features = offline_features(table)
    new = [i for i, id_ in enumerate(table.ids.to_pylist()) if int(id_) >= LATER]
    recorded = stored(cards).decisions
    assert [pack(features[i]) for i in new] == [bytes(recorded[table.ids[i].as_py()]["features"].value) for i in new]
    seen = features[new]
    assert seen[:, names.index("terminal_fraud_30d")].max() > 0
    assert seen[:, names.index("terminal_run")].max() > 0


def test_a_run_that_is_late_by_a_day_builds_up_to_the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    due = datetime.now(UTC) - timedelta(days=1)
    monkeypatch.setattr(defaults.flow_run, "scheduled_start_time", due, raising=False)
    assert defaults.due() == due
    assert datetime.now(UTC) - MaterializeRequest().now < timedelta(minutes=1)


@pytest.mark.parametrize(("lags", "hour"), [(("3h",), 7), (("3h", "1h"), 9), (("1h", "3h"), 9)])
def test_hours_are_built_as_soon_as_the_entity_of_the_shortest_lag_may_see_them(
    lags: tuple[str, ...], hour: int
) -> None:
    values = CARDS.to_json()
    card, terminal = values["entities"]
    lagged = [terminal | {"name": f"e{n}", "column": f"E{n}", "lag": lag} for n, lag in enumerate(lags)]
    contract = contract_from({**values, "entities": [card, *lagged]}, "several.toml")
    assert newest_hour(contract, 10 * HOUR + 59 * MINUTE) == hour * HOUR


def test_a_build_counts_what_came_before_its_hour_and_nothing_of_it() -> None:
    """Transactions up to the hour, labels up to where those who read at that hour end."""
    through = BEGIN + 30 * DAY
    key = profile_key("terminal", "T", feature_set(CARDS).hash)

    def built(time: int, known_at: int | None = None) -> LaggedHistory | None:
        table = from_transactions(CARDS, [Transaction("1", time, 1_000, ("C", "T"), (), ())])
        verdicts = {"1": (Verdict(1, known_at, "ann"),)} if known_at is not None else {}
        return build_lagged(with_verdicts(table, verdicts, EVER), through).get(key)

    assert built(through) is None
    assert built(through - 1) is not None
    end = through + HOUR
    assert built(BEGIN, end) == built(BEGIN)
    assert built(BEGIN, end - 1) != built(BEGIN)


def test_the_contract_is_the_champions_and_without_one_the_deployments(tmp_path: Path) -> None:
    registry, files = open_registry(str(tmp_path), "cards"), bundle_files("ecommerce")
    assert contract_in_use(registry, CARDS) is CARDS
    registry.publish(version_of(files), files)
    assert contract_in_use(registry, CARDS) is CARDS
    registry.promote(version_of(files), "a test", {}, "ann", datetime.now(UTC))
    assert contract_in_use(registry, CARDS).name == "ecommerce"


def test_where_nothing_has_landed_no_hour_is_begun(cards: Settings) -> None:
    with pytest.raises(NotReady, match=r"nothing has landed in s3://.* yet: land files, or score the stream"):
        materialize.fn(MaterializeRequest())
    assert Labels(DynamoDB(AwsJson("dynamodb")), cards.labels_table).newest_build(within(10.0)) == 0


def test_what_is_built_twice_is_equal(cards: Settings, send: Send) -> None:
    send(payments(200, 0))
    run_slice(deps_of(cards, WORKER), Limits())
    table = archive(cards)
    through = newest_hour(CARDS, BEGIN + 150 * PACE)
    shuffled = table.take(random.Random(0).sample(range(len(table)), len(table)))
    assert build_lagged(table, through) == build_lagged(shuffled.take(slice(None)).sorted(), through)


def test_a_build_of_very_many_has_time_for_each_part_of_them(
    resources: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB refuses now and then, and all of it takes longer than any part may."""
    histories = {profile_key("terminal", f"T{number}", "g"): LaggedHistory() for number in range(3000)}
    calls = itertools.count(1)

    def slow(operation: str, body: Body) -> Reply | None:
        if operation != "BatchExecuteStatement":
            return None
        sleep(0.02)
        return throttled() if next(calls) % 5 == 0 else None

    with proxy(emulator.endpoint, slow) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        profiles = Profiles(DynamoDB(AwsJson("dynamodb")), resources.profiles_table, resources.decisions_table)
        profiles.publish("g", histories, HOUR, lambda: within(3.0))
    assert profiles.built_through("g", within(3.0)) == HOUR
    assert len(stored(resources).profiles) == len(histories) + 1


@pytest.mark.parametrize("other", ["T1", "T2"])
def test_a_build_that_comes_late_takes_nothing_back_of_one_of_a_later_hour(resources: Settings, other: str) -> None:
    profiles = Profiles(DynamoDB(AwsJson("dynamodb")), resources.profiles_table, resources.decisions_table)
    newer = {profile_key("terminal", "T1", "g"): LaggedHistory(volume=[2, 2_000])}
    older = {profile_key("terminal", other, "g"): LaggedHistory(volume=[1, 1_000])}
    profiles.publish("g", newer, 2 * HOUR, lambda: within(10.0))
    with pytest.raises(LostRace, match=r"built beyond 1970-01-01T01:00:00\.000000Z by now"):
        profiles.publish("g", older, HOUR, lambda: within(10.0))
    assert profiles.built_through("g", within(10.0)) == 2 * HOUR
    kept = profiles.stored(newer, within(10.0))
    assert {key: decode_lagged(profile.history) for key, profile in kept.items()} == newer


class CutOff(DynamoDB):
    """Dies as it begins the second write of several rows."""

    def __init__(self) -> None:
        super().__init__(AwsJson("dynamodb"))
        self._writes = 0

    def write_if(self, statements: Sequence[Statement], deadline: Deadline) -> None:
        self._writes += 1
        if self._writes == 2:
            raise KeyboardInterrupt
        super().write_if(statements, deadline)


def test_an_hour_is_called_built_only_once_all_of_it_is(resources: Settings) -> None:
    tables = (resources.profiles_table, resources.decisions_table)
    histories = {profile_key("terminal", "T1", "g"): LaggedHistory(volume=[1, 1_000])}
    with pytest.raises(KeyboardInterrupt):
        Profiles(CutOff(), *tables).publish("g", histories, HOUR, lambda: within(10.0))
    profiles = Profiles(DynamoDB(AwsJson("dynamodb")), *tables)
    assert profiles.stored(histories, within(10.0)).keys() == histories.keys()
    assert profiles.built_through("g", within(10.0)) == 0
    for _ in range(2):
        profiles.publish("g", histories, HOUR, lambda: within(10.0))
        assert profiles.built_through("g", within(10.0)) == HOUR

"""The skew monitor: equal bits at equal positions, staleness told apart, and a feature that differs named."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.inputs.files import load_transactions
from fraudline.adapters.live_skew import live_skew, read_pasts
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.deps import stream_deps
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.decisions import Decisions
from fraudline.adapters.tables.profiles import Profiles
from fraudline.contract import Contract
from fraudline.decision import Decision, pack, unpack
from fraudline.features import definition
from fraudline.features.definition import feature_set
from fraudline.features.offline import offline_features
from fraudline.features.online import OnlineFeatures
from fraudline.features.scalar import OPERATIONS
from fraudline.microbatch.values import Reading
from fraudline.profiles import ProfileChange, decode_history, encode_history, profile_key
from fraudline.quality.monitoring import LiveSkew
from fraudline.quality.skew import compare_offline, compare_paths, profile_differences, rebuild
from fraudline.settings import Settings
from fraudline.transactions.table import from_transactions
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator
from tasks import monitoring
from tasks.streaming import build_generation
from tests.stream.bundles import small_bundle
from tests.stream.events import clean_events

NIGHT = "is_night"


@pytest.fixture(scope="module")
def transactions(contract: Contract) -> list[Transaction]:
    decode = Validator(contract).decode
    return [t for _, data in clean_events(400, users=15) if isinstance(t := decode(data), Transaction)]


def decided(contract: Contract, transactions: list[Transaction], online: OnlineFeatures) -> dict[str, Decision]:
    """Decisions as a path records them that computes its features with `online`."""
    histories = {}
    found = {}
    for number, t in enumerate(transactions):
        history = histories.setdefault(t.entities[0], online.new_history())
        computed = online.features(t, history)
        online.count(history, t, computed.effective_time)
        found[t.id] = Decision(
            *(t.id, "stream", sum(computed.features) / 7 % 1, False, 0.5, "v1", ()),
            *(t.timestamp, computed.effective_time, {"user": t.entities[0]}, t.amount, pack(computed.features)),
            *(f"{number:06d}", f"{history.totals[0] - 1}", 0, b""),
        )
    return found


def with_another_night(contract: Contract) -> OnlineFeatures:
    """The online execution of somebody who thought that night ends at seven."""
    right = feature_set(contract)
    features = tuple(f._replace(expression="indicator(hour < 7)") if f.name == NIGHT else f for f in right.features)
    online = OnlineFeatures(contract)
    wrong = right._replace(features=features, code=definition._compile(features, right.primitives))
    online._function = wrong.bind(OPERATIONS)
    return online


def recomputed(contract: Contract, transactions: list[Transaction], decisions: dict[str, Decision]) -> dict[str, list]:
    table = replace(
        from_transactions(contract, transactions),
        effective_time=np.array([decisions[t.id].effective_time for t in transactions]),
    )
    return dict(zip(table.ids.to_pylist(), offline_features(table).tolist(), strict=True))


def test_two_executions_of_one_definition_are_equal_on_every_transaction(
    contract: Contract, transactions: list[Transaction]
) -> None:
    stream = decided(contract, transactions, OnlineFeatures(contract))
    skew = compare_offline(stream, [recomputed(contract, transactions, stream)], feature_set(contract))
    assert (skew.compared, skew.equal, skew.differences) == (400, 400, ())


def test_night_defined_differently_online_is_found_and_named(
    contract: Contract, transactions: list[Transaction]
) -> None:
    stream = decided(contract, transactions, with_another_night(contract))
    skew = compare_offline(stream, [recomputed(contract, transactions, stream)], feature_set(contract))
    hours = [t.timestamp // 3_600_000_000 % 24 for t in transactions]
    assert skew.named == {NIGHT: hours.count(6)}
    assert skew.equal == 400 - hours.count(6)


def test_night_defined_differently_in_the_real_time_function_is_found_and_named(
    contract: Contract, transactions: list[Transaction]
) -> None:
    stream = decided(contract, transactions, OnlineFeatures(contract))
    realtime = decided(contract, transactions, with_another_night(contract))
    skew = compare_paths(stream, realtime, feature_set(contract).names)
    assert set(skew.named) == {NIGHT, "score"}
    assert skew.stale == 0


def test_unequal_positions_are_staleness_and_no_skew(contract: Contract, transactions: list[Transaction]) -> None:
    stream = decided(contract, transactions, OnlineFeatures(contract))
    realtime = {
        id_: msgspec.structs.replace(d, profile_position="older", features=b"", score=0.0)
        for id_, d in list(stream.items())[:30]
    }
    skew = compare_paths(stream, realtime, feature_set(contract).names)
    assert (skew.compared, skew.stale, skew.equal, skew.differences) == (30, 30, 0, ())


def test_a_last_bit_is_a_difference(contract: Contract, transactions: list[Transaction]) -> None:
    stream = decided(contract, transactions, OnlineFeatures(contract))
    (id_, decision), *_ = stream.items()
    features = list(unpack(decision.features))
    features[0] = np.nextafter(features[0], np.inf)
    other = {id_: msgspec.structs.replace(decision, features=pack(features))}
    assert compare_paths(stream, other, feature_set(contract).names).named == {"amount": 1}


def test_a_profile_that_missed_a_transaction_differs_from_its_archive(
    contract: Contract, transactions: list[Transaction]
) -> None:
    online = OnlineFeatures(contract)
    own = [(t, t.timestamp) for t in sorted(transactions, key=lambda t: t.timestamp) if t.entities[0] == "U1"]
    assert profile_differences(rebuild(online, own), rebuild(online, own)) == []
    assert "totals" in profile_differences(rebuild(online, own[1:]), rebuild(online, own))


class Live:
    """A stream that was scored, and what the monitor reads of it."""

    def __init__(self, settings: Settings, contract: Contract) -> None:
        self.contract, self.settings = contract, settings
        self.landing = open_objects(f"s3://{settings.landing_bucket}")
        dynamodb = DynamoDB(AwsJson("dynamodb"))
        self.decisions = Decisions(dynamodb, settings.decisions_table, contract)
        self.profiles = Profiles(dynamodb, settings.profiles_table, settings.decisions_table)

    def score(self, events: list[tuple[str, bytes]]) -> None:
        Producer(client("kinesis"), self.settings.stream).send(events)
        run_slice(stream_deps(self.settings, small_bundle(), "w1"), Limits(batch_records=30))

    def skew(self) -> LiveSkew:
        pasts = read_pasts(self.contract, self.landing)
        ids = pasts[0].ids.to_pylist()
        return live_skew(self.contract, pasts, ids, self.decisions, self.profiles, within(60))


@pytest.fixture
def live(resources: Settings, contract: Contract) -> Live:
    return Live(resources, contract)


def test_a_scored_stream_agrees_with_its_archive(live: Live) -> None:
    live.score(clean_events(120, users=6))
    seen = live.skew()
    assert (seen.offline.compared, seen.offline.equal, seen.paths.compared) == (120, 120, 0)
    assert (seen.profiles_compared, seen.is_skewed) == (6, False)


def test_of_a_window_what_happened_in_it_is_compared_or_a_sample_of_that(
    live: Live, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.score(clean_events(120, users=6))
    times = sorted(read_pasts(contract, live.landing)[0].timestamp.tolist())
    assert monitoring.compare_paths(live.settings, contract, times[10], times[30]).offline.compared == 20
    monkeypatch.setattr(monitoring, "SAMPLE", 7)
    assert monitoring.compare_paths(live.settings, contract, times[10], times[30]).offline.compared == 7


def test_profiles_that_have_moved_on_since_the_archive_was_read_are_left_out(live: Live, contract: Contract) -> None:
    events = clean_events(120, users=6)
    live.score(events[:110])
    pasts = read_pasts(contract, live.landing)
    live.score(events[110:])
    moved = {key for key, _ in events[110:]}
    assert 0 < len(moved) < 6
    seen = live_skew(contract, pasts, pasts[0].ids.to_pylist(), live.decisions, live.profiles, within(60))
    assert (seen.profiles_compared, seen.is_skewed) == (6 - len(moved), False)


def test_labelled_files_of_what_was_streamed_that_come_later_are_no_skew(live: Live) -> None:
    live.score(clean_events(120, users=6))
    live.landing.put("files/labels.jsonl", b"\n".join(data for _, data in clean_events(150, users=6)))
    seen = live.skew()
    assert (seen.offline.equal, seen.profiles_compared, seen.is_skewed) == (120, 6, False)


def test_profiles_warmed_up_from_files_are_no_skew(live: Live, contract: Contract) -> None:
    events = clean_events(200, users=6)
    live.landing.put("files/history.jsonl", b"\n".join(data for _, data in events[:120]))
    history = load_transactions(contract, [f"s3://{live.settings.landing_bucket}/files/"]).table
    build_generation(live.settings, history)
    live.score(events[120:])
    for _ in range(2):
        seen = live.skew()
        assert (seen.offline.compared, seen.offline.equal, seen.profiles_compared) == (80, 80, 6)
        assert not seen.is_skewed
        # What the stream has brought counts once, though its labels land with it.
        live.landing.put("files/labels.jsonl", b"\n".join(data for _, data in events[120:]))


def test_a_decision_at_checkout_that_differs_in_one_feature_is_named(live: Live, contract: Contract) -> None:
    live.score(clean_events(40, users=4))
    (decision,) = live.decisions.read(["t000007"], within(10)).values()
    features = list(unpack(decision.features))
    features[feature_set(contract).names.index(NIGHT)] += 1.0
    live.decisions.write([msgspec.structs.replace(decision, origin="realtime", features=pack(features))], within(10))
    seen = live.skew()
    assert (seen.paths.compared, seen.paths.named, seen.named) == (1, {NIGHT: 1}, {NIGHT: 1})


def test_a_stored_profile_that_lost_a_transaction_is_found(live: Live, contract: Contract) -> None:
    live.score(clean_events(40, users=4))
    key = profile_key("user", "U1", feature_set(contract).hash)
    stored = live.profiles.view(Reading((), (), {"U1": key}, {}), frozenset(), within(10)).profiles["U1"]
    history = decode_history(stored.history)
    history.totals[0] -= 1
    change = ProfileChange(key, stored.position, stored.position, encode_history(history))
    live.profiles.commit([change], within(10))
    assert live.skew().named == {"profile totals": 1}

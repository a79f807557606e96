"""The core of a micro-batch, without any storage: cut as you like, replay from any point, the outcome is one."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.archive import Account
from fraudline.clock import format_micros
from fraudline.decision import Decision
from fraudline.durations import DAY, HOUR, MINUTE, floor_hour
from fraudline.errors import Unavailable
from fraudline.features.constants import SQUARE_CAP
from fraudline.features.online import OnlineFeatures
from fraudline.features.profile import LaggedHistory
from fraudline.microbatch.batches import (
    ENTITY_FULL,
    SCORER_ERROR,
    WRONG_PARTITION_KEY,
    WRONG_SHARD,
    MicroBatches,
    account_of,
)
from fraudline.microbatch.values import Outcome, ScoringBundle, View
from fraudline.profiles import ProfileChange, StoredProfile, decode_history, encode_history, profile_key
from fraudline.stream import Batch, Intent, Record, Shard, position_of
from fraudline.transactions.transaction import CONFLICTING_ID
from tests.stream.bundles import SmallBundle, small_bundle
from tests.stream.events import BEGIN, Sent, clean_events, dirty_events, sent, transaction
from tests.stream.storage import balances

WHOLE = Shard("s0", 0, 2**128 - 1)
BUNDLE = small_bundle()


def records(events: Iterable[Sent], first: int = 1) -> tuple[Record, ...]:
    return tuple(
        Record(str(number), position_of(str(number), WHOLE.id), key, BEGIN + 30 * DAY + number, data)
        for number, (key, data) in enumerate(events, first)
    )


def batch(part: Sequence[Record], shard: Shard = WHOLE) -> Batch:
    return Batch(shard, tuple(part), Intent(part[-1].sequence, len(part), BUNDLE.version, 1_800_000_000_000_000))


@dataclass
class Memory:
    """What the tables and the bucket would hold."""

    bundle: ScoringBundle = BUNDLE
    profiles: dict[str, StoredProfile] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    archive: dict[str, tuple[Account, frozenset[str]]] = field(default_factory=dict)

    def attempt(self, part: Batch, commits: int | None = None) -> Outcome:
        """One attempt at a batch that dies after so many profiles are written (None: it lives)."""
        core = MicroBatches(self.bundle)
        reading = core.read(part)
        pinned = self.archive.get(part.records[0].position)
        recorded = {} if pinned else {id_: decision.digest for id_, decision in self.decisions.items()}
        profiles = {id_: self.profiles[key] for id_, key in reading.profile_keys.items() if key in self.profiles}
        outcome = core.decide(part, reading, View(profiles, {}, recorded, pinned[1] if pinned else None))
        if not pinned:
            counted = frozenset(row.position for row in outcome.rows)
            self.archive[part.records[0].position] = (account_of(part, outcome), counted)
        for decision in outcome.decisions:
            known = self.decisions.setdefault(decision.transaction_id, decision)
            assert known == decision, "a decision was changed by a replay"
        for change in outcome.changes[:commits]:
            self.commit(change)
        return outcome

    def commit(self, change: ProfileChange) -> None:
        stored = self.profiles.get(change.key)
        assert (stored.position if stored else "") == change.read_position, "a profile was moved twice"
        self.profiles[change.key] = StoredProfile(change.position, change.history)

    @property
    def ends(self) -> dict[str, str]:
        """What became of every record, by its position: scored, a duplicate, or why it was refused."""
        found = dict[str, str]()
        for account, counted in self.archive.values():
            found |= dict.fromkeys(counted, "scored") | dict.fromkeys(account.duplicates, "duplicate")
            found |= {refusal.position: refusal.reason for refusal in account.refused}
        return found


def run(events: Iterable[Sent], cuts: Iterable[int] = (), bundle: ScoringBundle = BUNDLE) -> Memory:
    """Memory after all events in batches that end at `cuts`."""
    memory, all_records = Memory(bundle), records(events)
    edges = sorted({0, len(all_records), *(cut for cut in cuts if cut < len(all_records))})
    for begin, end in pairwise(edges):
        memory.attempt(batch(all_records[begin:end]))
    return memory


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 79), max_size=12))
def test_however_a_stream_is_cut_the_outcome_is_the_same(cuts: list[int]) -> None:
    events = dirty_events(80, users=6)
    whole, cut = run(events), run(events, cuts)
    assert cut.decisions == whole.decisions
    assert cut.profiles == whole.profiles
    assert cut.ends == whole.ends
    assert sum(account.read for account, _ in cut.archive.values()) == len(events)
    assert all(balances(account) for account, _ in cut.archive.values())


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 6), max_size=8))
def test_a_batch_that_dies_between_any_two_profiles_is_replayed_to_the_same_end(deaths: list[int]) -> None:
    events = records(dirty_events(80, users=6))
    first, second = batch(events[:40]), batch(events[40:])
    calm, troubled = Memory(), Memory()
    for part in (first, second):
        calm.attempt(part)
    for part, commits in [(first, None), *((second, commits) for commits in deaths), (second, None)]:
        troubled.attempt(part, commits)
    assert (troubled.decisions, troubled.profiles, troubled.archive) == (calm.decisions, calm.profiles, calm.archive)


def refusals(outcome: Outcome) -> dict[str, str]:
    return {refusal.position.partition("#")[0].lstrip("0"): refusal.reason for refusal in outcome.refused}


def test_an_identical_copy_is_a_duplicate_and_another_one_a_conflict() -> None:
    (key, data), *_ = clean_events(1, users=1)
    other = json.dumps({**json.loads(data), "amount": 1.5}).encode()
    memory = Memory()
    first = memory.attempt(batch(records([(key, data), (key, data), (key, other)])))
    later = memory.attempt(batch(records([(key, data), (key, other)], first=4)))
    assert (len(first.decisions), len(later.decisions)) == (1, 0)
    assert (first.duplicates, later.duplicates) == ((position_of("2", "s0"),), (position_of("4", "s0"),))
    assert (refusals(first), refusals(later)) == ({"3": CONFLICTING_ID}, {"5": CONFLICTING_ID})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("timestamp", format_micros(BEGIN + 1)),
        ("amount", 1.5),
        ("device_type", "tablet"),
        ("location", "a place of no other"),
        ("is_vpn", 1),
        ("card_type", "prepaid"),
        ("is_fraud", 1),
    ],
)
def test_a_copy_is_a_conflict_whichever_of_its_values_is_another(column: str, value: object) -> None:
    made = {"device_type": "mobile", "location": "Paris", "is_vpn": 0, "card_type": "credit", "is_fraud": 0}
    first = transaction(1, "U1", BEGIN, random.Random(1), **made)
    outcome = Memory().attempt(batch(records([sent(first), sent({**first, column: value}), sent(first)])))
    assert (refusals(outcome), outcome.duplicates) == ({"2": CONFLICTING_ID}, (position_of("3", "s0"),))


def test_an_id_that_belongs_to_another_user_is_a_conflict() -> None:
    rng = random.Random(1)
    mine, yours = (sent(transaction(1, user, BEGIN, rng)) for user in ("U1", "U2"))
    memory = Memory()
    memory.attempt(batch(records([mine])))
    outcome = memory.attempt(batch(records([yours], first=2)))
    assert refusals(outcome) == {"2": CONFLICTING_ID}
    assert memory.decisions["t000001"].entity == "user#U1"
    assert len(memory.profiles) == 1


def test_a_record_under_a_strange_key_or_in_a_strange_shard_is_refused() -> None:
    (key, data), *_ = clean_events(1, users=1)
    narrow = Shard("s0", 0, 0)
    core = MicroBatches(BUNDLE)
    assert core.read(batch(records([("else", data)]))).refused[0].reason == WRONG_PARTITION_KEY
    assert core.read(batch(records([(key, data)]), narrow)).refused[0].reason == WRONG_SHARD


class Moody:
    """A scorer that fails on some amounts."""

    def __init__(self, bundle: SmallBundle, fails: Exception | float) -> None:
        self._bundle = bundle
        self._fails = fails

    def score(self, features: Sequence[float]) -> float:
        if features[0] != 13.0:
            return self._bundle.scorer.score(features)
        if isinstance(self._fails, Exception):
            raise self._fails
        return self._fails

    def score_many(self, rows: Sequence[Sequence[float]]) -> list[float]:
        return [self.score(row) for row in rows]

    def contributions(self, features: Sequence[float]) -> list[float]:
        return self._bundle.scorer.contributions(features)


@pytest.mark.parametrize("fails", [ZeroDivisionError("no"), float("nan"), 1.5])
def test_a_record_the_scorer_fails_on_is_refused_alone_and_never_counted(fails: Exception | float) -> None:
    events = clean_events(20, users=3)
    key = events[7][0]
    bad = sent(transaction(999, key, BEGIN + 10**9, random.Random(1), amount=13.0))
    moody = Memory(bundle=replace(BUNDLE, scorer=Moody(BUNDLE, fails)))  # type: ignore[arg-type]
    outcome = moody.attempt(batch(records([*events[:8], bad, *events[8:]])))
    calm = Memory()
    calm.attempt(batch(records(events)))
    assert refusals(outcome) == {"9": SCORER_ERROR}
    assert {i: d.score for i, d in moody.decisions.items()} == {i: d.score for i, d in calm.decisions.items()}
    assert {k: p.history for k, p in moody.profiles.items()} == {k: p.history for k, p in calm.profiles.items()}


def test_who_has_had_nothing_but_refused_records_gets_no_profile() -> None:
    """One that has counted nothing would stand where the first that counts something has to be new."""
    bad = sent(transaction(999, "U999", BEGIN, random.Random(1), amount=13.0))
    moody = Memory(bundle=replace(BUNDLE, scorer=Moody(BUNDLE, ZeroDivisionError("no"))))  # type: ignore[arg-type]
    outcome = moody.attempt(batch(records([bad, *clean_events(5, users=2)])))
    assert refusals(outcome) == {"1": SCORER_ERROR}
    assert {change.key.split("#")[1] for change in outcome.changes} == {"U0", "U1"}


def test_what_is_refused_is_told_in_the_order_of_the_stream_whatever_it_is_refused_for() -> None:
    (key, data), *_ = clean_events(1, users=1)
    other = json.dumps({**json.loads(data), "amount": 1.5}).encode()
    bad = sent(transaction(999, "U9", BEGIN, random.Random(1), amount=13.0))
    moody = Memory(bundle=replace(BUNDLE, scorer=Moody(BUNDLE, ZeroDivisionError("no"))))  # type: ignore[arg-type]
    outcome = moody.attempt(batch(records([(key, data), bad, (key, other), (key, b"torn"), (key, other)])))
    told = [SCORER_ERROR, CONFLICTING_ID, "not_json", CONFLICTING_ID]
    assert list(refusals(outcome).items()) == [(str(number), reason) for number, reason in enumerate(told, 2)]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([5.0, 7.0, 13.0])), min_size=2, max_size=10),
    st.lists(st.integers(1, 9), max_size=4),
)
def test_a_record_that_was_never_counted_is_the_first_copy_of_none_however_a_stream_is_cut(
    drawn: list[tuple[int, float]], cuts: list[int]
) -> None:
    events = [sent(transaction(n, "U1", BEGIN + n, random.Random(n), amount=amount)) for n, amount in drawn]
    moody = replace(BUNDLE, scorer=Moody(BUNDLE, ZeroDivisionError("no")))  # type: ignore[arg-type]
    whole, cut = run(events, bundle=moody), run(events, cuts, bundle=moody)
    assert (cut.decisions, cut.profiles, cut.ends) == (whole.decisions, whole.profiles, whole.ends)
    first = dict[int, float]()
    for (number, amount), end in zip(drawn, (whole.ends[record.position] for record in records(events)), strict=True):
        if amount == 13.0 and number not in first:
            assert end == SCORER_ERROR
        elif first.setdefault(number, amount) != amount:
            assert end == CONFLICTING_ID


def test_what_cannot_be_read_for_the_moment_is_no_fault_of_the_record() -> None:
    """A batch that is to look at lagged entities as they were before what is kept is done again, not refused."""
    bundle = small_bundle("cards")
    record = {
        "TRANSACTION_ID": 1,
        "CUSTOMER_ID": 7,
        "TERMINAL_ID": 3,
        "TX_AMOUNT": 5,
        "TX_DATETIME": format_micros(BEGIN),
    }
    part = records([("7", json.dumps(record).encode())])
    intent = Intent(part[-1].sequence, 1, bundle.version, 1_800_000_000_000_000, floor_hour(BEGIN) - 2 * HOUR)
    core, begun = MicroBatches(bundle), Batch(WHOLE, part, intent)
    reading = core.read(begun)
    assert not reading.refused
    kept = LaggedHistory(complete_from=floor_hour(BEGIN))
    with pytest.raises(Unavailable, match="run `fraudline materialize`"):
        core.decide(begun, reading, View({}, dict.fromkeys(reading.lagged_keys, kept), {}))


def test_a_decision_tells_up_to_where_its_profile_had_counted() -> None:
    rng = random.Random(1)
    events = [sent(transaction(n, "U1", BEGIN + n, rng)) for n in range(3)]
    memory = Memory()
    memory.attempt(batch(records(events[:1])))
    memory.attempt(batch(records(events[1:], first=2)))
    seen = [d.profile_position for d in memory.decisions.values()]
    assert seen == ["", position_of("1", "s0"), position_of("2", "s0")]


@settings(deadline=None, max_examples=25)
@given(room=st.integers(0, 5), amounts=st.lists(st.sampled_from([1, 100, 2**22, 2**23]), min_size=5, max_size=5))
def test_a_record_that_an_entity_has_no_room_for_is_refused_alone_before_it_counts(
    room: int, amounts: list[int]
) -> None:
    """A merchant may have more transactions than offline code, which has 64 bits, can sum up."""
    rng = random.Random(1)
    mine = [transaction(n, "U1", BEGIN + n * MINUTE, rng, amount=amount / 100) for n, amount in enumerate(amounts)]
    other = [transaction(9, "U2", BEGIN, rng)]
    squares = [min(amount, SQUARE_CAP) ** 2 for amount in amounts]
    online = OnlineFeatures(BUNDLE.contract)
    history = online.new_history()
    history.first = history.last = BEGIN
    history.totals = [2**20, 2**40, 2**63 - 1 - sum(squares[:room]), 0]
    key = profile_key("user", "U1", online.set.hash)
    memory = Memory(profiles={key: StoredProfile(position_of("0", WHOLE.id), encode_history(history))})
    outcome = memory.attempt(batch(records(map(sent, [*mine, *other]))))
    counted = []
    for position, square in enumerate(squares):
        if sum(squares[at] for at in counted) + square <= sum(squares[:room]):
            counted.append(position)
    assert [refusal.reason for refusal in outcome.refused] == [ENTITY_FULL] * (5 - len(counted))
    assert [d.transaction_id for d in outcome.decisions] == [*(mine[at]["transaction_id"] for at in counted), "t000009"]
    assert decode_history(memory.profiles[key].history).totals[0] == 2**20 + len(counted)

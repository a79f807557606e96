"""Law 3 for what comes late: a build that did not see a record, a file or a label shows it to no decision, ever."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.contract import Contract, load_contract
from fraudline.durations import DAY, HOUR, floor_hour
from fraudline.errors import Unavailable
from fraudline.features.definition import feature_set
from fraudline.features.offline import OfflineFeatures, offline_features
from fraudline.features.online import OnlineFeatures
from fraudline.features.online_lagged import REACH, LaggedCounter
from fraudline.features.profile import LabelEvent, LaggedHistory, run_of
from fraudline.labels import Verdict, with_verdicts
from fraudline.materializing import build_lagged
from fraudline.profiles import decode_lagged, encode_history, profile_key
from fraudline.transactions.table import NOT_RECORDED, UNKNOWN, TransactionTable
from fraudline.transactions.transaction import Transaction
from tests.parity.contracts import Draw, contracts, draws, transactions
from tests.parity.replay import arrived

thorough = settings(max_examples=60, deadline=None)


@dataclass
class Deployment:
    """Online decisions, builds and labels as they happen, each knowing only what came before it."""

    contract: Contract
    built: int = 0
    read_at: int = 0
    came: list[Transaction] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)
    built_through: list[int] = field(default_factory=list)
    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
    decided: list[list[float]] = field(default_factory=list)
    _lagged: dict[str, LaggedHistory] = field(default_factory=dict)

    def table(self) -> TransactionTable:
        """All that has landed, in the order it counts."""
        table = replace(
            arrived(self.contract, self.came),
            built_through=np.array(self.built_through, dtype=np.int64),
            missed_by=np.array(self.missed, dtype=np.int64),
        )
        return with_verdicts(table, self.verdicts, as_of=2**62)

    def decide(self, transaction: Transaction, at: int) -> None:
        """Score it as a batch whose intent was written when lagged entities were built up to the hour `at`."""
        online, history = OnlineFeatures(self.contract), OnlineFeatures(self.contract).new_history()
        for earlier in self.came:
            if earlier.entities[0] == transaction.entities[0]:
                online.count(history, earlier, max(earlier.timestamp, history.last))
        computed = online.features(transaction, history, self._read(transaction), at)
        self._land(transaction, at)
        self.decided.append(computed.features)

    def file(self, transaction: Transaction) -> None:
        """Land it in a file: nobody decides on it."""
        self._land(transaction, NOT_RECORDED)
        self.decided.append([])

    def say(self, id_: str, label: int, known_at: int) -> None:
        self.verdicts.setdefault(id_, []).append(Verdict(label, known_at, "ann", missed_by=self.built))

    def build(self, through: int) -> None:
        """The next build; those who wrote their intent before it may still read at the hour of the one before."""
        self._lagged = {
            key: decode_lagged(encode_history(history))
            for key, history in build_lagged(self.table(), through, self.read_at).items()
        }
        self.built = through

    def _land(self, transaction: Transaction, built_through: int) -> None:
        self.came.append(transaction)
        self.missed.append(self.built)
        self.built_through.append(built_through)

    def _read(self, transaction: Transaction) -> list[LaggedHistory | None]:
        generation = feature_set(self.contract).hash
        pairs = zip(self.contract.lagged_entities, transaction.entities[1:], strict=True)
        return [self._lagged.get(profile_key(entity.name, id_, generation)) for entity, id_ in pairs]

    def assert_offline_follows(self) -> None:
        table = self.table()
        decided = np.array([bool(features) for features in self.decided])
        expected = np.array([features for features in self.decided if features])
        assert offline_features(table, decided).tobytes() == np.asfortranarray(expected).tobytes()
        in_turns = OfflineFeatures(table)
        for turn in (decided & (np.arange(len(table)) % 2 == 0), decided & (np.arange(len(table)) % 2 == 1)):
            for at, columns in in_turns.blocks(turn):
                told = np.ascontiguousarray(expected[np.flatnonzero(turn[decided])[at]])
                assert np.stack(columns, axis=1).tobytes() == told.tobytes()


@thorough
@given(contract=contracts(), drawn=draws(40), data=st.data())
def test_offline_features_are_those_of_the_decisions_however_late_something_comes(
    contract: Contract, drawn: list[Draw], data: st.DataObject
) -> None:
    made = transactions(contract, drawn)
    rng = data.draw(st.randoms(use_true_random=False))
    deployment = run(contract, made, rng)
    deployment.assert_offline_follows()


@pytest.mark.parametrize("seed", range(6))
def test_offline_features_are_those_of_the_decisions_on_a_long_and_busy_stream(seed: int) -> None:
    rng, contract = random.Random(seed), load_contract("cards")
    drawn = [
        Draw(rng.choice([0, 4, 5, 6, 6]), n, (rng.randrange(3), rng.randrange(2), 0, 0), 0, 0, rng.randrange(-1, 2))
        for n in range(250)
    ]
    run(contract, transactions(contract, drawn), rng).assert_offline_follows()


def run(contract: Contract, made: Sequence[Transaction], rng: random.Random) -> Deployment:
    """Records and files hours late, labels late, corrected, withdrawn and backdated, builds between any two of them."""
    deployment, waiting = Deployment(contract), list(made)
    while waiting:
        transaction = waiting.pop(rng.randrange(min(4, len(waiting))))
        if rng.random() < 0.4:
            deployment.read_at = rng.choice([deployment.read_at, deployment.built])
            ahead = rng.choice([-2 * DAY, -HOUR, 0, 0, 0, HOUR, DAY])
            deployment.build(max(floor_hour(transaction.timestamp + ahead), deployment.built + rng.choice([0, HOUR])))
        if rng.random() < 0.15:
            deployment.file(transaction)
        else:
            deployment.decide(transaction, rng.choice([deployment.built, deployment.read_at]))
        deployment.read_at = deployment.built if rng.random() < 0.5 else deployment.read_at
        for _ in range(rng.choice([0, 0, 1, 2])):
            of = rng.choice(deployment.came)
            late = contract.label_delay + rng.choice([-contract.label_delay, -HOUR, 0, 1, DAY, 9 * DAY])
            deployment.say(of.id, rng.choice([0, 1, 1, UNKNOWN]), of.timestamp + late)
    return deployment


def test_a_record_after_its_hour_was_built_is_seen_by_the_decisions_after_the_next_build_only() -> None:
    contract = load_contract("cards")
    begin = 1_772_000_000_000_000 // DAY * DAY
    deployment = Deployment(contract)

    def payment(number: int, card: str, time: int) -> Transaction:
        return Transaction(f"t{number}", time, 500, (card, "T"), (), (), None)

    deployment.decide(payment(1, "a", begin), 0)
    deployment.build(begin + 2 * HOUR)
    deployment.decide(payment(2, "late", begin + HOUR), begin + 2 * HOUR)
    deployment.decide(payment(3, "b", begin + 4 * HOUR), begin + 2 * HOUR)
    deployment.read_at = deployment.built
    deployment.build(begin + 3 * HOUR)
    deployment.decide(payment(4, "c", begin + 5 * HOUR), begin + 3 * HOUR)
    deployment.assert_offline_follows()
    count = feature_set(contract).names.index("terminal_count_1d")
    assert [features[count] for features in deployment.decided] == [0, 0, 1, 2]
    # What nobody has decided on is shown what happened.
    plain = replace(deployment.table(), built_through=None)
    assert offline_features(plain)[:, count].tolist() == [0, 0, 2, 2]


def test_a_file_that_lands_late_gives_its_own_rows_the_times_of_its_transactions() -> None:
    contract = load_contract("cards")
    made = transactions(contract, [Draw(5, n, (n % 3, n % 2, 0, 0), 0, 0, n % 2) for n in range(40)])
    file = arrived(contract, made)
    late = replace(file, missed_by=np.full(len(file), made[-1].timestamp + DAY))
    assert offline_features(late).tobytes() == offline_features(file).tobytes()


# Withdrawn labels


@pytest.mark.parametrize("seed", range(20))
def test_a_run_after_withdrawals_is_that_of_the_labels_left_standing(seed: int) -> None:
    rng, counter, history = random.Random(seed), LaggedCounter(load_contract("cards").entities[1]), LaggedHistory()
    standing: list[LabelEvent] = []
    for hour in range(60):
        time = hour * HOUR
        if standing and rng.random() < 0.3:
            gone = standing.pop(rng.randrange(len(standing)))
            counter.withdraw_label(history, gone, time, standing)
        else:
            fraud = rng.randrange(2)
            label = LabelEvent(time, fraud, fraud and rng.randrange(2))
            standing.append(label)
            counter.count_label(history, label)
        rebuilt = LaggedHistory()
        for label in standing:
            counter.count_label(rebuilt, label)
        assert history.labels == rebuilt.labels
        assert history.labels[3:] == list(run_of(standing))


def test_a_label_that_was_corrected_leaves_the_runs_of_other_entities_alone() -> None:
    contract = load_contract("cards")
    begin = 1_772_000_000_000_000 // DAY * DAY
    deployment = Deployment(contract)

    def payment(number: int, terminal: str, time: int) -> Transaction:
        return Transaction(f"t{number}", time, 500, (f"card {number}", terminal), (), (), None)

    deployment.decide(payment(1, "corrected", begin), 0)
    deployment.decide(payment(2, "used for fraud", begin + DAY), 0)
    known = begin + 2 * DAY + contract.label_delay
    for id_, label, after in (("t1", 1, -3 * HOUR), ("t2", 1, 0), ("t1", 0, HOUR)):
        deployment.say(id_, label, known + after)
    deployment.build(known + DAY)
    deployment.decide(payment(3, "used for fraud", known + DAY), known + DAY)
    deployment.assert_offline_follows()
    age = feature_set(contract).names.index("terminal_run_days")
    assert deployment.decided[-1][age] == (known + DAY - (begin + 2 * DAY)) / DAY


# Readers far behind


def test_a_reader_behind_what_is_kept_is_refused_rather_than_shown_what_is_left() -> None:
    contract = load_contract("cards")
    begin = 1_772_000_000_000_000 // DAY * DAY
    deployment = Deployment(contract)
    for day in range(9):
        time = begin + day * DAY
        deployment.decide(Transaction(f"t{day}", time, 500, (f"c{day}", "T"), (), (), None), deployment.built)
        deployment.read_at = deployment.built
        deployment.build(floor_hour(time))
    late = Transaction("late", begin + 8 * DAY, 500, ("c", "T"), (), (), None)
    with pytest.raises(Unavailable, match="run `fraudline materialize`"):
        deployment.decide(late, begin + 4 * DAY)
    # A build that knows of the reader keeps its hours.
    deployment.read_at = begin + 4 * DAY
    deployment.build(deployment.built + HOUR)
    deployment.decide(late, begin + 4 * DAY)
    deployment.assert_offline_follows()


def test_a_transaction_that_is_later_than_hours_are_kept_sees_nothing_of_lagged_entities() -> None:
    contract = load_contract("cards")
    begin = 1_772_000_000_000_000 // DAY * DAY
    deployment = Deployment(contract)
    for hour in range(12):
        deployment.decide(
            Transaction(f"t{hour}", begin + hour * HOUR, 500, (f"c{hour}", "T"), (), (), None), deployment.built
        )
    built = begin + 10 * HOUR + REACH
    deployment.build(built)
    for number, time in enumerate((begin + 10 * HOUR, begin + 11 * HOUR)):
        deployment.decide(Transaction(f"late{number}", time, 500, (f"l{number}", "T"), (), (), None), built)
    deployment.assert_offline_follows()
    count = feature_set(contract).names.index("terminal_count_1d")
    assert [features[count] for features in deployment.decided[-2:]] == [0, 10]

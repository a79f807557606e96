"""Law 1: the vectorised and the incremental execution of one feature definition give the same bits."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.contract import SHIPPED, Contract, contract_from, load_contract
from fraudline.durations import DAY, HOUR, MINUTE
from fraudline.errors import BadInput
from fraudline.features.constants import MAX_SEEN_VALUES, SQUARE_CAP
from fraudline.features.definition import feature_set
from fraudline.features.offline import offline_features
from fraudline.features.offline_partition import explained_by_amount
from fraudline.features.online import Computed, OnlineFeatures
from fraudline.features.profile import History, LaggedHistory
from fraudline.generation import Generation
from fraudline.transactions.table import TransactionTable, from_transactions
from fraudline.transactions.transaction import Transaction
from tests.parity.contracts import Draw, contracts, draws, transactions
from tests.parity.replay import arrived, hours_before, replay

thorough = settings(max_examples=60, deadline=None)
batch_sizes = st.lists(st.integers(1, 20), max_size=12)


def assert_same_bits(table: TransactionTable, computed: Sequence[Computed]) -> None:
    offline = offline_features(table)
    online = np.array([row.features for row in computed], dtype=np.float64).reshape(offline.shape)
    names = feature_set(table.contract).names
    differing = np.argwhere(online.view(np.int64) != np.ascontiguousarray(offline).view(np.int64))
    shown = [(int(r), names[c], float(online[r, c]), float(offline[r, c])) for r, c in differing[:5]]
    assert not shown, f"row, feature, online, offline: {shown}"
    assert [row.effective_time for row in computed] == table.effective_time.tolist()


@pytest.mark.parametrize("name", SHIPPED)
@thorough
@given(drawn=draws(80), batches=batch_sizes)
def test_shipped_contracts_give_the_same_bits_however_events_are_batched(
    name: str, drawn: list[Draw], batches: list[int]
) -> None:
    contract = load_contract(name)
    table = from_transactions(contract, transactions(contract, drawn)).sorted()
    assert_same_bits(table, replay(table, batches))


@thorough
@given(contract=contracts(), drawn=draws(), batches=batch_sizes)
def test_any_contract_gives_the_same_bits_however_events_are_batched(
    contract: Contract, drawn: list[Draw], batches: list[int]
) -> None:
    table = from_transactions(contract, transactions(contract, drawn)).sorted()
    assert_same_bits(table, replay(table, batches))


@thorough
@given(contract=contracts(), drawn=draws(), data=st.data())
def test_events_that_arrive_late_count_at_their_recorded_effective_time(
    contract: Contract, drawn: list[Draw], data: st.DataObject
) -> None:
    # Lagged entities are built from what arrived; only lateness within the lag (an hour at least) is seen by both.
    late = 29 * MINUTE if contract.lagged_entities else 40 * DAY
    arrivals = [
        (t.timestamp + data.draw(st.integers(0, late), label="late by"), t) for t in transactions(contract, drawn)
    ]
    table = arrived(contract, [t for _, t in sorted(arrivals, key=lambda arrival: arrival[0])])
    assert_same_bits(table, replay(table, data.draw(batch_sizes, label="batches")))


@thorough
@given(contract=contracts(), drawn=draws(), data=st.data())
def test_labels_that_come_early_or_late_count_when_they_were_known(
    contract: Contract, drawn: list[Draw], data: st.DataObject
) -> None:
    made = transactions(contract, drawn)
    shift = st.sampled_from([-contract.label_delay, -HOUR, 0, 1, HOUR, 3 * DAY, 40 * DAY])
    known_at = [t.timestamp + contract.label_delay + data.draw(shift, label="known later by") for t in made]
    table = arrived(contract, made, known_at)
    assert_same_bits(table, replay(table))


@thorough
@given(
    contract=contracts(), drawn=draws(), hours=st.lists(st.integers(0, 47), min_size=60, max_size=60), data=st.data()
)
def test_the_recorded_hour_of_lagged_entities_is_followed(
    contract: Contract, drawn: list[Draw], hours: list[int], data: st.DataObject
) -> None:
    made = transactions(contract, drawn)
    table = hours_before(arrived(contract, made), hours[: len(made)])
    ahead = data.draw(st.sampled_from([0, HOUR, 2 * DAY]), label="builder ahead by")
    assert_same_bits(table, replay(table, ahead=ahead))


@pytest.mark.parametrize("seed", range(3))
def test_a_reader_two_days_behind_the_builder_still_finds_its_tiles(seed: int) -> None:
    contract, choose = load_contract("cards"), random.Random(seed)
    gaps = [0, 3, 4, 5]
    drawn = [
        Draw(choose.choice(gaps), n, (n % 5, choose.randrange(2), 0, 0), 0, 0, choose.randrange(2)) for n in range(500)
    ]
    made = transactions(contract, drawn)
    table = hours_before(arrived(contract, made), [choose.randrange(48) for _ in made])
    assert_same_bits(table, replay(table, ahead=2 * DAY))


def test_a_reader_before_any_build_sees_nothing_of_lagged_entities() -> None:
    contract = load_contract("cards")
    made = transactions(contract, [Draw(4 + n % 5, n, (n % 2, 0, 0, 0), 0, 0, n % 2) for n in range(60)])
    table = replace(from_transactions(contract, made), built_through=np.zeros(60, dtype=np.int64))
    assert_same_bits(table, replay(table))
    counts = [i for i, name in enumerate(feature_set(contract).names) if name.startswith("terminal_count")]
    assert not offline_features(table)[:, counts].any()


def test_a_batch_begun_before_the_first_build_sees_nothing_of_it_however_it_is_built() -> None:
    """A build may keep no hour that such a batch could read: it is to see nothing, not to wait for hours of it."""
    contract, time = load_contract("cards"), 1_772_000_000_000_000
    purchase, built = (
        Transaction("t1", time, 1_000, ("C1", "T1"), (), ()),
        LaggedHistory([9, 9_000], complete_from=time),
    )
    online = OnlineFeatures(contract)
    assert online.features(purchase, None, [built], 0) == online.features(purchase, None, [None], 0)


def test_an_amount_over_twice_the_usual_explains_a_fraud_and_one_of_twice_does_not() -> None:
    contract = load_contract("cards")
    paid = [("C1", 1_000), ("C2", 1_000), ("C1", 2_000), ("C2", 2_001), ("C3", 5_000)]
    made = [
        Transaction(f"t{n}", 1_772_000_000_000_000 + n * HOUR, amount, (card, "T1"), (), (), 1)
        for n, (card, amount) in enumerate(paid)
    ]
    table = from_transactions(contract, made)
    told = [False, False, False, True, False]
    assert [row.explained for row in replay(table)] == explained_by_amount(table).tolist() == told
    assert_same_bits(table, replay(table))


def test_more_values_of_a_category_than_a_profile_remembers_stay_new_on_both_paths() -> None:
    contract = load_contract("ecommerce")
    choose = random.Random(5)
    made = [_purchase(n, choose.randrange(3), f"town {choose.randrange(200)}") for n in range(900)]
    table = from_transactions(contract, made)
    assert_same_bits(table, replay(table, [7] * 200))
    new = feature_set(contract).names.index("location_new")
    towns: set[str] = set()
    for transaction, features in zip(made, offline_features(table), strict=True):
        if transaction.entities == ("user0",):
            remembered = transaction.categories[1] in towns
            assert features[new] == (0.0 if remembered or not towns else 1.0)
            towns |= {transaction.categories[1]} if len(towns) < MAX_SEEN_VALUES else set()
    assert len(towns) == MAX_SEEN_VALUES


def _purchase(number: int, user: int, town: str) -> Transaction:
    time = 1_772_000_000_000_000 + number * 20 * MINUTE
    return Transaction(f"t{number:06d}", time, 1_000, (f"user{user}",), ("mobile", town, "credit"), (0,), 0)


@pytest.mark.parametrize("name", SHIPPED)
def test_ten_thousand_events_of_one_entity_at_the_largest_amount_stay_exact(name: str) -> None:
    contract = _with_largest_amounts(load_contract(name))
    high = 2**40
    made = [
        Transaction(
            f"t{number:06d}",
            1_772_000_000_000_000 + number * 90_000_000,
            high if number % 100 else high - number,
            tuple(f"{entity.name}" for entity in contract.entities),
            tuple(category.values[0] if category.values else "here" for category in contract.categories),
            tuple(0 for _ in contract.flags),
            int(number % 50 == 0),
        )
        for number in range(10_000)
    ]
    table = from_transactions(contract, made)
    assert_same_bits(table, replay(table, [500] * 20))
    assert np.isfinite(offline_features(table)).all()


def test_a_user_with_a_hundred_thousand_events_and_one_with_a_single_event_do_not_mix() -> None:
    contract = load_contract("ecommerce")
    busy = [_purchase(number, 1, "Oslo") for number in range(100_000)]
    table = from_transactions(contract, [*busy, _purchase(100_000, 2, "Oslo")])
    features = offline_features(table)
    assert np.isfinite(features).all()
    counted = features[:, feature_set(contract).names.index("user_count_30d")]
    # A purchase every 20 minutes: 72 a day, counted from the floored day on.
    assert (counted[:3].tolist(), counted[-1]) == ([0.0, 1.0, 2.0], 0.0)
    assert 30 * 72 <= counted[50_000] < 31 * 72


def _with_largest_amounts(contract: Contract) -> Contract:
    values = contract.to_json()
    return contract_from({**values, "amount": {**values["amount"], "max": 2**40 / 100}}, "largest amounts")


def test_an_empty_table_has_features_of_no_rows() -> None:
    for name in SHIPPED:
        contract = load_contract(name)
        features = offline_features(from_transactions(contract, []))
        assert features.shape == (0, len(feature_set(contract).names))


@thorough
@given(contract=contracts(), drawn=draws(), data=st.data())
def test_features_of_chosen_rows_are_those_rows_of_all_features(
    contract: Contract, drawn: list[Draw], data: st.DataObject
) -> None:
    table = from_transactions(contract, transactions(contract, drawn))
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(table), max_size=len(table))))
    assert offline_features(table, chosen).tobytes() == np.asfortranarray(offline_features(table)[chosen]).tobytes()


def test_more_of_one_entity_than_sums_up_exactly_is_refused_on_both_paths_at_the_same_transaction() -> None:
    """2**19 squares of amounts at the cap are 2**63: in 64 bits they would wrap around."""
    contract, most = load_contract("ecommerce"), 2**19 - 1
    dear = msgspec.structs.replace(_purchase(0, 0, "Lyon"), amount=SQUARE_CAP)
    table = from_transactions(contract, [dear]).take(np.zeros(most + 1, dtype=np.int64))
    last = np.arange(most) == most - 1
    z = feature_set(contract).names.index("user_z")
    assert 0 <= offline_features(table.take(slice(most)), last)[0, z] < 1
    with pytest.raises(BadInput, match="a user has 524,288 transactions, more than can be summed up exactly"):
        offline_features(table, np.r_[last, False])
    online = OnlineFeatures(contract)
    squares = SQUARE_CAP**2
    assert online.has_room(History(totals=[most, most * SQUARE_CAP, most * squares, 0]))
    assert not online.has_room(History(totals=[most + 1, (most + 1) * SQUARE_CAP, (most + 1) * squares, 0]))
    with pytest.raises(BadInput, match="a user has 524,288 transactions"):
        Generation(contract).warm(repeat(dear, most + 1))

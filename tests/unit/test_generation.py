"""Profiles: what is remembered of an entity stays small, and a generation from history is what a stream would have."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.archive import Row
from fraudline.clock import format_micros
from fraudline.contract import load_contract
from fraudline.durations import DAY, HOUR, MINUTE, floor_hour
from fraudline.features.constants import MAX_SEEN_VALUES, OUTLIER_MIN_COUNT, OUTLIER_RATIO, SQUARE_CAP
from fraudline.features.definition import windows
from fraudline.features.online import OnlineFeatures
from fraudline.features.online_lagged import LaggedCounter
from fraudline.features.profile import History, LabelEvent, LaggedHistory, Tiles
from fraudline.generation import FROM_HISTORY, Counted, Generation, differing
from fraudline.profiles import StoredProfile, decode_history, decode_lagged, encode_history
from fraudline.transactions.transaction import Transaction
from tests.parity.contracts import Draw, draws, transactions
from tests.parity.replay import arrived, replay

SHOP, CARDS = load_contract("ecommerce"), load_contract("cards")
START = 1_767_225_600_000_000


def purchase(number: int, time: int, amount: int = 1_000, town: str = "Rome", user: str = "U1") -> Transaction:
    return Transaction(f"t{number:06d}", time, amount, (user,), ("mobile", town, "credit"), (0,))


def counted(purchases: list[Transaction]) -> History:
    return Generation(SHOP).warm(purchases)[purchases[0].entities[0]].history


def feature(name: str, transaction: Transaction, history: History) -> float:
    online = OnlineFeatures(SHOP)
    return online.features(transaction, history).features[online.set.names.index(name)]


# Size


def test_two_years_of_a_busy_user_are_remembered_in_a_few_dozen_tiles() -> None:
    choose = random.Random(1)
    times = sorted(choose.randrange(730 * DAY) for _ in range(20_000))
    purchases = [
        purchase(n, START + time, choose.randrange(1, 10**8), f"town {choose.randrange(500)}")
        for n, time in enumerate(times)
    ]
    history = counted(purchases)
    longest = max(window.length for window in windows(SHOP.partition_entity))
    assert len(history.days.starts) <= longest // DAY + 2
    assert len(history.hours.starts) <= 26
    assert all(len(seen) <= MAX_SEEN_VALUES for seen in history.seen)
    assert len(encode_history(history)) < 4_000
    assert history.totals[0] == 20_000


def test_two_years_of_a_terminal_are_remembered_in_a_hundred_tiles() -> None:
    counter, history = LaggedCounter(CARDS.entities[1]), LaggedHistory()
    choose = random.Random(2)
    for time in sorted(START + choose.randrange(730 * DAY) for _ in range(20_000)):
        counter.count_transaction(history, time, 5_000)
        counter.count_label(history, LabelEvent(time, choose.randrange(2), choose.randrange(2)))
    for hours, days in ((history.volume_hours, history.volume_days), (history.label_hours, history.label_days)):
        assert len(hours.starts) <= 4 * 24 + 2
        assert len(days.starts) <= 30 + 3 + 2
    assert len(encode_history(history)) < 8_000


def test_forgotten_tiles_are_those_that_no_window_reaches() -> None:
    tiles = Tiles()
    for hour in range(50):
        tiles.open(hour * HOUR, [hour], keep_from=(hour - 24) * HOUR)
    assert tiles.starts == [hour * HOUR for hour in range(25, 50)]
    assert [tiles.totals_before(index)[0] for index in range(25)] == list(range(25, 50))
    assert len(tiles.top) == len(tiles.starts)


def test_totals_at_a_time_are_those_before_the_first_tile_from_then_on() -> None:
    tiles = Tiles()
    for hour in (1, 3, 7):
        tiles.open(hour * HOUR, [hour], keep_from=0)
    tiles.open(7 * HOUR, [99], keep_from=0)
    assert [tiles.at(hour * HOUR, [100])[0] for hour in (0, 1, 2, 3, 4, 7, 8)] == [1, 1, 3, 3, 7, 7, 100]


def test_a_profile_is_stored_as_plain_arrays_which_an_older_release_has_written_and_can_read() -> None:
    history = counted([purchase(0, START, 300), purchase(1, START + HOUR, 500), purchase(2, START + DAY, 400)])
    tile, later = [0, 0, 0, 0], [2, 800, 300**2 + 500**2, 0]
    hours = [[START, START + HOUR, START + DAY], [tile, [1, 300, 300**2, 0], later], [300, 500, 400]]
    seen = [{"mobile": 3}, {"Rome": 3}, {"credit": 3}, {"0": 3}]
    totals = [3, 1_200, 300**2 + 500**2 + 400**2, 0]
    plain = [START, START + DAY, totals, [3, 1_200], [3, 1_200]]
    plain += [hours, [[START, START + DAY], [tile, later], [500, 400]], seen]
    assert encode_history(history) == msgspec.msgpack.encode(plain)
    assert encode_history(decode_history(msgspec.msgpack.encode(plain))) == msgspec.msgpack.encode(plain)


# Windows


def test_windows_start_on_floored_hours_and_days() -> None:
    base = floor_hour(START) + 30 * DAY
    history = counted([purchase(0, base), purchase(1, base + HOUR - 1), purchase(2, base + HOUR)])
    now = base + 2 * HOUR + 5 * MINUTE
    # The hour window of 02:05 starts at 01:00.
    assert feature("user_count_1h", purchase(3, now), history) == 1.0
    assert feature("user_count_1d", purchase(3, now), history) == 3.0
    assert feature("user_count_1d", purchase(3, base + DAY + HOUR), history) == 1.0
    assert feature("user_count_7d", purchase(3, base + 7 * DAY + 23 * HOUR), history) == 3.0
    assert feature("user_count_7d", purchase(3, base + 8 * DAY), history) == 0.0


def test_a_window_holds_the_largest_amount_even_within_its_newest_tile() -> None:
    amounts = [1_000, 1_000, 1_000, 9_000, 2_000]
    history = counted([purchase(n, START + n * MINUTE, amount) for n, amount in enumerate(amounts)])
    assert feature("user_top_1h", purchase(9, START + 10 * MINUTE), history) > 3.0
    assert feature("user_top_1h", purchase(9, START + 3 * HOUR), history) == 0.0


# Outliers


def test_an_outlier_is_over_three_times_the_usual_once_three_are_known() -> None:
    for known, expected in ((OUTLIER_MIN_COUNT - 1, 0), (OUTLIER_MIN_COUNT, 1)):
        usual = [purchase(n, START + n * HOUR) for n in range(known)]
        history = counted([*usual, purchase(90, START + 90 * HOUR, 1_000 * OUTLIER_RATIO + 1)])
        assert history.totals[3] == expected
    usual = [purchase(n, START + n * HOUR) for n in range(OUTLIER_MIN_COUNT)]
    exactly = counted([*usual, purchase(90, START + 90 * HOUR, 1_000 * OUTLIER_RATIO)])
    assert exactly.totals[3] == 0


def test_outliers_leave_the_usual_amount_as_it_was() -> None:
    usual = [purchase(n, START + n * HOUR) for n in range(10)]
    history = counted([*usual, *(purchase(20 + n, START + (20 + n) * HOUR, 10**7) for n in range(5))])
    assert history.usual == [10, 10_000]
    assert history.totals[0] == 15
    assert feature("user_usual", purchase(99, START + 99 * HOUR), history) == 10.0


def test_squares_are_capped_where_sums_would_leave_64_bits() -> None:
    history = counted([purchase(n, START + n, 2**40) for n in range(1_000)])
    assert history.totals[1] == 1_000 * 2**40
    assert history.totals[2] == 1_000 * SQUARE_CAP**2 < 2**63


def test_a_value_is_new_until_it_was_seen_and_stays_new_once_memory_is_full() -> None:
    many = [purchase(n, START + n * MINUTE, town=f"town {n}") for n in range(MAX_SEEN_VALUES + 5)]
    history = counted(many)
    later = START + 10 * DAY
    assert feature("location_new", purchase(0, later, town="town 0"), history) == 0.0
    assert feature("location_new", purchase(0, later, town=f"town {MAX_SEEN_VALUES}"), history) == 1.0
    assert feature("location_new", purchase(0, later, town="elsewhere"), history) == 1.0
    assert feature("location_new", purchase(0, START, town="anywhere"), OnlineFeatures(SHOP).new_history()) == 0.0


# Order


def test_an_event_that_arrives_late_counts_when_its_user_last_counted() -> None:
    history = counted([purchase(0, START + DAY)])
    late = OnlineFeatures(SHOP).features(purchase(1, START), history)
    assert late.effective_time == START + DAY
    assert feature("user_hours_since_last", purchase(1, START), history) == 0.0
    assert feature("hour", purchase(1, START + 5 * HOUR), history) == 5.0


def test_reading_features_changes_nothing() -> None:
    history = counted([purchase(n, START + n * HOUR) for n in range(5)])
    before = encode_history(history)
    OnlineFeatures(SHOP).features(purchase(9, START + 9 * HOUR, 10**8, "Oslo"), history)
    assert encode_history(history) == before


# Labels of lagged entities


def test_a_label_withdrawn_gives_its_counts_back() -> None:
    counter, history = LaggedCounter(CARDS.entities[1]), LaggedHistory()
    counter.count_label(history, LabelEvent(START, 0, 0))
    before = history.labels[:3]
    fraud = LabelEvent(START + HOUR, 1, 1)
    counter.count_label(history, fraud)
    assert history.labels[:3] == [2, 1, 1]
    counter.withdraw_label(history, fraud, START + 2 * HOUR, [LabelEvent(START, 0, 0)])
    assert history.labels[:3] == before


def test_a_run_of_unexplained_frauds_ends_with_a_cleared_transaction() -> None:
    counter, history = LaggedCounter(CARDS.entities[1]), LaggedHistory()
    for hour, (fraud, unexplained) in enumerate([(1, 1), (1, 0), (1, 1)]):
        counter.count_label(history, LabelEvent(START + hour * HOUR, fraud, unexplained))
    assert history.labels == [3, 3, 2, 2, START, START + 2 * HOUR, -1]
    counter.count_label(history, LabelEvent(START + 3 * HOUR, 0, 0))
    assert history.labels == [4, 3, 2, 0, -1, START + 2 * HOUR, START + 3 * HOUR]


# Generations


@settings(deadline=None, max_examples=40)
@given(drawn=draws(40))
def test_a_generation_from_history_is_what_the_stream_would_remember(drawn: list[Draw]) -> None:
    made = transactions(SHOP, drawn)
    online, histories = OnlineFeatures(SHOP), {}
    for transaction, computed in zip(made, replay(arrived(SHOP, made)), strict=True):
        history = histories.setdefault(transaction.entities[0], online.new_history())
        online.count(history, transaction, computed.effective_time)
    assert {id_: counted.history for id_, counted in Generation(SHOP).warm(made).items()} == histories


def rows(made: list[Transaction], first: int = 1) -> list[Row]:
    """The archive of these purchases."""
    return [
        Row(
            f"{first + number:056d}#s",
            made_.timestamp,
            made_.timestamp,
            msgspec.Raw(
                msgspec.json.encode(
                    {
                        "transaction_id": made_.id,
                        "user_id": made_.entities[0],
                        "timestamp": format_micros(made_.timestamp),
                        "amount": made_.amount / 100,
                        "device_type": made_.categories[0],
                        "location": made_.categories[1],
                        "is_vpn": made_.flags[0],
                        "card_type": made_.categories[2],
                    }
                )
            ),
        )
        for number, made_ in enumerate(made)
    ]


def test_a_history_stands_before_every_record_of_any_shard_under_its_generation() -> None:
    generation = Generation(SHOP)
    warm = generation.warm([purchase(n, START + n * HOUR, user=f"U{n % 2}") for n in range(6)])
    changes = generation.changes(warm, {})
    assert sorted(change.key for change in changes) == [f"user#U0#{generation.name}", f"user#U1#{generation.name}"]
    assert all(change.is_new and change.position == FROM_HISTORY for change in changes)
    assert f"{1:056d}#shard" > FROM_HISTORY > ""


def test_archived_purchases_count_after_a_history_as_if_they_were_one() -> None:
    made = [purchase(n, START + n * HOUR, amount=1_000 + n, user=f"U{n % 3}") for n in range(30)]
    generation = Generation(SHOP)
    profiles = generation.warm(made[:10])
    generation.count(profiles, generation.events(rows(made[10:])))
    whole = generation.warm(made)
    assert {id_: p.history for id_, p in profiles.items()} == {id_: p.history for id_, p in whole.items()}
    assert {p.position for p in profiles.values()} == {f"{n:056d}#s" for n in (18, 19, 20)}


def test_what_a_profile_has_counted_is_not_counted_again() -> None:
    made = [purchase(n, START + n * HOUR) for n in range(9)]
    generation, profiles = Generation(SHOP), {}
    generation.count(profiles, generation.events(rows(made[:6])))
    generation.count(profiles, generation.events(rows(made)))
    assert profiles["U1"].history == counted(made)


def test_a_profile_is_written_only_where_the_stored_one_is_behind() -> None:
    generation = Generation(SHOP)
    profiles: dict[str, Counted] = {}
    generation.count(profiles, generation.events(rows([purchase(0, START)], first=5)))
    stored = {at: {"U1": StoredProfile(f"{at:056d}#s", b"")} for at in (4, 5, 6)}
    (change,) = generation.changes(profiles, stored[4])
    assert (change.read_position, change.position) == (f"{4:056d}#s", f"{5:056d}#s")
    assert generation.changes(profiles, stored[5]) == generation.changes(profiles, stored[6]) == []


def test_two_generations_differ_where_one_has_counted_what_the_other_has_not() -> None:
    made = [purchase(n, START + n * HOUR) for n in range(5)]
    generation = Generation(SHOP)
    profiles = generation.warm(made)
    same = StoredProfile(FROM_HISTORY, encode_history(counted(made)))
    fewer = StoredProfile(FROM_HISTORY, encode_history(counted(made[1:])))
    further = StoredProfile(f"{9:056d}#s", encode_history(counted(made[1:])))
    assert [differing(profiles, {"U1": other}) for other in (same, fewer, further)] == [[], ["U1"], []]


def test_a_row_that_the_contract_refuses_is_no_event() -> None:
    (row,) = rows([purchase(0, START)])
    assert Generation(SHOP).events([msgspec.structs.replace(row, record=msgspec.Raw(b"{}"))]) == []


@settings(deadline=None, max_examples=40)
@given(drawn=draws(30), lagged=st.booleans())
def test_a_profile_survives_being_stored(drawn: list[Draw], lagged: bool) -> None:
    for counted in Generation(CARDS).warm(transactions(CARDS, drawn)).values():
        assert decode_history(encode_history(counted.history)) == counted.history
    counter, later = LaggedCounter(CARDS.entities[1]), LaggedHistory()
    for transaction in transactions(CARDS, drawn):
        counter.count_transaction(later, transaction.timestamp, transaction.amount)
        if lagged:
            counter.count_label(later, LabelEvent(transaction.timestamp, transaction.label or 0, 1))
    assert decode_lagged(encode_history(later)) == later


def test_bytes_that_are_no_profile_are_not_taken_for_one() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_history(b"\xc1")

"""Sample traffic is the sample's last day, live: new ids, the time it is sent at, and bursts that stay bursts."""

import itertools
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pandas as pd
import pytest

from fraudline.clock import parse_timestamp
from fraudline.durations import SECOND
from fraudline.local import traffic
from fraudline.local.traffic import landed, live
from fraudline.simulate import Population, simulate

BEGIN = 1_800_000_000.0


@pytest.fixture(scope="module")
def frame() -> Any:
    start = datetime.now(UTC).date() - timedelta(days=4)
    return simulate(Population(users=60, start=start, days=5, fraud_rate=0.05, seed=3))


def today(frame: Any) -> Any:
    return frame[frame["timestamp"] >= datetime.now(UTC).date().isoformat()]


def records(frame: Any, count: int) -> list[tuple[str, dict[str, Any]]]:
    """What is sent where each look at the clock is ten seconds after the one before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traffic, "time", SimpleNamespace(time=itertools.count(BEGIN, 10.0).__next__))
        return [(key, msgspec.json.decode(data)) for key, data in itertools.islice(live(frame), count)]


def test_what_happened_before_today_has_its_labels_and_today_has_not_landed(frame: Any) -> None:
    past = landed(frame)
    assert 0 < len(past) == len(frame) - len(today(frame))
    assert "is_fraud" in past.columns
    assert past["timestamp"].max() < datetime.now(UTC).date().isoformat()


def test_each_record_is_a_transaction_of_its_own_at_the_moment_it_is_sent(frame: Any) -> None:
    sent = records(frame, 300)
    assert len({record["transaction_id"] for _, record in sent}) == 300
    times = [parse_timestamp(record["timestamp"], "UTC") / SECOND for _, record in sent]
    assert times == sorted(times)
    assert times[0] >= BEGIN
    assert [key for key, _ in sent] == [record["user_id"] for _, record in sent]
    assert all("is_fraud" not in record for _, record in sent)


def test_everybody_of_today_comes_once_and_then_newcomers_on_another_scale(frame: Any) -> None:
    users = set(today(frame)["user_id"])
    order = list(dict.fromkeys(record["user_id"] for _, record in records(frame, 3 * len(today(frame)))))
    assert set(order[: len(users)]) == users
    newcomers = order[len(users) :]
    assert newcomers
    assert {user.rpartition("-")[0] for user in newcomers} <= users


def test_newcomers_spend_between_half_and_one_and_a_half_of_who_they_are_like(frame: Any) -> None:
    amounts = today(frame).groupby("user_id")["amount"].apply(set)
    sent = [record for _, record in records(frame, 3 * len(today(frame)))]
    assert all(r["amount"] in amounts[r["user_id"]] for r in sent if "-" not in r["user_id"])
    scaled = [(r["amount"], amounts[r["user_id"].rpartition("-")[0]]) for r in sent if "-" in r["user_id"]]
    assert scaled
    assert all(any(0.5 * own - 0.01 <= amount <= 1.5 * own + 0.01 for own in known) for amount, known in scaled)


def test_what_somebody_does_next_comes_as_long_after_as_in_the_sample(frame: Any) -> None:
    apart: dict[str, list[float]] = {}
    for user, own in today(frame).sort_values("timestamp").groupby("user_id"):
        times = pd.to_datetime(own["timestamp"])
        apart[str(user)] = (times - times.iloc[0]).dt.total_seconds().tolist()
    sent: defaultdict[str, list[float]] = defaultdict(list)
    for _, record in records(frame, 2 * len(today(frame))):
        sent[record["user_id"]].append(parse_timestamp(record["timestamp"], "UTC") / SECOND)
    several = {user: times for user, times in sent.items() if len(times) > 1 and user in apart}
    assert several
    for user, times in several.items():
        # Each waits for its time, and then for its turn among the others.
        assert all(
            time - times[0] >= after - 20 * len(apart) for time, after in zip(times, apart[user], strict=False)
        ), user

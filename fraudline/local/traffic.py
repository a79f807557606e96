"""Sample traffic: the last day of the sample's users, again and again, as if it happened now.

`python -m fraudline.local.traffic RATE` sends RATE records a second to the stream of the environment until it is
stopped.
"""

import heapq
import itertools
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pandas as pd

from fraudline.adapters.aws.clients import client
from fraudline.adapters.stream.producer import Outgoing, Producer
from fraudline.clock import format_micros
from fraudline.settings import load_settings
from fraudline.simulate import Population, simulate

DAYS = 46
# Records of one call to the stream; a second's worth at a low rate.
_CALL = 100


def sample() -> Any:
    """Labelled transactions of `DAYS` days up to today, as a pandas frame: the same all day long."""
    start = datetime.now(UTC).date() - timedelta(days=DAYS - 1)
    return simulate(Population(users=400, start=start, days=DAYS, fraud_rate=0.02, seed=0))


def landed(frame: Any) -> Any:
    """What has happened before today, to be trained on."""
    return frame[frame["timestamp"] < datetime.now(UTC).date().isoformat()]


def live(frame: Any) -> Iterator[Outgoing]:
    """Today's transactions without labels for ever, each under a new id and at the moment it is asked for.

    What somebody does next comes as long after as in the sample: bursts are bursts, and nobody shops a day's worth in a
    minute. Meanwhile newcomers begin days like it, each on a larger or smaller scale.
    """
    days = _days(frame[frame["timestamp"] >= datetime.now(UTC).date().isoformat()].drop(columns="is_fraud"))
    waiting: list[tuple[float, int, dict[str, Any]]] = []
    arrivals = itertools.count()
    for number in itertools.count():
        repeat, person = divmod(number, len(days))
        begun = time.time()
        for offset, record in days[person]:
            scaled = record if repeat == 0 else _newcomer(record, repeat, number)
            heapq.heappush(waiting, (begun + offset, next(arrivals), scaled))
        while waiting and waiting[0][0] <= time.time():
            yield _now(heapq.heappop(waiting)[2], time.time())


def _days(today: Any) -> list[list[tuple[float, dict[str, Any]]]]:
    """Each user's transactions of the day, with the seconds since the first."""
    days = []
    for _, own in today.sort_values("timestamp").groupby("user_id", sort=False):
        times = pd.to_datetime(own["timestamp"])
        days.append(list(zip((times - times.iloc[0]).dt.total_seconds(), own.to_dict("records"), strict=True)))
    return days


def _newcomer(record: dict[str, Any], repeat: int, number: int) -> dict[str, Any]:
    # The golden ratio spreads the scales evenly, between a half and one and a half.
    scale = 0.5 + number * 0.6180339887 % 1
    return {**record, "user_id": f"{record['user_id']}-{repeat}", "amount": round(record["amount"] * scale, 2)}


def _now(record: dict[str, Any], now: float) -> Outgoing:
    micros = round(now * 1e6)
    data = {**record, "transaction_id": f"L{micros:x}", "timestamp": format_micros(micros)}
    return Outgoing(str(record["user_id"]), msgspec.json.encode(data))


def main(rate: float) -> None:
    producer = Producer(client("kinesis"), load_settings().stream)
    records = live(sample())
    at_a_time = max(1, min(_CALL, round(rate)))
    while True:
        producer.send([next(records) for _ in range(at_a_time)])
        time.sleep(at_a_time / rate)


if __name__ == "__main__":
    main(float(sys.argv[1]))

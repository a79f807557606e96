"""Sample traffic: the last day of the sample's users, again and again, as if it happened now.

`python -m fraudline.local.traffic RATE` sends RATE records a second to the stream of the environment until it is
stopped.
"""

import itertools
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from fraudline.adapters.clients import client
from fraudline.adapters.producer import Outgoing, Producer
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

    Those who have had their day are followed by newcomers who do the same: nobody shops a day's worth in a minute.
    """
    today = frame[frame["timestamp"] >= datetime.now(UTC).date().isoformat()].drop(columns="is_fraud")
    records = today.to_dict("records")
    for day in itertools.count():
        for record in records:
            now = time.time_ns() // 1000
            user = f"{record['user_id']}-{day}" if day else str(record["user_id"])
            data = {**record, "transaction_id": f"L{now:x}", "user_id": user, "timestamp": format_micros(now)}
            yield Outgoing(user, msgspec.json.encode(data))


def main(rate: float) -> None:
    producer = Producer(client("kinesis"), load_settings().stream)
    records = live(sample())
    at_a_time = max(1, min(_CALL, round(rate)))
    while True:
        producer.send([next(records) for _ in range(at_a_time)])
        time.sleep(at_a_time / rate)


if __name__ == "__main__":
    main(float(sys.argv[1]))

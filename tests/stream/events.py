"""Transactions as producers send them, and the dirt that comes with them."""

import json
import random
from typing import Any

from fraudline.clock import format_micros, parse_timestamp
from fraudline.durations import MINUTE

BEGIN = parse_timestamp("2026-01-05T08:00:00Z", "UTC")

Sent = tuple[str, bytes]


def transaction(number: int, user: str, time: int, rng: random.Random, **changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"t{number:06d}",
        "user_id": user,
        "timestamp": format_micros(time),
        "amount": rng.randrange(100, 50_000) / 100,
        "device_type": rng.choice(("mobile", "desktop", "tablet")),
        "location": rng.choice(("Paris", "Lyon", "Nice")),
        "is_vpn": rng.randrange(2),
        "card_type": rng.choice(("credit", "debit", "prepaid")),
        **changes,
    }


def sent(record: dict[str, Any]) -> Sent:
    return record["user_id"], json.dumps(record).encode()


def clean_events(count: int, users: int, seed: int = 1, first: int = 0, late: float = 0.05) -> list[Sent]:
    """Transactions of `users` in time order, a share of them three hours late, under the right partition keys."""
    rng = random.Random(seed)
    events = []
    for number in range(first, first + count):
        time = BEGIN + number * 7 * MINUTE
        time -= (rng.random() < late) * 180 * MINUTE
        events.append(transaction(number, f"U{rng.randrange(users)}", time, rng))
    return [sent(event) for event in events]


def dirty_events(count: int, users: int, seed: int = 1, first: int = 0) -> list[Sent]:
    """The same, a fifth of them followed by a copy, a conflicting copy or a record that is no transaction."""
    rng = random.Random(seed + 1)
    woven: list[Sent] = []
    for key, data in clean_events(count, users, seed, first):
        woven.append((key, data))
        record = json.loads(data)
        choice = rng.randrange(40)
        if choice in (0, 1):
            woven.append((key, data))
        elif choice == 2:
            woven.append(sent({**record, "amount": record["amount"] + 1}))
        elif choice == 3:
            woven.append((key, b'{"transaction_id": "torn'))
        elif choice == 4:
            woven.append((key, b"\xff\xfe\x00 not text"))
        elif choice == 5:
            woven.append(sent({**record, "transaction_id": f"x{key}{rng.random()}", "device_type": "fridge"}))
        elif choice == 6:
            woven.append((f"{key}-else", sent({**record, "transaction_id": f"y{rng.random()}"})[1]))
        elif choice == 7:
            woven.append(sent({**record, "transaction_id": f"z{rng.random()}", "amount": "12"}))
    return woven

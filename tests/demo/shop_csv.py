"""Somebody else's file: a small shop's payments, made by other rules and written in other habits than the simulator's.

Integer ids, times without a zone, True and False, Windows line ends, columns in another order, a column more, and a few
rows that are none.
"""

import csv
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

COLUMNS = (
    "timestamp",
    "transaction_id",
    "user_id",
    "amount",
    "card_type",
    "device_type",
    "location",
    "is_vpn",
    "is_fraud",
    "note",
)
START, DAYS, CUSTOMERS = datetime(2026, 3, 2), 42, 90
Row = tuple[object, ...]


def write_shop(path: Path, seed: int = 7) -> int:
    """The file; how many rows it has below its header."""
    rows = list(_rows(random.Random(seed)))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return len(rows)


def _rows(draw: random.Random) -> Iterator[Row]:
    number = 5000
    for day in range(DAYS):
        paid = [_payment(draw, day, customer) for customer in range(CUSTOMERS) if draw.random() < 0.9]
        paid += [payment for _ in range(3) for payment in _stolen(draw, day)]
        for payment in sorted(paid, key=lambda row: str(row[0])):
            number += 1
            yield (payment[0], number, *payment[1:])
        yield ("soon", number + 100_000, 1, "1.00", "credit", "mobile", "Lyon", "False", "0", "no time")
        yield (
            f"{START + timedelta(days=day)}",
            number + 200_000,
            2,
            "abc",
            "credit",
            "mobile",
            "Lyon",
            "False",
            "0",
            "",
        )
    yield ("2026-03-04 10:00:00", 1, 1, "5.00", "credit")


def _payment(draw: random.Random, day: int, customer: int) -> Row:
    """At the customer's own hour, place and price level."""
    time = START + timedelta(days=day, hours=8 + customer % 12, seconds=draw.randrange(3600))
    amount = f"{draw.gauss(20 + customer, 4):.2f}"
    card, place = ("credit", "debit", "prepaid")[customer % 3], ("Lyon", "Porto", "Graz")[customer % 3]
    return (str(time), customer, amount, card, "mobile" if customer % 2 else "desktop", place, "False", 0, "")


def _stolen(draw: random.Random, day: int) -> Iterator[Row]:
    """One or two payments at night, from elsewhere, by somebody who does not know what the customer usually pays."""
    customer = draw.randrange(CUSTOMERS)
    time = START + timedelta(days=day, hours=2, seconds=draw.randrange(7200))
    for _ in range(draw.choice((1, 2))):
        time += timedelta(minutes=draw.randrange(1, 9))
        amount = f"{draw.uniform(150, 900):.2f}"
        yield (str(time), customer, amount, "credit", "desktop", "Elsewhere, far away", "True", 1, "charged back")

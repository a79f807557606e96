"""Contracts and transactions to hold both executions of the features against: the shipped ones and drawn ones."""

from datetime import UTC, datetime

import msgspec
from hypothesis import strategies as st

from fraudline.clock import to_micros
from fraudline.contract import Contract, contract_from
from fraudline.durations import DAY, HOUR, MINUTE, SECOND, parse_duration
from fraudline.features.constants import SQUARE_CAP
from fraudline.transactions.transaction import Transaction

# Clocks change in Rome on 29 March 2026, in New York on 8 March, in Lord Howe (by half an hour) on 5 April.
ZONES = ("UTC", "Europe/Rome", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
START = to_micros(datetime(2026, 3, 7, 22, 41, tzinfo=UTC))
LENGTHS = ("1h", "5h", "1d", "2d", "7d", "30d", "90d")
GAPS = (0, 1, 999_999, 7 * SECOND, 40 * MINUTE, HOUR, 5 * HOUR, DAY - 1, DAY, 8 * DAY, 35 * DAY)
MANY = tuple(f"v{number}" for number in range(70))


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """Any contract: zones with and without summer time, windows, units, lagged entities, open and closed categories."""
    delay = draw(st.sampled_from(["1h", "36h", "7d"]))
    units = draw(st.sampled_from([1, 10, 100, 1000]))
    values = {
        "name": "drawn",
        "timezone": draw(st.sampled_from(ZONES)),
        "id": {"column": "id"},
        "timestamp": {"column": "at"},
        "amount": {"column": "amount", "min": 0.0, "max": 2**40 / units, "minor_units": units},
        "label": {"column": "fraud", "delay": delay},
        "training": {"window": "7d"},
        "entities": [{"name": "card", "column": "card", "windows": draw(_windows())}, *draw(_lagged(delay))],
        "categories": draw(_categories()),
        "flags": [{"name": f"f{i}", "column": f"f{i}"} for i in range(draw(st.integers(0, 2)))],
    }
    return contract_from(values, "drawn")


def _windows() -> st.SearchStrategy[list[str]]:
    lengths = st.lists(st.sampled_from(LENGTHS), min_size=1, max_size=4, unique=True)
    return lengths.map(lambda names: sorted(names, key=parse_duration))


@st.composite
def _lagged(draw: st.DrawFn, delay: str) -> list[dict[str, object]]:
    lags = [lag for lag in (None, "1h", "6h", "1d") if parse_duration(lag or "1h") <= parse_duration(delay)]
    return [
        {
            "name": name,
            "column": name,
            "windows": draw(_windows()),
            "risk": draw(st.booleans()),
            "lag": draw(st.sampled_from(lags)),
        }
        for name in ("terminal", "device", "shop")[: draw(st.integers(0, 3))]
    ]


@st.composite
def _categories(draw: st.DrawFn) -> list[dict[str, object]]:
    closed = st.sampled_from([(), ("a", "b"), MANY])
    return [
        {"name": f"c{i}", "column": f"c{i}", "values": draw(closed), "nullable": draw(st.booleans())}
        for i in range(draw(st.integers(0, 2)))
    ]


def amounts(contract: Contract) -> tuple[int, ...]:
    """Amounts in minor units around everything that treats them differently, the allowed ends included."""
    low, high = (round(bound * contract.amount.minor_units) for bound in (contract.amount.min, contract.amount.max))
    usual = (1, 2, 100, 333, 5_000, SQUARE_CAP - 1, SQUARE_CAP, SQUARE_CAP + 1)
    return (low, *(amount for amount in usual if low <= amount <= high), high)


class Draw(msgspec.Struct, frozen=True):
    """The small numbers that one transaction is made of; each choice is taken modulo what there is to choose."""

    gap: int
    amount: int
    entities: tuple[int, int, int, int]
    category: int
    flags: int
    label: int


def draws(size: int = 60) -> st.SearchStrategy[list[Draw]]:
    few = st.integers(0, 2)
    return st.lists(
        st.builds(
            Draw,
            gap=st.integers(0, len(GAPS) - 1),
            amount=st.integers(0, 9),
            entities=st.tuples(few, few, few, few),
            category=st.integers(0, 80),
            flags=st.integers(0, 3),
            label=st.integers(-1, 1),
        ),
        min_size=1,
        max_size=size,
    )


def transactions(contract: Contract, drawn: list[Draw]) -> list[Transaction]:
    """Transactions in time order; ids ascend, so that equal times keep this order."""
    time, made, choices = START, [], amounts(contract)
    for number, draw in enumerate(drawn):
        time += GAPS[draw.gap]
        made.append(
            Transaction(
                f"t{number:06d}",
                time,
                choices[draw.amount % len(choices)],
                tuple(f"{e.name}{draw.entities[i]}" for i, e in enumerate(contract.entities)),
                tuple(_value(c.values, c.nullable, draw.category) for c in contract.categories),
                tuple(draw.flags >> i & 1 for i in range(len(contract.flags))),
                None if draw.label < 0 else draw.label,
            )
        )
    return made


def _value(values: tuple[str, ...], nullable: bool, choice: int) -> str:
    if nullable and choice % 7 == 0:
        return ""
    return values[choice % len(values)] if values else f"place {choice}"

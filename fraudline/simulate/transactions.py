"""Honest and fraudulent transactions made one table, by rules that do not see the label.

Prices, statuses, ids, texts and order are given here and only here, to both alike: no format tells fraud.
"""

import numpy as np
import pandas as pd

from fraudline.simulate.fraud import fraudulent_transactions
from fraudline.simulate.habits import draw_habits, honest_transactions
from fraudline.simulate.population import Population
from fraudline.simulate.world import CARDS, DEVICES, PLACES, Floats, Ints

LABEL = "is_fraud"
COLUMNS = (
    *("transaction_id", "user_id", "timestamp", "amount", "device_type", "location"),
    *("is_vpn", "card_type", "status", LABEL),
)


def simulate(population: Population) -> pd.DataFrame:
    """Simulate every transaction of a population, in the columns of the `ecommerce` contract.

    Args:
        population: who, when and how much fraud; the same value always gives the same frame.

    Returns:
        One row per transaction, sorted by (timestamp, transaction_id), with the columns `COLUMNS`: texts,
        `timestamp` as RFC 3339 text in UTC with whole seconds, `amount` in dollars rounded to cents, `is_vpn`
        and `is_fraud` 0 or 1.
    """
    seeds = np.random.SeedSequence(population.seed).spawn(4)
    people, honest, fraud, finish = (np.random.default_rng(seed) for seed in seeds)
    habits = draw_habits(population, people)
    usual = honest_transactions(habits, population, honest)
    unusual = fraudulent_transactions(habits, population, len(usual), fraud)
    return _publish(pd.concat([usual, unusual], ignore_index=True), population, finish)


def _publish(rows: pd.DataFrame, population: Population, rng: np.random.Generator) -> pd.DataFrame:
    """The public table: rows of equal seconds in random order, users under random numbers."""
    second = rows["at"].to_numpy().astype(np.int64)
    order = np.lexsort((rng.random(len(rows)), second))
    rows, second = rows.iloc[order], second[order]
    cents = priced(rows["amount"].to_numpy(), rng)
    return pd.DataFrame(
        {
            "transaction_id": _numbered("T", np.arange(1, len(rows) + 1), 8),
            "user_id": _numbered("U", _anonymous(rows["user"].to_numpy(), rng), 6),
            "timestamp": rfc3339(np.datetime64(population.start, "s") + second),
            "amount": cents / 100,
            "device_type": np.array(DEVICES, dtype=object)[rows["device"]],
            "location": np.array(PLACES, dtype=object)[rows["place"]],
            "is_vpn": rows["vpn"].to_numpy().astype(np.int64),
            "card_type": np.array(CARDS, dtype=object)[rows["card"]],
            "status": np.where(rng.random(len(rows)) < 0.03, "declined", "approved"),
            LABEL: rows["fraud"].to_numpy().astype(np.int64),
        },
        columns=list(COLUMNS),
    )


def priced(amount: Floats, rng: np.random.Generator) -> Ints:
    """Amounts in cents as shops set them: four in ten end in .99, one in ten in .00, none below 50 cents."""
    cents = np.maximum(np.round(amount * 100), 50).astype(np.int64)
    ending = rng.choice([99, 0, -1], size=len(cents), p=[0.4, 0.1, 0.5])
    return np.where((ending >= 0) & (cents >= 100), cents // 100 * 100 + ending, cents)


def rfc3339(moment: np.ndarray) -> np.ndarray:
    """Whole seconds of UTC as texts such as 2026-01-05T09:30:00Z."""
    return np.char.add(np.datetime_as_string(moment, unit="s"), "Z").astype(object)


def _anonymous(user: Ints, rng: np.random.Generator) -> Ints:
    """Users renumbered at random from 1, so that a number does not tell when or why an account was made."""
    known, dense = np.unique(user, return_inverse=True)
    return rng.permutation(len(known))[dense] + 1


def _numbered(prefix: str, numbers: Ints, digits: int) -> np.ndarray:
    # Of no numbers at all, `np.char.zfill` makes an error.
    return np.array([f"{prefix}{number:0{digits}d}" for number in numbers.tolist()], dtype=object)

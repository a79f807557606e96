"""Three kinds of fraud, each as episodes: somebody, for a while, with one device and one place.

- Card testing: many small amounts within an hour or two, on a victim's account or on one made for it.
- Takeover: for some days a stranger buys on a user's account, from elsewhere and for more than usual, while
  the user goes on buying.
- Slow fraud: from the user's own device and place, at hours that are not the user's, for a little more than
  usual.

No trait is sure: careful attackers look like their victims in some, and honest users travel, buy devices, use
VPNs, make sprees and large purchases.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from fraudline.simulate.habits import Habits, small_amounts, usual_amounts
from fraudline.simulate.population import Population
from fraudline.simulate.world import (
    ATTACK_SHARES,
    DAY,
    DEVICES,
    HOUR,
    Floats,
    Ints,
    pick,
    position_in_run,
    sum_in_run,
)

Scenario = Callable[[Habits, Population, int, np.random.Generator], pd.DataFrame]


def fraudulent_transactions(
    habits: Habits, population: Population, honest: int, rng: np.random.Generator
) -> pd.DataFrame:
    """As many fraudulent transactions as `population.fraud_rate` asks for beside `honest` honest ones.

    Users numbered from `len(habits)` on are accounts made for card testing.
    """
    wanted = honest * population.fraud_rate / (1 - population.fraud_rate)
    shares = np.cumsum([0.0, *SCENARIOS.values()])
    counts = np.diff(np.round(shares * wanted)).astype(int)
    parts = [scenario(habits, population, int(count), rng) for scenario, count in zip(SCENARIOS, counts, strict=True)]
    return pd.concat(parts, ignore_index=True).assign(fraud=True)


def card_testing(habits: Habits, population: Population, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Bursts of 6 to 24 small amounts, seconds to minutes apart; four in ten end with a real purchase."""
    sizes = _sizes(population, count, 6, 24, 0.1, rng)
    n = len(sizes)
    victim = _victims(habits, n, rng)
    fresh = rng.random(n) < 0.25
    episodes = pd.DataFrame(
        {
            "user": np.where(fresh, len(habits) + np.arange(n), victim),
            "start": _starts(population, 0.1, n, rng),
            "device": pick(rng, (0.40, 0.52, 0.08), n),
            "place": np.where(rng.random(n) < 0.1, habits.home[victim], pick(rng, ATTACK_SHARES, n)),
            "vpn": rng.random(n) < 0.7,
            "card": np.where(fresh, pick(rng, (0.4, 0.2, 0.4), n), habits.card[victim]),
            "gap": rng.uniform(10, 150, n),
            "crowned": rng.random(n) < 0.4,
        }
    )
    rows = _rows(episodes, sizes)
    crown = rows["crowned"] & (position_in_run(sizes) == np.repeat(sizes, sizes) - 1)
    rows["at"] = rows["start"] + sum_in_run(rng.exponential(rows["gap"]) + 2, sizes)
    rows["amount"] = np.where(crown, rng.lognormal(4.6, 0.6, len(rows)), small_amounts(len(rows), rng))
    return _in_window(rows, habits, population).head(count)


def takeover(habits: Habits, population: Population, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """For hours up to days, 4 to 14 purchases at about three to eight times the user's usual amount."""
    sizes = _sizes(population, count, 4, 14, 4.0, rng)
    n = len(sizes)
    victim = _victims(habits, n, rng)
    device, home = habits.device[victim], habits.home[victim]
    episodes = pd.DataFrame(
        {
            "user": victim,
            "start": _starts(population, 4.0, n, rng),
            "device": np.where(rng.random(n) < 0.8, _least_used(habits, victim), device),
            "place": np.where(rng.random(n) < 0.9, pick(rng, ATTACK_SHARES, n), home),
            "vpn_share": np.where(rng.random(n) < 0.8, 0.95, 0.05),
            "card": habits.card[victim],
            "gap": rng.uniform(0.3, 4.0, n) * DAY / sizes,
            "usual": np.exp(habits.amount_log[victim]) * rng.uniform(2.5, 8.0, n),
        }
    )
    rows = _rows(episodes, sizes)
    rows["at"] = rows["start"] + sum_in_run(rng.exponential(rows["gap"]), sizes)
    rows["vpn"] = rng.random(len(rows)) < rows["vpn_share"]
    rows["amount"] = rows["usual"] * rng.lognormal(0, 0.3, len(rows))
    return _in_window(rows, habits, population).head(count)


def slow(habits: Habits, population: Population, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Over one to two weeks, 3 to 8 purchases twelve hours from the user's peak, 1.5 to 3.5 times larger."""
    sizes = _sizes(population, count, 3, 8, 14.0, rng)
    n = len(sizes)
    victim = _victims(habits, n, rng)
    episodes = pd.DataFrame(
        {
            "user": victim,
            "start": _starts(population, 14.0, n, rng) // DAY * DAY,
            "device": habits.device[victim],
            "place": habits.home[victim],
            "vpn_share": np.maximum(habits.vpn_share[victim], 0.3),
            "card": habits.card[victim],
            "days": rng.uniform(7, 14, n),
            "raised": rng.uniform(1.5, 3.5, n),
        }
    )
    rows = _rows(episodes, sizes)
    user = rows["user"].to_numpy()
    hour = (habits.peak_hour[user] + 12 + rng.normal(0, 2.5, len(rows))) % 24
    rows["at"] = rows["start"] + np.floor(rng.random(len(rows)) * rows["days"]) * DAY + hour * HOUR
    rows["vpn"] = rng.random(len(rows)) < rows["vpn_share"]
    rows["amount"] = usual_amounts(habits, user, rng) * rows["raised"]
    return _in_window(rows, habits, population).head(count)


# Each kind's share of the fraudulent rows.
SCENARIOS: dict[Scenario, float] = {card_testing: 0.46, takeover: 0.47, slow: 0.07}


def _sizes(
    population: Population, count: int, least: int, most: int, longest_days: float, rng: np.random.Generator
) -> Ints:
    """Sizes of the episodes for `count` rows, and as many again, for rows outside the window are dropped."""
    inside = population.days / (population.days + longest_days)
    episodes = 4 + round(2 * count / inside / ((least + most) / 2))
    return rng.integers(least, most + 1, episodes)


def _victims(habits: Habits, count: int, rng: np.random.Generator) -> Ints:
    """Users to defraud: an account that buys more is found more often."""
    pull = np.sqrt(habits.sessions_a_day)
    return pick(rng, pull / pull.sum(), count)


def _least_used(habits: Habits, user: Ints) -> Ints:
    """The one of the three devices that is neither the user's first nor second."""
    return len(DEVICES) - habits.device[user] - habits.second_device[user]


def _starts(population: Population, longest_days: float, count: int, rng: np.random.Generator) -> Floats:
    """Starting seconds; some episodes are under way when the window starts, so fraud is even all along."""
    return rng.uniform(-longest_days, population.days, count) * DAY


def _rows(episodes: pd.DataFrame, sizes: Ints) -> pd.DataFrame:
    """Each episode repeated for its transactions, in order."""
    return episodes.loc[episodes.index.repeat(sizes)].reset_index(drop=True)


def _in_window(rows: pd.DataFrame, habits: Habits, population: Population) -> pd.DataFrame:
    """The rows inside the window, and not before their user joined."""
    opened = np.append(habits.joined, -1.0)[np.minimum(rows["user"], len(habits))] * DAY
    inside: pd.Series[bool] = (rows["at"] >= np.maximum(opened, 0)) & (rows["at"] < population.days * DAY)
    return rows[inside][["user", "at", "device", "place", "vpn", "card", "amount"]]

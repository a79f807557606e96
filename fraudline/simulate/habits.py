"""Honest users: who they are, and what they buy when, where and with what."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraudline.simulate.population import Population
from fraudline.simulate.world import (
    CARDS,
    DAY,
    DEVICES,
    HOME_SHARES,
    HOUR,
    PLACES,
    Bools,
    Floats,
    Ints,
    other,
    pick,
    sum_in_run,
)

SESSIONS_A_DAY = 0.66  # mean over users; a session is one visit to the shop, with one or more transactions
WEEKDAY_PULL = np.array([0.90, 0.86, 0.88, 0.92, 1.0, 1.0, 0.94])  # Monday first
TRIPS = 2  # a user makes at most this many in the window


@dataclass(frozen=True, slots=True)
class Habits:
    """One array item (or row) per user; times are days from the start, amounts logarithms of dollars."""

    joined: Floats  # negative: before the start
    sessions_a_day: Floats
    extra_in_session: Floats  # mean number of transactions after a session's first
    peak_hour: Floats
    hour_spread: Floats
    home: Ints
    second_place: Ints
    trip_start: Floats  # users x TRIPS; infinite: no trip
    trip_days: Floats
    trip_place: Ints
    device: Ints
    second_device: Ints
    device_share: Floats  # of the first device
    replaced_at: Floats  # the day the first device is replaced; infinite: never
    replacement: Ints
    amount_log: Floats
    amount_spread: Floats
    micro_share: Floats  # of sessions that buy small things: apps, songs, coins in a game
    card: Ints
    second_card: Ints
    vpn_share: Floats

    def __len__(self) -> int:
        return len(self.joined)


def draw_habits(population: Population, rng: np.random.Generator) -> Habits:
    """Draw every user's habits."""
    n, days = population.users, population.days
    home, device, card = (
        pick(rng, HOME_SHARES, n),
        pick(rng, (0.56, 0.36, 0.08), n),
        pick(rng, (0.52, 0.40, 0.08), n),
    )
    gamer = rng.random(n) < 0.03
    night_owl = rng.random(n) < 0.10
    habitual_vpn = rng.random(n) < 0.2
    return Habits(
        joined=np.where(rng.random(n) < 0.82, -1.0, rng.random(n) * days),
        sessions_a_day=np.minimum(rng.lognormal(np.log(SESSIONS_A_DAY) - 0.5, 1.0, n), 6.0),
        extra_in_session=np.where(gamer, rng.uniform(1.0, 2.5, n), rng.gamma(1.2, 0.25, n)),
        peak_hour=np.where(night_owl, rng.normal(25.0, 1.5, n), rng.choice([12.5, 19.5], n) + rng.normal(0, 2.0, n)),
        hour_spread=rng.uniform(1.5, 4.0, n),
        home=home,
        second_place=pick(rng, HOME_SHARES, n),
        trip_start=np.where(rng.random((n, TRIPS)) < 0.3 * days / 45, rng.uniform(-4, days, (n, TRIPS)), np.inf),
        trip_days=rng.uniform(2, 9, (n, TRIPS)),
        trip_place=rng.integers(0, len(PLACES), (n, TRIPS)),
        device=device,
        second_device=other(rng, device, len(DEVICES)),
        device_share=np.where(rng.random(n) < 0.35, 1.0, rng.uniform(0.65, 0.98, n)),
        replaced_at=np.where(rng.random(n) < 0.08 * days / 45, rng.uniform(0, days, n), np.inf),
        replacement=other(rng, device, len(DEVICES)),
        amount_log=rng.normal(3.5, 0.8, n),
        amount_spread=rng.uniform(0.3, 0.7, n),
        micro_share=np.where(gamer, rng.uniform(0.4, 0.8, n), rng.beta(1.2, 14, n)),
        card=card,
        second_card=np.where(rng.random(n) < 0.15, other(rng, card, len(CARDS)), card),
        vpn_share=np.where(habitual_vpn, rng.uniform(0.5, 0.98, n), rng.beta(0.6, 25, n)),
    )


def honest_transactions(habits: Habits, population: Population, rng: np.random.Generator) -> pd.DataFrame:
    """The honest transactions of the whole window, in no particular order."""
    user, at = _sessions(habits, population, rng)
    day = at / DAY
    session = pd.DataFrame(
        {
            "user": user,
            "at": at,
            "device": _devices(habits, user, day, rng),
            "place": _places(habits, user, day, rng),
            "vpn": rng.random(len(user)) < habits.vpn_share[user],
            "card": np.where(rng.random(len(user)) < 0.85, habits.card[user], habits.second_card[user]),
            "micro": rng.random(len(user)) < habits.micro_share[user],
        }
    )
    rows = _fill_sessions(session, habits, rng)
    return rows[rows["at"] < population.days * DAY]


def _sessions(habits: Habits, population: Population, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """User and starting second of every visit: a Poisson number of days each, busier at the week's end."""
    user = np.repeat(np.arange(len(habits)), rng.poisson(habits.sessions_a_day * population.days))
    day = rng.integers(0, population.days, len(user))
    kept = rng.random(len(user)) < WEEKDAY_PULL[(day + population.start.weekday()) % 7]
    user, day = user[kept], day[kept]
    at = day * DAY + usual_hours(habits, user, rng) * HOUR
    active = at >= habits.joined[user] * DAY
    return user[active], at[active]


def usual_hours(habits: Habits, user: Ints, rng: np.random.Generator) -> Floats:
    """An hour of the day for each user, around the user's own peak; one in ten at any waking hour."""
    usual = habits.peak_hour[user] + rng.normal(0, 1, len(user)) * habits.hour_spread[user]
    return np.where(rng.random(len(user)) < 0.1, rng.uniform(7, 25, len(user)), usual) % 24


def _devices(habits: Habits, user: Ints, day: Floats, rng: np.random.Generator) -> Ints:
    first = np.where(day < habits.replaced_at[user], habits.device[user], habits.replacement[user])
    return np.where(rng.random(len(user)) < habits.device_share[user], first, habits.second_device[user])


def _places(habits: Habits, user: Ints, day: Floats, rng: np.random.Generator) -> Ints:
    """Home; sometimes a second place, seldom a wrongly located address; on a trip, the trip's place."""
    chance = rng.random(len(user))
    place = np.where(chance < 0.06, habits.second_place[user], habits.home[user])
    place = np.where(chance > 0.99, pick(rng, HOME_SHARES, len(user)), place)
    for trip in range(TRIPS):
        gone = _between(day, habits.trip_start[user, trip], habits.trip_days[user, trip])
        place = np.where(gone, habits.trip_place[user, trip], place)
    return place


def _between(day: Floats, start: Floats, length: Floats) -> Bools:
    return (day >= start) & (day < start + length)


def _fill_sessions(session: pd.DataFrame, habits: Habits, rng: np.random.Generator) -> pd.DataFrame:
    """Every session's transactions, minutes apart, each with its own amount."""
    extra = rng.poisson(rng.exponential(habits.extra_in_session[session["user"]]))
    sizes = 1 + np.minimum(extra, 40)
    rows = session.loc[session.index.repeat(sizes)].reset_index(drop=True)
    gaps = rng.exponential(180, len(rows)) + 15
    amount = usual_amounts(habits, rows["user"].to_numpy(), rng)
    small = small_amounts(len(rows), rng)
    return rows.assign(
        at=rows["at"] + sum_in_run(gaps, sizes), amount=np.where(rows["micro"], small, amount), fraud=False
    ).drop(columns="micro")


def usual_amounts(habits: Habits, user: Ints, rng: np.random.Generator) -> Floats:
    """An amount in dollars for each user; one in eighty is a large purchase, up to ten times the usual."""
    usual = np.exp(habits.amount_log[user] + rng.normal(0, 1, len(user)) * habits.amount_spread[user])
    return np.where(rng.random(len(user)) < 1 / 80, usual * rng.uniform(3, 10, len(user)), usual)


def small_amounts(count: int, rng: np.random.Generator) -> Floats:
    """What apps, songs and coins in a game cost, and what card testers try: about one to ten dollars."""
    return rng.lognormal(1.0, 0.7, count)

"""Whether a streamed event costs more as the stream goes on, as it has more users, and as a user grows old.

Microseconds of CPU an event from bytes to decision and profile, without reading and writing: the lowest of several
rounds over 10,000 transactions, in which the rows take turns, so that whatever else runs here is in none or in all.
Two questions, apart:

*Size.* Every user has the same 37 days behind it and goes on at the same pace, 20 transactions a day. The stream has
counted 10 k to 1 M transactions before the ones that are timed, of 100 to 100 k users. A batch is 5 of each of 100
users. This has to be flat.

*Age.* 500 users go on after one day to two years of such a past, with 20 or 1 of each in a batch. What a profile
keeps has a bound (the tiles of its longest window), so this has to rise to a level and stay there.

    python -m benchmarks.stream_growth
"""

import argparse
import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from benchmarks.stream_events import BATCH, BEGIN, Core, Model, Sent, batches, ecommerce_event, model
from fraudline.adapters.stream.slices import rarer_collections
from fraudline.contract import load_contract
from fraudline.durations import DAY
from fraudline.features.definition import feature_set
from fraudline.profiles import StoredProfile, profile_key
from fraudline.stream import position_of

A_DAY = 20
FULL_DAYS = 37
TIMED_BATCHES = 20
# Each (users, transactions counted before the clock starts, in ascending order).
SIZES = ((100, (10_000, 100_000, 1_000_000)), (10_000, (10_000,)), (100_000, (10_000, 1_000_000)))
AGES = (1, 7, 37, 74, 365, 730)
AGING_USERS = 500


class Population:
    """Users with one past in common who take turns: `per_user` transactions of each in a batch of 500."""

    def __init__(self, bundle: Model, users: int, per_user: int, past: bytes, days: int) -> None:
        self._users = users
        self._per_user = per_user
        self._counted = 0
        self._begin = days * A_DAY
        self.core = Core(bundle)
        # Bytes of its own for each user, as a store would return them.
        self.core.profiles = {key(f"U{n}"): StoredProfile(BEFORE, bytes(bytearray(past))) for n in range(users)}

    def next_batches(self, count: int) -> Iterator[list[Sent]]:
        for _ in range(count):
            yield [sent for turn in range(BATCH // self._per_user) for sent in self._next(turn)]
            self._counted += BATCH

    def _next(self, turn: int) -> list[Sent]:
        visit, user = divmod(self._counted // self._per_user + turn, self._users)
        return timeline(user, self._begin + visit * self._per_user, self._per_user)

    def grow(self, transactions: int) -> None:
        """Go on until so many are counted."""
        for batch in self.next_batches((transactions - self._counted) // BATCH):
            self.core.do(batch)

    def snapshot(self) -> Self:
        """The same, to go on apart."""
        other = copy.copy(self)
        other.core = copy.copy(self.core)
        other.core.profiles = dict(self.core.profiles)
        return other


@dataclass
class Timed:
    """Batches from one state of the store, timed again and again."""

    state: Population
    batches: Sequence[list[Sent]]
    # Microseconds an event.
    lowest: float = float("inf")

    @classmethod
    def after(cls, population: Population) -> Self:
        state = population.snapshot()
        return cls(state, tuple(population.snapshot().next_batches(TIMED_BATCHES)))

    def again(self) -> None:
        core = self.state.snapshot().core
        core.seconds = 0.0
        for batch in self.batches:
            core.do(batch)
        self.lowest = min(self.lowest, core.seconds / (len(self.batches) * BATCH) * 1e6)


BEFORE = position_of("0", "s")
CONTRACT = load_contract("ecommerce")


def key(user: str) -> str:
    return profile_key("user", user, feature_set(CONTRACT).hash)


def timeline(user: int, first: int, count: int) -> list[Sent]:
    """A user's transactions from its `first` on, at the common pace."""
    rng = random.Random(user << 32 | first)
    return [
        ecommerce_event(user * 10**6 + number, f"U{user}", BEGIN + number * DAY // A_DAY, rng)
        for number in range(first, first + count)
    ]


def past(bundle: Model, days: int) -> bytes:
    """The profile of a user after so many days."""
    core = Core(bundle)
    for batch in batches(timeline(0, 0, days * A_DAY)):
        core.do(batch)
    return core.profiles[key("U0")].history


def sizes(bundle: Model) -> Iterator[tuple[str, Timed]]:
    full = past(bundle, FULL_DAYS)
    for users, counts in SIZES:
        population = Population(bundle, users, 5, full, FULL_DAYS)
        for count in counts:
            population.grow(count)
            yield f"{users:9,} {count:12,}", Timed.after(population)


def ages(bundle: Model) -> Iterator[tuple[str, Timed, Timed]]:
    for days in AGES:
        before = past(bundle, days)
        few, many = (Population(bundle, AGING_USERS, per_user, before, days) for per_user in (20, 1))
        yield f"{days:9} {len(before):12,}", Timed.after(few), Timed.after(many)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each row is timed")
    rounds = parser.parse_args().rounds
    bundle = model(CONTRACT)
    with rarer_collections():
        by_size, by_age = list(sizes(bundle)), list(ages(bundle))
        for _ in range(rounds):
            for _, *timed in (*by_size, *by_age):
                for one in timed:
                    one.again()
    print(f"{'users':>9} {'counted':>12} {'µs':>8}")
    for told, timed in by_size:
        print(f"{told} {timed.lowest:8.1f}")
    print(f"\n{'days':>9} {'profile, B':>12} {'20 each':>8} {'1 each':>8}")
    for told, few, many in by_age:
        print(f"{told} {few.lowest:8.1f} {many.lowest:8.1f}")


if __name__ == "__main__":
    main()

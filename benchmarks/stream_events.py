"""What the stream's benchmarks share: transactions, a model, terminals, and the core alone on records in memory."""

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fraudline.clock import format_micros, parse_timestamp
from fraudline.contract import Contract
from fraudline.durations import DAY, HOUR, MINUTE
from fraudline.features.definition import feature_set
from fraudline.features.online_lagged import LaggedCounter
from fraudline.features.profile import LabelEvent, LaggedHistory
from fraudline.microbatch.batches import MicroBatches
from fraudline.microbatch.values import Outcome, View
from fraudline.model.scoring import Calibration, Curve, LinearModel, LinearScorer
from fraudline.profiles import StoredProfile
from fraudline.stream import Batch, Intent, Record, Shard, position_of

BATCH = 500
# The first transaction, and the hour that terminals are built through.
BEGIN = parse_timestamp("2026-01-05T08:00:00Z", "UTC")
KNOTS = 8
FLAGGED = 0.01
TERMINALS = 2_000
# A terminal's past: full windows of two payments a day, of which one in a hundred was fraud.
TERMINAL_DAYS = 40
TERMINAL_FRAUD = 0.01
# Later than every transaction here, by the stream's clock.
ARRIVED = BEGIN + 20 * 365 * DAY

Sent = tuple[str, bytes]
Lagged = Mapping[tuple[int, str], LaggedHistory]


@dataclass(frozen=True)
class Model:
    """A linear model of the shipped form with random curves: what it costs does not depend on what it has learned."""

    contract: Contract
    scorer: LinearScorer
    version: str
    # No score reaches it.
    threshold: float = 1.0

    def reasons(self, features: Sequence[float]) -> list[str]:
        shares = self.scorer.contributions(features)
        strongest = max(range(len(shares)), key=shares.__getitem__)
        return [feature_set(self.contract).features[strongest].sentence]

    def flagging(self, sent: Sequence[Sent], lagged: Lagged) -> "Model":
        """The same with the threshold that flags one in a hundred of these transactions."""
        core = Core(self, lagged)
        scores = sorted(decision.score for batch in batches(sent) for decision in core.do(batch).decisions)
        return replace(self, threshold=scores[int(len(scores) * (1 - FLAGGED))])


def model(contract: Contract, seed: int = 0) -> Model:
    """A model whose scores are spread."""
    rng = random.Random(seed)
    names = feature_set(contract).names
    pieces = KNOTS + 1
    curves = tuple(
        Curve(
            name,
            tuple(float(2**knot) for knot in range(KNOTS)),
            tuple(rng.uniform(-1, 1) for _ in range(pieces)),
            tuple(rng.uniform(-0.01, 0.01) for _ in range(pieces)),
        )
        for name in names
    )
    return Model(contract, LinearScorer(LinearModel(-3.0, curves, Calibration(), (0.0,) * len(names))), "v1")


def events(contract: Contract, count: int, users: int, seed: int = 0) -> list[Sent]:
    """Transactions of `users` in time order, in no user's order, as a producer sends them."""
    rng = random.Random(seed)
    make = ecommerce_event if contract.name == "ecommerce" else cards_event
    return [make(number, f"U{rng.randrange(users)}", BEGIN + number * MINUTE // 4, rng) for number in range(count)]


def ecommerce_event(number: int, user: str, moment: int, rng: random.Random) -> Sent:
    record = {
        "transaction_id": f"t{number:012d}",
        "user_id": user,
        "timestamp": format_micros(moment),
        "amount": rng.randrange(100, 50_000) / 100,
        "device_type": rng.choice(("mobile", "desktop", "tablet")),
        "location": rng.choice(("Paris", "Lyon", "Nice", "Lille")),
        "is_vpn": rng.randrange(2),
        "card_type": rng.choice(("credit", "debit", "prepaid")),
    }
    return user, json.dumps(record).encode()


def cards_event(number: int, user: str, moment: int, rng: random.Random) -> Sent:
    record = {
        "TRANSACTION_ID": number,
        "TX_DATETIME": format_micros(moment),
        "CUSTOMER_ID": user,
        "TERMINAL_ID": f"T{rng.randrange(TERMINALS)}",
        "TX_AMOUNT": rng.randrange(100, 9_000) / 100,
    }
    return user, json.dumps(record).encode()


def terminals(contract: Contract, seed: int = 0) -> dict[tuple[int, str], LaggedHistory]:
    """Every terminal that the events name, as `materialize` builds it; none where the contract has no lagged entity."""
    rng = random.Random(seed)
    return {(0, f"T{n}"): terminal(contract, rng) for n in range(TERMINALS) for _ in contract.lagged_entities}


def terminal(contract: Contract, rng: random.Random) -> LaggedHistory:
    counter, history = LaggedCounter(contract.lagged_entities[0]), LaggedHistory()
    moments = sorted(BEGIN - 1 - rng.randrange(TERMINAL_DAYS * DAY) for _ in range(2 * TERMINAL_DAYS))
    for moment in moments:
        counter.count_transaction(history, moment, rng.randrange(100, 9_000))
        if moment < BEGIN - contract.label_delay + HOUR:
            fraud = int(rng.random() < TERMINAL_FRAUD)
            counter.count_label(history, LabelEvent(moment, fraud, fraud))
    return history


def batches(sent: Sequence[Sent]) -> Iterator[Sequence[Sent]]:
    for first in range(0, len(sent), BATCH):
        yield sent[first : first + BATCH]


class Core:
    """Bytes to decisions and profiles, without reading or writing; `seconds` is the CPU that took.

    What would be stored stands in a dictionary, outside the clock.
    """

    def __init__(self, bundle: Model, lagged: Lagged | None = None) -> None:
        self._batches = MicroBatches(bundle)
        self._lagged = lagged or {}
        self._built_through = BEGIN if self._lagged else None
        self._sequence = 0
        self.profiles: dict[str, StoredProfile] = {}
        self.seconds = 0.0

    def do(self, sent: Sequence[Sent]) -> Outcome:
        """A batch."""
        batch = self._batch(sent)
        begin = time.process_time()
        reading = self._batches.read(batch)
        self.seconds += time.process_time() - begin
        view = View(
            {id_: self.profiles[key] for id_, key in reading.profile_keys.items() if key in self.profiles},
            {at: self._lagged[at] for at in reading.lagged_keys},
            {},
        )
        begin = time.process_time()
        outcome = self._batches.decide(batch, reading, view)
        self.seconds += time.process_time() - begin
        self.profiles.update((c.key, StoredProfile(c.position, c.history)) for c in outcome.changes)
        return outcome

    def _batch(self, sent: Sequence[Sent]) -> Batch:
        first = self._sequence + 1
        self._sequence += len(sent)
        records = tuple(
            Record(str(n), position_of(str(n), "s"), key, ARRIVED, data) for n, (key, data) in enumerate(sent, first)
        )
        intent = Intent(records[-1].sequence, len(records), "v1", BEGIN, self._built_through)
        return Batch(Shard("s", 0, 2**128), records, intent)

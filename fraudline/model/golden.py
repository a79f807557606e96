"""Golden inputs: a made-up history with the exact scores a version gave it, replayed wherever the version is loaded.

They are synthetic, so a bundle holds nobody's data; they run the whole way from a transaction to its score, so a
machine, library or edit that changes one bit of a feature or score is found before the first answer.
"""

import random
from collections.abc import Iterator
from datetime import date

import msgspec

from fraudline.clock import day_start
from fraudline.contract import Contract, Entity
from fraudline.durations import DAY, HOUR, MINUTE
from fraudline.errors import Tampered
from fraudline.features.online import Computed, OnlineFeatures
from fraudline.features.online_lagged import LaggedCounter
from fraudline.features.profile import LabelEvent, LaggedHistory
from fraudline.model.scoring import Scorer
from fraudline.transactions.transaction import Transaction

COUNT = 32
_WINTER, _SUMMER = date(2026, 1, 1), date(2026, 7, 1)
_BURST = 6
_GAPS = (MINUTE, 20 * MINUTE, 3 * HOUR, DAY)


class Golden(msgspec.Struct, frozen=True):
    """A transaction of made-up entities, in the order they count, and the score it must get.

    Lagged entities have seen the transactions before it that tell a label, and their labels.
    """

    transaction: Transaction
    score: float


def make_golden(contract: Contract, scorer: Scorer) -> bytes:
    """`golden.jsonl` of a scorer: the same transactions for everyone, and its scores."""
    scores = _scores(contract, scorer, list(_transactions(contract)))
    lines = [msgspec.json.encode(Golden(transaction, score)) for transaction, score in scores]
    return b"\n".join(lines) + b"\n"


def check_golden(contract: Contract, scorer: Scorer, version: str, data: bytes) -> None:
    """Replay; raises `Tampered` at the first score that is not the recorded one, to the bit."""
    golden = [msgspec.json.decode(line, type=Golden) for line in data.splitlines()]
    scores = _scores(contract, scorer, [case.transaction for case in golden])
    for case, (transaction, score) in zip(golden, scores, strict=True):
        if score != case.score:
            raise Tampered(
                f"version {version} scores golden input {transaction.id} as {score!r} here and {case.score!r} where it"
                " was made; do not use it on this machine"
            )


def _scores(contract: Contract, scorer: Scorer, transactions: list[Transaction]) -> list[tuple[Transaction, float]]:
    online = OnlineFeatures(contract)
    history, lagged = online.new_history(), [_Lagged(entity) for entity in contract.lagged_entities]
    rows = []
    for transaction in transactions:
        computed = online.features(transaction, history, [entity.history for entity in lagged])
        online.count(history, transaction, computed.effective_time)
        for entity in lagged:
            entity.count(transaction, computed)
        rows.append(computed.features)
    return list(zip(transactions, scorer.score_many(rows), strict=True))


class _Lagged:
    """One lagged entity, built as time goes by instead of by the hour: readers look a lag behind all the same."""

    def __init__(self, entity: Entity) -> None:
        self._counter = LaggedCounter(entity)
        self.history = LaggedHistory()

    def count(self, transaction: Transaction, computed: Computed) -> None:
        if transaction.label is None:
            return
        unexplained = int(transaction.label and not computed.explained)
        self._counter.count_transaction(self.history, computed.effective_time, transaction.amount)
        self._counter.count_label(self.history, LabelEvent(computed.effective_time, transaction.label, unexplained))


def _transactions(contract: Contract) -> Iterator[Transaction]:
    """From winter on, and from summer on: a zone's offset and the hours it tells differ."""
    choose = random.Random(contract.name)
    low, high = (round(bound * contract.amount.minor_units) for bound in (contract.amount.min, contract.amount.max))
    for number in range(COUNT):
        if number % (COUNT // 2) == 0:
            time = day_start(_SUMMER if number else _WINTER)
        # A burst to begin with: what is new is told by some features, and by others what is quick.
        time += MINUTE if number % (COUNT // 2) < _BURST else choose.choice((*_GAPS, contract.label_delay))
        usual = choose.choice((1_999, 2_500, 4_200, 6_000, 150_000))
        yield Transaction(
            f"golden-{number}",
            time,
            min(max(usual, low), high),
            tuple(f"golden-{entity.name}" for entity in contract.entities),
            tuple(choose.choice(category.values or ("here", "there")) for category in contract.categories),
            tuple(int(choose.random() < 0.2) for _ in contract.flags),
            int(choose.random() < 0.4),
        )

"""Golden inputs: a made-up history with the exact scores a version gave it, replayed wherever the version is loaded.

They are synthetic, so a bundle holds nobody's data; they run the whole way from a transaction to its score, so a
machine, library or edit that changes one bit of a feature or score is found before the first answer.
"""

import random
from collections.abc import Iterator
from datetime import date

import msgspec

from fraudline.clock import day_start
from fraudline.contract import Contract
from fraudline.durations import DAY, HOUR, MINUTE
from fraudline.errors import Tampered
from fraudline.features.online import OnlineFeatures
from fraudline.scoring import Scorer
from fraudline.transaction import Transaction

COUNT = 32
_GAPS = (MINUTE, 20 * MINUTE, 3 * HOUR, DAY, 9 * DAY)


class Golden(msgspec.Struct, frozen=True):
    """A transaction of one made-up entity, in the order they count, and the score it must get."""

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
    history = online.new_history()
    rows = []
    for transaction in transactions:
        computed = online.features(transaction, history)
        online.count(history, transaction, computed.effective_time)
        rows.append(computed.features)
    return list(zip(transactions, scorer.score_many(rows), strict=True))


def _transactions(contract: Contract) -> Iterator[Transaction]:
    choose = random.Random(contract.name)
    time = day_start(date(2026, 1, 1))
    low, high = (round(bound * contract.amount.minor_units) for bound in (contract.amount.min, contract.amount.max))
    for number in range(COUNT):
        time += choose.choice(_GAPS)
        usual = choose.choice((1_999, 2_500, 4_200, 6_000, 150_000))
        yield Transaction(
            f"golden-{number}",
            time,
            min(max(usual, low), high),
            tuple(f"golden-{entity.name}" for entity in contract.entities),
            tuple(choose.choice(category.values or ("here", "there")) for category in contract.categories),
            tuple(int(choose.random() < 0.2) for _ in contract.flags),
        )

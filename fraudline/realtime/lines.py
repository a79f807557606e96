"""JSON lines in, answers out: the function's own decisions, on a history that grows line by line as the stream's."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fraudline.decision import Decision, digest
from fraudline.features.profile import History
from fraudline.model.bundle import Bundle
from fraudline.realtime import answers
from fraudline.realtime.answers import Outcome
from fraudline.realtime.decide import Decider, Stored
from fraudline.transactions.transaction import Rejected, Transaction


def score_lines(bundle: Bundle, lines: Iterable[bytes | str]) -> Iterator[dict[str, Any]]:
    """An answer for each line that is not blank: its number, an HTTP status, and the decision or what is wrong.

    Transactions count in the order of the lines, each for those after it; lagged entities have no history here. A copy
    of an earlier line gets that line's decision.
    """
    scorer = _LineScorer(Decider(bundle))
    for number, line in enumerate(lines, start=1):
        data = line.encode(errors="surrogatepass") if isinstance(line, str) else line
        if data.strip():
            outcome = scorer.outcome(data, str(number))
            yield {"line": number, "status": outcome.status, **msgspec.to_builtins(outcome.body)}


class _LineScorer:
    """Profiles and decisions in memory."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._histories: dict[str, History] = {}
        self._positions: dict[str, str] = {}
        self._decisions: dict[str, Decision] = {}

    def outcome(self, line: bytes, position: str) -> Outcome:
        transaction = self._decider.validator.decode(line)
        if isinstance(transaction, Rejected):
            return answers.refused(transaction.problems)
        stored = self._stored(transaction)
        if stored.recorded is not None and stored.recorded.digest != digest(transaction):
            return answers.conflicting()
        decision = self._decider.decide(transaction, stored, now=transaction.timestamp)
        if stored.recorded is None:
            self._count(transaction, decision, position)
        return answers.answered(decision, stored.state)

    def _stored(self, transaction: Transaction) -> Stored:
        if transaction.id in self._decisions:
            return Stored("recorded", recorded=self._decisions[transaction.id])
        entity = transaction.entities[0]
        if entity not in self._histories:
            return Stored("new")
        return Stored("found", self._positions[entity], self._histories[entity])

    def _count(self, transaction: Transaction, decision: Decision, position: str) -> None:
        entity, online = transaction.entities[0], self._decider.online
        history = self._histories.setdefault(entity, online.new_history())
        online.count(history, transaction, decision.effective_time)
        self._positions[entity] = position
        # A copy's answer needs no features, and they are most of a decision's memory.
        self._decisions[transaction.id] = msgspec.structs.replace(decision, features=b"")

"""The online twin, driven as the stream drives it.

Events come in batches, profiles are kept as bytes between them, lagged entities are built by the hour.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from fraudline.contract import Contract
from fraudline.durations import HOUR, floor_hour, parse_duration
from fraudline.features.online import Computed, OnlineFeatures
from fraudline.features.online_lagged import LaggedCounter
from fraudline.features.profile import LabelEvent, LaggedHistory
from fraudline.profiles import decode_history, decode_lagged, encode_history
from fraudline.transactions.table import TransactionTable, from_transactions
from fraudline.transactions.transaction import Transaction

Counted = tuple[int, int, Transaction, bool]


class LaggedEntity:
    """What a builder of one lagged entity's tiles does: it counts whatever happened, and was due, before an hour."""

    def __init__(self, contract: Contract, index: int) -> None:
        entity = contract.lagged_entities[index]
        self.lag = parse_duration(entity.lag or "1h")
        self.through = 0
        self._index = index + 1
        self._delay = contract.label_delay
        self._counter = LaggedCounter(entity)
        self._histories: dict[str, LaggedHistory] = {}

    def read(self, id_: str) -> LaggedHistory | None:
        """The history as a reader gets it, from its bytes."""
        history = self._histories.get(id_)
        return None if history is None else decode_lagged(encode_history(history))

    def build(self, volumes: Sequence[Counted], labels: Sequence[Counted]) -> None:
        """Count these transactions and labels, each in time order."""
        for time, _, transaction, _ in volumes:
            self._counter.count_transaction(self._history(transaction), time, transaction.amount)
        for time, _, transaction, explained in labels:
            fraud = transaction.label or 0
            label = LabelEvent(time, fraud, int(fraud and not explained))
            self._counter.count_label(self._history(transaction), label)

    def labels_end(self, through: int) -> int:
        return through + self.lag - self._delay

    def _history(self, transaction: Transaction) -> LaggedHistory:
        return self._histories.setdefault(transaction.entities[self._index], LaggedHistory())


def replay(table: TransactionTable, batches: Sequence[int] = (), ahead: int = 0) -> list[Computed]:
    """What the online code computes for every row of a table, in its order.

    `batches` are the sizes that rows are read in (one batch by default); `ahead` is by how many microseconds the
    builder of lagged entities has gone beyond the hour that each row reads at.
    """
    return list(_Replay(table, ahead).run(batches))


class _Replay:
    def __init__(self, table: TransactionTable, ahead: int) -> None:
        self._table, self._ahead = table, ahead
        self._contract = table.contract
        self._online = OnlineFeatures(table.contract)
        self._stored: dict[str, bytes] = {}
        self._lagged = [LaggedEntity(table.contract, i) for i in range(len(table.contract.lagged_entities))]
        self._volumes: list[list[Counted]] = [[] for _ in self._lagged]
        self._labels: list[list[Counted]] = [[] for _ in self._lagged]

    def run(self, batches: Sequence[int]) -> Iterator[Computed]:
        rows = deque(enumerate(self._table.transactions()))
        sizes = deque(batches)
        while rows:
            size = sizes.popleft() if sizes else len(rows)
            yield from self._batch([rows.popleft() for _ in range(min(size, len(rows)))])

    def _batch(self, rows: Sequence[tuple[int, Transaction]]) -> Iterator[Computed]:
        working = {t.entities[0]: self._stored.get(t.entities[0]) for _, t in rows}
        histories = {
            id_: decode_history(stored) if stored else self._online.new_history() for id_, stored in working.items()
        }
        for row, transaction in rows:
            history = histories[transaction.entities[0]]
            through = self._through(row)
            self._build(max(transaction.timestamp, history.last), through)
            lagged = [entity.read(transaction.entities[1 + i]) for i, entity in enumerate(self._lagged)]
            computed = self._online.features(transaction, history, lagged, through)
            self._online.count(history, transaction, computed.effective_time)
            self._remember(row, transaction, computed)
            yield computed
        self._stored |= {id_: encode_history(history) for id_, history in histories.items()}

    def _through(self, row: int) -> int | None:
        return None if self._table.built_through is None else int(self._table.built_through[row])

    def _build(self, now: int, through: int | None) -> None:
        for index, entity in enumerate(self._lagged):
            latest = floor_hour(now - entity.lag)
            hour = latest if through is None else min(through, latest)
            # A builder never goes back, and never beyond what can have happened.
            entity.through = max(entity.through, min(hour + self._ahead, latest))
            entity.build(
                _due(self._volumes[index], entity.through), _due(self._labels[index], entity.labels_end(entity.through))
            )

    def _remember(self, row: int, transaction: Transaction, computed: Computed) -> None:
        due = int(self._table.known_at[row]) - self._contract.label_delay
        for volumes, labels in zip(self._volumes, self._labels, strict=True):
            volumes.append((computed.effective_time, row, transaction, computed.explained))
            if transaction.label is not None:
                labels.append((max(computed.effective_time, due), row, transaction, computed.explained))


def _due(events: list[Counted], end: int) -> list[Counted]:
    """Take out what happened before `end`, in (time, row) order."""
    taken = sorted((event for event in events if event[0] < end), key=lambda event: event[:2])
    events[:] = [event for event in events if event[0] >= end]
    return taken


def arrived(contract: Contract, transactions: Sequence[Transaction], known_at: Sequence[int] = ()) -> TransactionTable:
    """The table of a stream: rows in the order of arrival, with the effective times it would have recorded."""
    last: dict[str, int] = {}
    times = []
    for transaction in transactions:
        id_ = transaction.entities[0]
        last[id_] = max(transaction.timestamp, last.get(id_, -1))
        times.append(last[id_])
    table = replace(from_transactions(contract, transactions), effective_time=np.array(times, dtype=np.int64))
    return replace(table, known_at=np.array(known_at, dtype=np.int64)) if len(known_at) else table


def hours_before(table: TransactionTable, hours: Sequence[int]) -> TransactionTable:
    """The same table with a record of built hours: so many before each row's own."""
    own = table.effective_time // HOUR
    return replace(table, built_through=np.maximum(own - np.array(hours, dtype=np.int64), 0) * HOUR)

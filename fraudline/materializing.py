"""Profiles of later entities, built from all that has landed: volumes up to an hour, labels up to the delay before it.

Built from scratch every time, so that a late record, a corrected label or a lost run changes nothing but the next hour.
"""

from collections.abc import Iterator

import numpy as np

from fraudline.contract import Entity
from fraudline.durations import floor_hour, parse_duration
from fraudline.features.definition import feature_set
from fraudline.features.offline import explained_by_amount
from fraudline.features.online import LaggedCounter
from fraudline.features.profile import LabelEvent, LaggedHistory
from fraudline.profiles import profile_key
from fraudline.table import TransactionTable


def newest_hour(table: TransactionTable, now: int) -> int:
    """Up to which hour (microseconds) later entities may be built at `now`: that of the shortest lag."""
    lags = [parse_duration(entity.lag or "1h") for entity in table.contract.lagged_entities]
    return floor_hour(now - min(lags))


def build_lagged(table: TransactionTable, through: int) -> dict[str, LaggedHistory]:
    """Histories by profile key, of all later entities that had a transaction before the hour `through`.

    A label counts at max(transaction time, known_at - label delay); only those that online readers may see by then.
    """
    histories: dict[str, LaggedHistory] = {}
    for index, entity in enumerate(table.contract.entities[1:], start=1):
        histories |= dict(_entity(table, index, entity, through))
    return histories


def _entity(table: TransactionTable, index: int, entity: Entity, through: int) -> Iterator[tuple[str, LaggedHistory]]:
    counter, generation = LaggedCounter(entity), feature_set(table.contract).hash
    names, codes = table.entities[index].values.to_pylist(), table.entities[index].codes.tolist()
    histories: dict[int, LaggedHistory] = {}
    time, amount = table.effective_time.tolist(), table.amount.tolist()
    for row in _rows_before(table, through):
        counter.count_transaction(histories.setdefault(codes[row], LaggedHistory()), time[row], amount[row])
    if entity.risk:
        for row, label in _labels(table, through + parse_duration(entity.lag or "1h") - table.contract.label_delay):
            counter.count_label(histories.setdefault(codes[row], LaggedHistory()), label)
    yield from ((profile_key(entity.name, names[code], generation), history) for code, history in histories.items())


def _rows_before(table: TransactionTable, through: int) -> list[int]:
    """Rows that counted before `through`, in the order of their time."""
    rows = np.flatnonzero(table.effective_time < through)
    order: list[int] = rows[np.argsort(table.effective_time[rows], kind="stable")].tolist()
    return order


def _labels(table: TransactionTable, end: int) -> Iterator[tuple[int, LabelEvent]]:
    """Known labels in the order they count, before the hour `end`."""
    counts_at = np.maximum(table.effective_time, table.known_at - table.contract.label_delay)
    rows = np.flatnonzero((table.label >= 0) & (counts_at < end))
    explained = explained_by_amount(table)
    for row in rows[np.argsort(counts_at[rows], kind="stable")].tolist():
        fraud = int(table.label[row])
        yield row, LabelEvent(int(counts_at[row]), fraud, int(fraud and not explained[row]))

"""Profiles of lagged entities, built from all that has landed: volumes up to an hour, labels up to the delay before it.

Built from scratch every time, so that a lost run changes nothing. What builds before had not seen counts from the
newest of their hours on: decisions that were made after them could not know of it, and offline code follows.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fraudline.contract import Contract
from fraudline.durations import floor_hour, parse_duration
from fraudline.features.definition import feature_set
from fraudline.features.label_events import label_events
from fraudline.features.offline_partition import explained_by_amount
from fraudline.features.online_lagged import REACH, LaggedCounter
from fraudline.features.profile import LabelEvent, LaggedHistory
from fraudline.profiles import profile_key
from fraudline.transactions.table import TransactionTable


def newest_hour(contract: Contract, now: int) -> int:
    """Up to which hour (microseconds) lagged entities may be built at `now`: that of the shortest lag."""
    lags = [parse_duration(entity.lag or "1h") for entity in contract.lagged_entities]
    return floor_hour(now - min(lags))


def build_lagged(table: TransactionTable, through: int, read_at: int | None = None) -> dict[str, LaggedHistory]:
    """Histories by profile key, of all lagged entities that had a transaction before the hour `through`.

    `read_at` is the oldest hour of earlier builds that somebody may still read at: by default nobody does. A label
    counts at max(transaction time, known_at - label delay); only those that online readers may see by then.
    """
    past, histories = table.as_builds_saw_it(), dict[str, LaggedHistory]()
    explained = explained_by_amount(past)
    for index in range(1, len(past.entities)):
        built = build_entity(past, index, explained, through, read_at)
        names = past.entities[index].values.to_pylist()
        histories |= by_key(past.contract, index, (names[code] for code in built), built.values())
    return histories


def by_key(
    contract: Contract, index: int, names: Iterable[str], histories: Iterable[LaggedHistory]
) -> dict[str, LaggedHistory]:
    """The histories of these members of lagged entity `index`, by profile key."""
    entity, generation = contract.entities[index], feature_set(contract).hash
    pairs = zip(names, histories, strict=True)
    return {profile_key(entity.name, name, generation): history for name, history in pairs}


def build_entity(
    past: TransactionTable, index: int, explained: npt.NDArray[np.bool_], through: int, read_at: int | None = None
) -> dict[int, LaggedHistory]:
    """Histories of lagged entity `index` by code, from all rows of some of its members as builds saw them.

    `explained` tells of each row whether its amount alone would explain a fraud.
    """
    entity, oldest = past.contract.entities[index], (read_at or through) - REACH
    lag = parse_duration(entity.lag or "1h")
    shift = lag - past.contract.label_delay
    counter = LaggedCounter(entity, oldest, oldest + shift)
    codes = past.entities[index].codes.tolist()
    histories: dict[int, LaggedHistory] = {}
    time, amount = past.effective_time.tolist(), past.amount.tolist()
    for row in _rows_before(past, through):
        history = histories.setdefault(codes[row], LaggedHistory(complete_from=oldest))
        counter.count_transaction(history, time[row], amount[row])
    if entity.risk:
        for code, labels in _labels(past, codes, explained.tolist(), lag, through + shift).items():
            _count(counter, histories.setdefault(code, LaggedHistory(complete_from=oldest)), labels)
    return histories


def _rows_before(table: TransactionTable, through: int) -> list[int]:
    """Rows that counted before `through`, in the order of their time."""
    rows = np.flatnonzero(table.effective_time < through)
    order: list[int] = rows[np.argsort(table.effective_time[rows], kind="stable")].tolist()
    return order


class _Label(NamedTuple):
    """What becomes of the label of the transaction in this row: it begins to stand, or ceases to."""

    row: int
    begins: bool
    event: LabelEvent


def _labels(
    table: TransactionTable, codes: list[int], explained: list[bool], lag: int, end: int
) -> dict[int, list[_Label]]:
    """By entity, in the order they count, before the hour `end`."""
    events = label_events(table, lag)
    found: defaultdict[int, list[_Label]] = defaultdict(list)
    columns = (events.row.tolist(), events.time.tolist(), events.fraud.tolist(), events.sign.tolist())
    for row, time, fraud, sign in zip(*columns, strict=True):
        if time < end:
            found[codes[row]].append(_Label(row, sign > 0, LabelEvent(time, fraud, int(fraud and not explained[row]))))
    return found


def _count(counter: LaggedCounter, history: LaggedHistory, labels: Sequence[_Label]) -> None:
    standing: dict[int, LabelEvent] = {}
    for row, begins, event in labels:
        if begins:
            standing[row] = event
            counter.count_label(history, event)
        else:
            counter.withdraw_label(history, standing.pop(row), event.time, list(standing.values()))

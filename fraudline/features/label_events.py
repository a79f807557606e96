"""Labels as they began and ceased to stand: what lagged entities count of fraud, in the order it counts.

A statement on a transaction takes the place of the one before: the counts of that one are given back when the new one
counts. A withdrawal only gives back, and who says the same again says nothing new.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np

from fraudline.transactions.table import UNKNOWN, Integers, Statements, TransactionTable

_Event = tuple[int, int, int, int]


@dataclass(frozen=True)
class LabelEvents:
    """In the order they count: row of the table, when (microseconds), 1 fraud or 0 not, +1 begins or -1 ceases."""

    row: Integers
    time: Integers
    fraud: Integers
    sign: Integers

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: Integers) -> "LabelEvents":
        return LabelEvents(self.row[chosen], self.time[chosen], self.fraud[chosen], self.sign[chosen])


def label_events(table: TransactionTable, lag: int | None = None) -> LabelEvents:
    """What was said of a table's rows: it counts at max(transaction's time, known_at - label delay).

    With an entity's `lag` (microseconds) the table is what builds saw (`as_builds_saw_it`), and a statement that a
    build did not know of is none for readers of that build: they look at labels up to its hour + lag - label delay.
    """
    said = table.statements()
    delay = table.contract.label_delay
    time = np.maximum(table.effective_time[said.row], said.known_at - delay)
    if lag is not None:
        # Builds that did not know of the row itself need no word: it counts from their hour on, and a lag is no longer
        # than the delay.
        time = np.maximum(time, said.missed_by + lag - delay)
    events = _unordered(said, time, len(table))
    order = np.lexsort((events.row, events.time))
    return events.take(order)


def _unordered(said: Statements, time: Integers, rows: int) -> LabelEvents:
    """Rows with one statement, which are most, as whole columns; those with several one by one."""
    several = np.bincount(said.row, minlength=rows)[said.row] > 1
    plain = np.flatnonzero(~several & (said.label != UNKNOWN))
    single = LabelEvents(
        said.row[plain], time[plain], said.label[plain].astype(np.int64), np.ones(len(plain), np.int64)
    )
    if not several.any():
        return single
    changed = np.array(list(_of_several(said, time, np.flatnonzero(several))), dtype=np.int64).reshape(-1, 4)
    return LabelEvents(
        *(np.r_[ours, theirs] for ours, theirs in zip((single.row, single.time, single.fraud, single.sign), changed.T))
    )


def _of_several(said: Statements, time: Integers, at: Integers) -> Iterator[_Event]:
    told = sorted(zip(said.row[at].tolist(), time[at].tolist(), range(len(at)), said.label[at].tolist(), strict=True))
    for row, statements in groupby(told, key=itemgetter(0)):
        standing, weight = UNKNOWN, -1
        for _, moment, own_weight, label in statements:
            if own_weight < weight:
                continue
            weight = own_weight
            if label == standing:
                continue
            if standing != UNKNOWN:
                yield row, moment, standing, -1
            if label != UNKNOWN:
                yield row, moment, label, 1
            standing = label

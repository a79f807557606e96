"""The partition entity's past over whole columns: totals, outliers, windows and habits before each row."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fraudline.durations import DAY, HOUR
from fraudline.features.constants import (
    EXPLAINED_RATIO,
    MAX_SEEN_VALUES,
    OUTLIER_MIN_COUNT,
    OUTLIER_RATIO,
    SQUARE_CAP,
)
from fraudline.features.definition import windows
from fraudline.features.limits import MOST, fits, largest_amount, too_many
from fraudline.features.offline_maxima import Maxima
from fraudline.features.offline_windows import (
    HOURS_A_DAY,
    Keys,
    Mask,
    Primitives,
    stable_order,
    sums_before,
    window_starts,
)
from fraudline.transactions.table import Integers, TransactionTable


def explained_by_amount(table: TransactionTable) -> Mask:
    """For each row whether its amount alone would explain a fraud: over twice the usual of its partition entity."""
    return PartitionHistory(table).explained()


@dataclass(frozen=True)
class Explained:
    """Numbers (`source_row`) of the frauds that their amounts alone would explain.

    What is usual is told by the rows before: as they counted, or as builds of lagged entities counted them.
    """

    counted: Integers
    seen_by_builds: Integers

    @staticmethod
    def of(table: TransactionTable, frauds: Mask) -> "Explained":
        """Among the `frauds` of all rows of some members of the partition entity."""
        past = table.as_builds_saw_it()
        counted = table.source_row[explained_by_amount(table) & frauds]
        if past is table:
            return Explained(counted, counted)
        seen = past.source_row[explained_by_amount(past)]
        return Explained(counted, np.intersect1d(seen, table.source_row[frauds]))


class PartitionHistory:
    """The partition entity's running totals, in the order of its rows; `order` maps them to the table's."""

    def __init__(self, table: TransactionTable) -> None:
        self._table = table
        self._entity = table.contract.partition_entity
        self.order = stable_order(table.entities[0].codes)
        self._codes = table.entities[0].codes[self.order]
        self._time = table.effective_time[self.order]
        self._hours = self._time // HOUR
        self._amount = amount = table.amount[self.order]
        starts = np.flatnonzero(np.r_[True, self._codes[1:] != self._codes[:-1]]) if len(amount) else np.arange(0)
        lengths = np.diff(np.r_[starts, len(amount)]).astype(np.int64)
        _refuse_more_than_fits(table, amount, starts, lengths)
        self._first = np.repeat(starts, lengths)
        self._sums = sums_before(amount)
        self._screen_outliers()

    @cached_property
    def _keys(self) -> Keys:
        return Keys.of(self._codes, self._hours)

    @cached_property
    def _squares(self) -> Integers:
        capped = np.minimum(self._amount, SQUARE_CAP)
        return sums_before(capped * capped)

    @cached_property
    def _tops(self) -> dict[int, Maxima]:
        """By the length of the tiles that a window is made of."""
        days = Keys.of(self._codes, self._hours // HOURS_A_DAY)
        return {HOUR: Maxima(self._keys.sorted, self._amount), DAY: Maxima(days.sorted, self._amount)}

    def _screen_outliers(self) -> None:
        amount, here = self._amount, np.arange(len(self._amount))
        n, s = here - self._first, self._sums[:-1] - self._sums[self._first]
        enough = n >= OUTLIER_MIN_COUNT
        suspect = enough & (amount * n > OUTLIER_RATIO * s)
        screened_n, screened_s = self._without(suspect, here)
        outlier = enough & (amount * screened_n > OUTLIER_RATIO * screened_s)
        self._outliers = sums_before(outlier)
        self._usual_n, self._usual_s = self._without(outlier, here)
        self._explained = (self._usual_n > 0) & (amount * self._usual_n > EXPLAINED_RATIO * self._usual_s)

    def _without(self, left_out: Mask, here: Integers) -> tuple[Integers, Integers]:
        """Count and sum of an entity's earlier transactions, some left out."""
        counts, sums = sums_before(~left_out), sums_before(np.where(left_out, 0, self._amount))
        return counts[here] - counts[self._first], sums[here] - sums[self._first]

    @cached_property
    def _same(self) -> Primitives:
        contract = self._table.contract
        same: Primitives = {}
        for category, codes in zip(contract.categories, self._table.categories, strict=True):
            same[f"{category.name}_same"] = self._earlier_same(codes.codes[self.order].astype(np.int64))
        for flag, column in zip(contract.flags, self._table.flags, strict=True):
            same[f"{flag.name}_same"] = self._earlier_same(column[self.order].astype(np.int64))
        return same

    def _earlier_same(self, values: Integers) -> Integers:
        """How many earlier transactions of the entity have this row's value, of those values it remembers."""
        if not len(values):
            return values
        groups = self._codes.astype(np.int64) * (int(values.max()) + 1) + values
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(groups[order]) != 0])
        group_first = np.repeat(starts, np.diff(np.r_[starts, len(values)]))
        counts = np.empty(len(values), dtype=np.int64)
        counts[order] = np.arange(len(values)) - group_first
        new = sums_before(counts == 0)
        appeared = new[:-1] - new[self._first]
        rank = np.empty(len(values), dtype=np.int64)
        rank[order] = appeared[order[group_first]]
        return np.where(rank < MAX_SEEN_VALUES, counts, 0)

    def explained(self) -> Mask:
        """In the table's order: would the amount alone explain a fraud?"""
        out = np.empty(len(self.order), dtype=bool)
        out[self.order] = self._explained
        return out

    def primitives(self, here: Integers) -> Primitives:
        """At these positions (in this object's order)."""
        e, first, codes = self._entity.name, self._first[here], self._codes[here]
        n = here - first
        values: Primitives = {
            f"{e}_n": n,
            f"{e}_s": self._sums[here] - self._sums[first],
            f"{e}_q": self._squares[here] - self._squares[first],
            f"{e}_o": self._outliers[here] - self._outliers[first],
            f"{e}_usual_n": self._usual_n[here],
            f"{e}_usual_s": self._usual_s[here],
            f"{e}_last": np.where(n > 0, self._time[here] - self._time[np.maximum(here - 1, 0)], -1),
            f"{e}_first": np.where(n > 0, self._time[here] - self._time[first], -1),
        }
        tiles = {window.name: window.tile for window in windows(self._entity)}
        for w, starts in window_starts(self._hours[here], self._entity):
            low = self._keys.first_at_or_after(codes, starts)
            values[f"{e}_n_{w}"] = here - low
            values[f"{e}_s_{w}"] = self._sums[here] - self._sums[low]
            values[f"{e}_q_{w}"] = self._squares[here] - self._squares[low]
            values[f"{e}_o_{w}"] = self._outliers[here] - self._outliers[low]
            values[f"{e}_top_{w}"] = self._tops[tiles[w]].between(low, here)
        return values | {name: same[here] for name, same in self._same.items()}


def _refuse_more_than_fits(table: TransactionTable, amount: Integers, starts: Integers, lengths: Integers) -> None:
    """`BadInput` where an entity's totals need more than 64 bits: they would wrap around, unseen."""
    if not len(amount):
        return
    largest, squared = largest_amount(table.contract), min(int(amount.max()), SQUARE_CAP) ** 2
    suspects = lengths > MOST // max(largest, OUTLIER_RATIO * int(amount.max()), squared)
    for start, length in zip(starts[suspects].tolist(), lengths[suspects].tolist(), strict=True):
        own = amount[start : start + length].tolist()
        if not fits(length, sum(own), sum(min(value, SQUARE_CAP) ** 2 for value in own), largest):
            raise too_many(table.contract, length)

"""Two decisions on each of the same transactions, compared row by row: the diff of a day."""

from collections import Counter
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.backfill.diffs import DEAREST, EDGES, Diff, Flip, Tally, dearest
from fraudline.errors import BadInput
from fraudline.transactions.table import TransactionTable

# What decisions must have to be compared.
COLUMNS = ("transaction_id", "score", "is_fraud")

Mask = npt.NDArray[np.bool_]


def compare(day: str, table: TransactionTable, before: pa.Table, after: pa.Table) -> Diff:
    """One day's decisions of both sides; `table` has the day's transactions, `after` a row for each in its order.

    `before` holds any of them in any order, and maybe others. Both have `COLUMNS`; where `before` has a `model_version`
    it is counted. `BadInput` for a transaction that `before` has twice.
    """
    _once(day, before)
    at = pc.index_in(table.ids, value_set=_column(before, "transaction_id"))
    both = _numbers(pc.is_valid(at))
    matched = before.take(at.drop_null())
    some, mine = table.take(both), after.filter(pa.array(both))
    pair = _Pair(
        some, _floats(matched, "score"), _floats(mine, "score"), _flags(matched, "is_fraud"), _flags(mine, "is_fraud")
    )
    versions = _column(matched, "model_version").to_pylist() if "model_version" in matched.column_names else []
    return Diff(
        {day: pair.tally},
        pair.segments(),
        pair.shifts,
        int((pair.before == pair.after).sum()),
        only_before=before.num_rows - len(some),
        only_after=len(table) - len(some),
        flips=pair.dearest_flips(),
        versions_before=Counter(versions),
    )


@dataclass(frozen=True)
class _Pair:
    """Transactions that both sides decided on, row by row."""

    table: TransactionTable
    before: npt.NDArray[np.float64]
    after: npt.NDArray[np.float64]
    flagged_before: Mask
    flagged_after: Mask

    @cached_property
    def measures(self) -> npt.NDArray[np.int64]:
        """A row for each field of `Tally`, a column for each transaction."""
        was, is_ = self.flagged_before, self.flagged_after
        labelled, fraud = self.table.label >= 0, self.table.label == 1
        raised, dropped = is_ & ~was, was & ~is_
        amount = self.table.amount
        values = {
            "transactions": np.ones(len(self.table), bool),
            "alerts_before": was,
            "alerts_after": is_,
            "raised": raised,
            "dropped": dropped,
            "raised_amount": raised * amount,
            "dropped_amount": dropped * amount,
            "labelled": labelled,
            "frauds": fraud,
            "labelled_alerts_before": was & labelled,
            "labelled_alerts_after": is_ & labelled,
            "caught_before": was & fraud,
            "caught_after": is_ & fraud,
            "raised_frauds": raised & fraud,
            "dropped_frauds": dropped & fraud,
        }
        return np.stack([values[field.name].astype(np.int64) for field in fields(Tally)])

    @property
    def tally(self) -> Tally:
        return Tally(*self.measures.sum(axis=1).tolist())

    @property
    def shifts(self) -> tuple[int, ...]:
        """A shift of an edge itself counts outwards, so that the middle bin is below the smallest on both sides."""
        shift = self.after - self.before
        side = np.where(shift < 0, np.searchsorted(EDGES, shift, "left"), np.searchsorted(EDGES, shift, "right"))
        return tuple(np.bincount(side, minlength=len(EDGES) + 1).tolist())

    def segments(self) -> dict[tuple[str, str], Tally]:
        contract = self.table.contract
        found: dict[tuple[str, str], Tally] = {}
        for category, codes in zip(contract.categories, self.table.categories, strict=True):
            values = codes.values.to_pylist()
            found |= {(category.column, values[code]): tally for code, tally in self._by(codes.codes).items()}
        for flag, column in zip(contract.flags, self.table.flags, strict=True):
            found |= {(flag.column, "yes" if code else "no"): tally for code, tally in self._by(column).items()}
        return found

    def _by(self, codes: npt.NDArray[Any]) -> dict[int, Tally]:
        if not len(codes):
            return {}
        order = np.argsort(codes, kind="stable")
        values, starts = np.unique(codes[order], return_index=True)
        sums = np.add.reduceat(self.measures[:, order], starts, axis=1)
        return {int(value): Tally(*sums[:, index].tolist()) for index, value in enumerate(values)}

    def dearest_flips(self) -> tuple[Flip, ...]:
        ways = (self.flagged_after & ~self.flagged_before, self.flagged_before & ~self.flagged_after)
        rows = [np.flatnonzero(way) for way in ways]
        most = [way[np.argsort(-self.table.amount[way], kind="stable")][:DEAREST] for way in rows]
        return dearest(tuple(self._flip(row) for row in np.concatenate(most).tolist()))

    def _flip(self, row: int) -> Flip:
        table = self.table
        return Flip(
            table.ids[row].as_py(),
            int(table.timestamp[row]),
            int(table.amount[row]),
            float(self.before[row]),
            float(self.after[row]),
            bool(self.flagged_after[row]),
            int(table.label[row]),
        )


def _once(day: str, decisions: pa.Table) -> None:
    ids = _column(decisions, "transaction_id")
    if pc.count_distinct(ids).as_py() != len(ids):
        raise BadInput(
            f"the decisions of {day} to compare with have a transaction twice: name those of one backfill only"
        )


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].combine_chunks()


def _numbers(array: pa.Array) -> Any:
    return array.to_numpy(zero_copy_only=False)


def _floats(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return np.asarray(_numbers(_column(table, name)), dtype=np.float64)


def _flags(table: pa.Table, name: str) -> Mask:
    return np.asarray(_numbers(_column(table, name)), dtype=bool)

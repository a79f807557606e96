"""Two decisions on each of the same transactions: what one flags and the other does not, and what that costs.

Everything is a sum over transactions, so days are compared one by one and added: a diff of a year takes the memory of
its largest day. "Before" is what the new decisions are held against, whichever was made first.
"""

import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.errors import BadInput
from fraudline.table import TransactionTable

# What decisions must have to be compared.
COLUMNS = ("transaction_id", "score", "is_fraud")
# Of after - before: an odd number of bins between these and their negatives, the middle one for equal scores.
SHIFTS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5)
EDGES = (*(-shift for shift in reversed(SHIFTS)), *SHIFTS)
# Flips that are kept one by one, the dearest first.
DEAREST = 10

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Tally:
    """Counts of transactions that both sides decided on; amounts in minor units.

    `raised` were flagged only after, `dropped` only before. `labelled` have a label, `frauds` of them are fraud; of the
    alerts that have a label, `caught` are right.
    """

    transactions: int = 0
    alerts_before: int = 0
    alerts_after: int = 0
    raised: int = 0
    dropped: int = 0
    raised_amount: int = 0
    dropped_amount: int = 0
    labelled: int = 0
    frauds: int = 0
    labelled_alerts_before: int = 0
    labelled_alerts_after: int = 0
    caught_before: int = 0
    caught_after: int = 0
    raised_frauds: int = 0
    dropped_frauds: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*map(operator.add, astuple(self), astuple(other)))

    @property
    def flipped(self) -> int:
        return self.raised + self.dropped

    @property
    def money_at_stake(self) -> int:
        """The sum of the amounts of flipped transactions, in minor units."""
        return self.raised_amount + self.dropped_amount

    @property
    def precision_before(self) -> float | None:
        """The share of frauds among labelled alerts; None where there is none."""
        return _share(self.caught_before, self.labelled_alerts_before)

    @property
    def precision_after(self) -> float | None:
        return _share(self.caught_after, self.labelled_alerts_after)

    @property
    def recall_before(self) -> float | None:
        """The share of known frauds that were flagged; None where none is known."""
        return _share(self.caught_before, self.frauds)

    @property
    def recall_after(self) -> float | None:
        return _share(self.caught_after, self.frauds)


@dataclass(frozen=True)
class Flip:
    """A transaction on which the two sides differ; `amount` in minor units, `label` -1 where none is known."""

    transaction_id: str
    timestamp: int
    amount: int
    before: float
    after: float
    raised: bool
    label: int


@dataclass(frozen=True)
class Diff:
    """Some days compared. `segments` are by category (or flag) and its value, `shifts` counts by bin of `EDGES`.

    `only_before` and `only_after` count what just one side decided on: it is in no tally. `flips` are the dearest.
    """

    days: Mapping[str, Tally] = field(default_factory=dict)
    segments: Mapping[tuple[str, str], Tally] = field(default_factory=dict)
    shifts: tuple[int, ...] = (0,) * (len(EDGES) + 1)
    equal_scores: int = 0
    only_before: int = 0
    only_after: int = 0
    flips: tuple[Flip, ...] = ()
    versions_before: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Diff") -> "Diff":
        return Diff(
            _added(self.days, other.days),
            _added(self.segments, other.segments),
            tuple(map(operator.add, self.shifts, other.shifts)),
            self.equal_scores + other.equal_scores,
            self.only_before + other.only_before,
            self.only_after + other.only_after,
            dearest((*self.flips, *other.flips)),
            Counter(self.versions_before) + Counter(other.versions_before),
        )

    @cached_property
    def total(self) -> Tally:
        return sum(self.days.values(), Tally())


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


def dearest(flips: tuple[Flip, ...]) -> tuple[Flip, ...]:
    """The `DEAREST` flips of each way by amount, those raised first; ties by id, so that the order of days is none."""
    ordered = sorted(flips, key=lambda flip: (-flip.amount, flip.transaction_id))
    ways = ([flip for flip in ordered if flip.raised is raised][:DEAREST] for raised in (True, False))
    return tuple(flip for way in ways for flip in way)


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


def shift_labels() -> tuple[str, ...]:
    """What each bin of `Diff.shifts` holds, in words."""
    outer = [f"{low:g} to {high:g}" for low, high in pairwise(SHIFTS)] + [f"{SHIFTS[-1]:g} or more"]
    return (*(f"down by {words}" for words in reversed(outer)), f"within {SHIFTS[0]:g}", *(f"up by {w}" for w in outer))


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


def _added(one: Mapping[Any, Tally], other: Mapping[Any, Tally]) -> dict[Any, Tally]:
    return {key: one.get(key, Tally()) + other.get(key, Tally()) for key in (*one, *(k for k in other if k not in one))}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

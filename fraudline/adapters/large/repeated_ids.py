"""Ids that come more than once in runs on disk: which copy counts, and what the others add to it.

Ids are divided by their hashes, so that each worker has all copies of its own. Where two hashes are equal, the rows
themselves decide, by the very functions that decide on one table in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.adapters.archive.history import first_copies
from fraudline.adapters.large.runs import ARCHIVE, FILES, STREAM, Hashes, Run, at_hashes, counted_order, firsts_of
from fraudline.backfill.past import is_first
from fraudline.contract import Contract
from fraudline.transactions.landed import Landed, RejectedRow, Source, keep_first_copies
from fraudline.transactions.table import Integers, TransactionTable, concatenate, from_transactions

# Rows among which copies are looked for at once.
ROWS_AT_ONCE = 2**21


@dataclass(frozen=True)
class Copied:
    """What files say of the labels of transactions that the stream has archived, by the numbers of the latter's rows.

    `label` is `UNKNOWN` where the file does not tell, `source_row` the number of the file's row.
    """

    row: Integers
    label: npt.NDArray[np.int8]
    source_row: Integers

    def of(self, rows: Integers) -> tuple[Integers, "Copied"]:
        """Which of these rows (numbers) have a copy, and that."""
        known = np.flatnonzero(are_among(rows, self.row))
        return known, self.take(np.searchsorted(self.row, rows[known]))

    def take(self, chosen: Integers) -> "Copied":
        return Copied(self.row[chosen], self.label[chosen], self.source_row[chosen])


@dataclass(frozen=True)
class RepeatedIds:
    """What becomes of ids that come more than once, rows by their numbers in all input, ascending.

    `dropped` do not count. `undecided` do, for the stream has counted an id for two entities, but decisions go by id,
    and the first is decided on.
    """

    dropped: Integers
    undecided: Integers
    copied: Copied
    rejects: tuple[RejectedRow, ...]
    duplicates: int


def are_among(rows: Integers, known: Integers) -> npt.NDArray[np.bool_]:
    """Which of these rows are known: `known` ascends, and may be much longer."""
    if not len(known):
        return np.zeros(len(rows), bool)
    return np.asarray(known[np.minimum(np.searchsorted(known, rows), len(known) - 1)] == rows)


def together(parts: Sequence[RepeatedIds]) -> RepeatedIds:
    """Those of all parts of the ids."""
    rows, labels, source_rows = (
        np.concatenate([getattr(part.copied, name) for part in parts]) for name in ("row", "label", "source_row")
    )
    return RepeatedIds(
        np.sort(np.concatenate([part.dropped for part in parts])),
        np.sort(np.concatenate([part.undecided for part in parts])),
        Copied(rows, labels, source_rows).take(np.argsort(rows, kind="stable")),
        tuple(reject for part in parts for reject in part.rejects),
        sum(part.duplicates for part in parts),
    )


def find_repeated(
    contract: Contract, runs: Sequence[Run], sources: Sequence[Source], part: int, parts: int
) -> RepeatedIds:
    """Among the ids whose hash belongs to `part`."""
    mine = [_of_part(run.hashes(), part, parts) for run in runs]
    ordered = np.sort(np.concatenate([np.zeros(0, np.uint64), *mine]))
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        none = np.zeros(0, np.int64)
        return RepeatedIds(none, none, Copied(none, none.astype(np.int8), none), (), 0)
    files, archived, streamed = (_rows(contract, runs, sources, twice, origin) for origin in (FILES, ARCHIVE, STREAM))
    return _decided(_kept(files, sources), archived, _kept(streamed, sources))


@dataclass(frozen=True)
class _Kept:
    """The first copies of what came, and the numbers of the others."""

    landed: Landed
    others: Integers


def _kept(table: TransactionTable, sources: Sequence[Source]) -> _Kept:
    landed = keep_first_copies(Landed(len(table), table, (), sources=tuple(sources)))
    return _Kept(landed, np.setdiff1d(table.source_row, landed.table.source_row))


def _decided(files: _Kept, archived: TransactionTable, streamed: _Kept) -> RepeatedIds:
    theirs, new = files.landed.table, streamed.landed.table
    copies = theirs.take(_is_in(theirs.ids, archived.ids))
    again = new.take(_is_in(new.ids, pa.concat_arrays([theirs.ids, archived.ids])))
    at = first_copies(copies, archived)
    copied = Copied(archived.source_row[at], copies.label, copies.source_row)
    return RepeatedIds(
        np.sort(np.concatenate([files.others, copies.source_row, streamed.others, again.source_row])),
        np.sort(archived.source_row[~is_first(archived.ids)]),
        copied.take(np.argsort(copied.row, kind="stable")),
        files.landed.rejects + streamed.landed.rejects,
        files.landed.duplicates + len(copies) + streamed.landed.duplicates + len(again),
    )


def _is_in(ids: pa.StringArray, others: pa.StringArray) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.is_in(ids, value_set=others).to_numpy(zero_copy_only=False)
    return found


def _of_part(hashes: Hashes, part: int, parts: int) -> Hashes:
    mine: Hashes = hashes[hashes % np.uint64(parts) == part]
    return mine


def _rows(
    contract: Contract, runs: Sequence[Run], sources: Sequence[Source], hashes: Hashes, origin: int
) -> TransactionTable:
    """The rows of one origin whose ids have one of these hashes, numbered in all input, in the order they came."""
    firsts, tables, orders = firsts_of(sources), list[TransactionTable](), list[pa.StringArray]()
    for run in runs:
        at = at_hashes(run, hashes) if run.origin == origin else np.zeros(0, np.int64)
        if len(at):
            table, order = run.take(contract, at)
            tables.append(replace(table, source_row=table.source_row + int(firsts[run.source])))
            orders.append(order)
    if not tables:
        return from_transactions(contract, [])
    whole = concatenate(tables)
    if origin == FILES:
        return whole.take(np.argsort(whole.source_row, kind="stable"))
    return whole.take(counted_order(whole.effective_time, pa.concat_arrays(orders)))

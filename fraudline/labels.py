"""Verdicts of people, which become labels: each counts from the moment it was given, and none is forgotten."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from fraudline.builds import NEVER
from fraudline.transactions.table import UNKNOWN, Statements, TransactionTable, join_statements


class Verdict(msgspec.Struct, frozen=True):
    """What somebody found a transaction to be (1 fraud, 0 not), and when (microseconds since the epoch).

    `UNKNOWN` (-1) withdraws what was found before: from then on the transaction has no label. `missed_by` is the hour
    of the newest build of lagged entities that did not know of it.
    """

    label: int
    known_at: int
    by: str
    note: str = ""
    missed_by: int = NEVER


def standing(verdicts: Iterable[Verdict]) -> int:
    """What the newest verdict says: `UNKNOWN` where there is none, or where the newest withdraws those before.

    >>> first, correction, withdrawal = Verdict(1, 10, "ann"), Verdict(0, 20, "bob"), Verdict(UNKNOWN, 30, "ann")
    >>> [standing(verdicts) for verdicts in ([], [first], [first, correction], [first, correction, withdrawal])]
    [-1, 1, 0, -1]
    """
    newest = max(verdicts, key=_known_at, default=None)
    return newest.label if newest else UNKNOWN


def with_verdicts(table: TransactionTable, verdicts: Mapping[str, Sequence[Verdict]], as_of: int) -> TransactionTable:
    """The table with the labels that verdicts (by transaction id) known by `as_of` say, over what it had."""
    label, known_at = table.label.copy(), table.known_at.copy()
    said: list[tuple[int, Verdict]] = []
    for row, id_ in enumerate(table.ids.to_pylist()) if verdicts else ():
        known = [verdict for verdict in verdicts.get(id_, ()) if verdict.known_at <= as_of]
        if known:
            # Of two at one time the first given has more weight.
            said += ((row, verdict) for verdict in sorted(known, key=_known_at, reverse=True)[::-1])
            verdict = said[-1][1]
            label[row], known_at[row] = verdict.label, verdict.known_at
    labelled = replace(table, label=label.astype(np.int8), known_at=known_at)
    return replace(labelled, said=_joined(table.statements(), said)) if said else labelled


def _joined(before: Statements, said: Sequence[tuple[int, Verdict]]) -> Statements:
    rows, verdicts = zip(*said, strict=True)
    new = Statements(
        np.array(rows, dtype=np.int64),
        np.array([verdict.label for verdict in verdicts], dtype=np.int8),
        np.array([verdict.known_at for verdict in verdicts], dtype=np.int64),
        np.array([verdict.missed_by for verdict in verdicts], dtype=np.int64),
    )
    return join_statements([before, new])


def _known_at(verdict: Verdict) -> int:
    return verdict.known_at

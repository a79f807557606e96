"""Verdicts of people, which become labels: each counts from the moment it was given, and none is forgotten."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from fraudline.table import TransactionTable


class Verdict(msgspec.Struct, frozen=True):
    """What somebody found a transaction to be (1 fraud, 0 not), and when (microseconds since the epoch)."""

    label: int
    known_at: int
    by: str
    note: str = ""


def latest(verdicts: Iterable[Verdict], as_of: int) -> Verdict | None:
    """The newest verdict that was known by `as_of`: corrections count from their own time on.

    >>> first, correction = Verdict(1, 10, "ann"), Verdict(0, 20, "bob")
    >>> [verdict and verdict.label for verdict in (latest([first, correction], t) for t in (9, 19, 20))]
    [None, 1, 0]
    """
    known = [verdict for verdict in verdicts if verdict.known_at <= as_of]
    return max(known, key=lambda verdict: verdict.known_at, default=None)


def with_verdicts(table: TransactionTable, verdicts: Mapping[str, Sequence[Verdict]], as_of: int) -> TransactionTable:
    """The table with the labels that verdicts (by transaction id) known by `as_of` say, over what it had."""
    label, known_at = table.label.copy(), table.known_at.copy()
    for row, id_ in enumerate(table.ids.to_pylist()) if verdicts else ():
        verdict = latest(verdicts.get(id_, ()), as_of)
        if verdict:
            label[row], known_at[row] = verdict.label, verdict.known_at
    return replace(table, label=label.astype(np.int8), known_at=known_at)

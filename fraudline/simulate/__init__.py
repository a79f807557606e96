"""Transactions of a made-up web shop: users with habits, three kinds of fraud, and dirty rows.

1. `habits` draws the users and their honest transactions; `fraud` adds three kinds of fraud.
2. `transactions` gives both the same prices, ids, texts and order without seeing the label, so that nothing
   but behaviour tells them apart.
3. `dirt` makes the rows that a real feed breaks on, and remembers how each was broken; `records` writes
   stream records.

Pure and deterministic: the same `Population` gives the same frame, with no clock and no I/O.
"""

from fraudline.simulate.dirt import FILE_KINDS, KINDS, STREAM_KINDS, Dirt, soil, weave, weave_records
from fraudline.simulate.population import Population
from fraudline.simulate.records import to_records
from fraudline.simulate.transactions import COLUMNS, LABEL, simulate

__all__ = [
    "COLUMNS",
    "FILE_KINDS",
    "KINDS",
    "LABEL",
    "STREAM_KINDS",
    "Dirt",
    "Population",
    "simulate",
    "soil",
    "to_records",
    "weave",
    "weave_records",
]

"""Measures of a whole window: one number each, NaN where the window is too small or too short to tell.

Each is defined once, here, with a sentence for reports; suites put bounds on them by name.
"""

from dataclasses import dataclass
from math import nan
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from fraudline.durations import DAY, HOUR
from fraudline.quality.frame import local_time
from fraudline.quality.words import Unit
from fraudline.transactions.landed import Landed
from fraudline.transactions.table import UNKNOWN, Integers, TransactionTable

WEEK = 7 * DAY
# Volumes and new entities are those of the newest day; a day is new only against this much past.
RECENT = DAY
PAST = WEEK
EARLIER_WEEKS = 4
# Fewer than these say nothing about a share or a rate.
ENOUGH_ROWS = 200
ENOUGH_FRAUDS = 20


class Measure(NamedTuple):
    """What a measure says and how its values are told."""

    sentence: str
    unit: Unit


MEASURES = {
    "rows": Measure("Rows read", "count"),
    "valid_rows": Measure("Valid transactions", "count"),
    "quarantined_share": Measure("Share of rows that are no transaction", "share"),
    "duplicate_share": Measure("Share of rows that repeat an earlier one", "share"),
    "excluded_share": Measure("Share of valid rows that fail an expectation on single rows", "share"),
    "hours_since_newest": Measure("From the newest transaction to the as-of time", "hours"),
    "hours_ahead": Measure("How far the newest transaction is ahead of the as-of time", "hours"),
    "days_covered": Measure("From the oldest to the newest transaction", "days"),
    "longest_gap_hours": Measure("Longest time without any transaction", "hours"),
    "volume_ratio": Measure("Transactions of the newest day against the same hours of earlier weeks", "ratio"),
    "busiest_second_share": Measure("Share of transactions in the busiest second", "share"),
    "night_share": Measure("Share of transactions between midnight and six", "share"),
    "median_amount": Measure("Median amount", "amount"),
    "mean_amount": Measure("Mean amount", "amount"),
    "whole_amount_share": Measure("Share of amounts without minor units", "share"),
    "commonest_amount_share": Measure("Share of the commonest amount", "share"),
    "entities": Measure("Distinct partition entities", "count"),
    "top_entity_share": Measure("Share of transactions by the busiest partition entity", "share"),
    "new_entity_share": Measure("Share of the newest day's transactions by entities never seen before", "share"),
    "labelled_share": Measure("Share of transactions older than the label delay that have a label", "share"),
    "label_rate": Measure("Share of fraud among known labels", "share"),
    "label_rate_ratio": Measure("Fraud rate of the newest labelled week against the weeks before", "ratio"),
}


@dataclass(frozen=True)
class Context:
    """What a window is judged in the light of: the present (microseconds), and transactions before the window.

    Without `as_of` nothing is stale; without `earlier` the window itself is all the past there is. `usual_rows` is how
    many transactions such a window of a stream usually has, 0 where nobody knows; a file is compared with its own past.
    """

    as_of: int | None = None
    earlier: TransactionTable | None = None
    usual_rows: float | None = None


def measures(landed: Landed, excluded: int, context: Context) -> dict[str, float]:
    """Every measure in `MEASURES` of what was read, `excluded` rows of it kept out of training."""
    table = landed.table
    return {
        "rows": float(landed.rows),
        "valid_rows": nan if _usually_quiet(table, context) else float(len(table)),
        "quarantined_share": _share(len(landed.rejects), landed.rows),
        "duplicate_share": _share(landed.duplicates, landed.rows),
        "excluded_share": _share(excluded, len(table)),
        **(_of_table(table, context) if len(table) else dict.fromkeys(_TABLE_MEASURES, nan)),
    }


def _usually_quiet(table: TransactionTable, context: Context) -> bool:
    """An hour without a transaction is news only where there usually are some."""
    return not len(table) and context.usual_rows is not None and context.usual_rows < ENOUGH_ROWS / 4


def window_frame(measured: dict[str, float]) -> pd.DataFrame:
    """The single row that window expectations judge."""
    return pd.DataFrame({name: [value] for name, value in measured.items()})


_TABLE_MEASURES = tuple(MEASURES)[5:]


def _of_table(table: TransactionTable, context: Context) -> dict[str, float]:
    in_time = _clock(table, context) | _volume(table, context)
    return in_time | _amounts(table) | _entities(table, context) | _labels(table)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else nan


def _clock(table: TransactionTable, context: Context) -> dict[str, float]:
    time = np.sort(table.timestamp)
    newest, as_of = int(time[-1]), context.as_of
    _, in_second = np.unique(time // 1_000_000, return_counts=True)
    enough = len(time) >= ENOUGH_ROWS
    return {
        "hours_since_newest": nan if as_of is None else max(as_of - newest, 0) / HOUR,
        "hours_ahead": nan if as_of is None else max(newest - as_of, 0) / HOUR,
        "days_covered": (newest - int(time[0])) / DAY,
        "longest_gap_hours": float(np.diff(time).max()) / HOUR if enough else nan,
        "busiest_second_share": float(in_second.max()) / len(time) if enough else nan,
        "night_share": float(np.mean(local_time(table) // HOUR % 24 < 6)) if enough else nan,
    }


def _volume(table: TransactionTable, context: Context) -> dict[str, float]:
    """The window against the usual; or a file's newest day's whole hours against those one to four weeks before."""
    if context.usual_rows is not None:
        return {"volume_ratio": _ratio(len(table), context.usual_rows)}
    hours = table.timestamp // HOUR
    oldest, end = int(hours.min()), int(hours.max())
    counts = np.bincount(hours - oldest)
    newest = np.arange(max(end - RECENT // HOUR, oldest + 1), end) - oldest
    return {"volume_ratio": _ratio(float(counts[newest].sum()), _usual_volume(counts, newest))}


def _ratio(seen: float, usual: float) -> float:
    return seen / usual if usual >= ENOUGH_ROWS / 4 else nan


def _usual_volume(counts: Integers, hours: Integers) -> float:
    """How many transactions these hours usually have; 0 where no earlier week is known whole."""
    weeks = [hours - week * (WEEK // HOUR) for week in range(1, EARLIER_WEEKS + 1)]
    # The first hour is seldom whole.
    known = [counts[week].sum() for week in weeks if len(week) and week.min() > 0]
    # Of weeks, not of hours: where transactions come in runs, the usual hour has none.
    return float(np.median(known)) if known else 0.0


def _amounts(table: TransactionTable) -> dict[str, float]:
    units, amount = table.contract.amount.minor_units, table.amount
    if len(amount) < ENOUGH_ROWS:
        return dict.fromkeys(("median_amount", "mean_amount", "whole_amount_share", "commonest_amount_share"), nan)
    _, counts = np.unique(amount, return_counts=True)
    return {
        "median_amount": float(np.median(amount)) / units,
        "mean_amount": float(np.mean(amount)) / units,
        "whole_amount_share": float(np.mean(amount % units == 0)),
        "commonest_amount_share": float(counts.max()) / len(amount),
    }


def _entities(table: TransactionTable, context: Context) -> dict[str, float]:
    counts = np.bincount(table.entities[0].codes)
    return {
        "entities": float(np.count_nonzero(counts)),
        "top_entity_share": float(counts.max()) / len(table) if len(table) >= ENOUGH_ROWS else nan,
        "new_entity_share": _new_entity_share(table, context.earlier),
    }


def _new_entity_share(table: TransactionTable, earlier: TransactionTable | None) -> float:
    start = max(int(table.timestamp.max()) - RECENT, int(table.timestamp.min()))
    recent = table.timestamp >= start
    oldest = min(int(part.timestamp.min()) for part in (table, earlier) if part is not None and len(part))
    if start - oldest < PAST or recent.sum() < ENOUGH_ROWS / 4:
        return nan
    seen = set(_ids(table, ~recent)) | (set(_ids(earlier, slice(None))) if earlier is not None else set())
    names = table.entities[0].values.to_pylist()
    new = np.array([name not in seen for name in names])
    return float(np.mean(new[table.entities[0].codes[recent]]))


def _ids(table: TransactionTable, rows: npt.NDArray[np.bool_] | slice) -> list[str]:
    codes = table.entities[0]
    names = codes.values.to_pylist()
    return [names[code] for code in np.unique(codes.codes[rows])]


def _labels(table: TransactionTable) -> dict[str, float]:
    known = table.label != UNKNOWN
    mature = table.timestamp <= int(table.timestamp.max()) - table.contract.label_delay
    enough = known.sum() >= ENOUGH_ROWS
    return {
        "labelled_share": float(np.mean(known[mature])) if mature.sum() >= ENOUGH_ROWS else nan,
        "label_rate": float(np.mean(table.label[known])) if enough else nan,
        "label_rate_ratio": _label_rate_ratio(table.timestamp[known], table.label[known]),
    }


def _label_rate_ratio(time: Integers, label: npt.NDArray[np.int8]) -> float:
    if not len(time):
        return nan
    newest = time > int(time.max()) - WEEK
    before = label[~newest]
    if before.sum() < ENOUGH_FRAUDS or newest.sum() < ENOUGH_ROWS:
        return nan
    return float(np.mean(label[newest]) / np.mean(before))

"""Transactions as the pandas frame that expectations judge: the contract's column names, people's units.

The index is the row's position in the table, so that a failed expectation's row ids are positions.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from fraudline.clock import QUARTER, utc_offset
from fraudline.contract import Contract
from fraudline.decision import Decision
from fraudline.durations import DAY, HOUR, SECOND
from fraudline.transactions.table import UNKNOWN, Codes, Integers, TransactionTable

# Columns added to the contract's own, for rules that need them.
HOUR_OF_DAY = "hour"
WEEKDAY = "weekday"
LABEL_HOURS = "hours_to_label"


def transactions_frame(table: TransactionTable) -> pd.DataFrame:
    """A row per transaction: amounts in the currency's units, times in UTC, null categories and labels missing.

    `hour` (0-23) and `weekday` (Monday is 0) are told in the contract's zone; `hours_to_label` is how long after its
    transaction a label became known.
    """
    contract, local = table.contract, local_time(table)
    known = table.label != UNKNOWN
    # A contract's own column of one of these names goes before.
    columns: dict[str, object] = {
        HOUR_OF_DAY: local // HOUR % 24,
        WEEKDAY: (local // DAY + 3) % 7,
        LABEL_HOURS: np.where(known, (table.known_at - table.timestamp) / HOUR, np.nan),
        contract.id.column: pd.array(table.ids, dtype=pd.ArrowDtype(pa.string())),
        contract.timestamp.column: pd.to_datetime(table.timestamp, unit="us", utc=True),
        contract.amount.column: table.amount / contract.amount.minor_units,
        contract.label.column: np.where(known, table.label, np.nan),
    }
    for parts, codes in ((contract.entities, table.entities), (contract.categories, table.categories)):
        columns |= {part.column: _categorical(column) for part, column in zip(parts, codes, strict=True)}
    columns |= {part.column: column for part, column in zip(contract.flags, table.flags, strict=True)}
    return pd.DataFrame(columns)


def frame_columns(contract: Contract) -> frozenset[str]:
    """What `transactions_frame` has for this contract."""
    return frozenset((*contract.required_columns, contract.label.column, HOUR_OF_DAY, WEEKDAY, LABEL_HOURS))


def decisions_frame(decisions: Sequence[Decision | None], minor_units: int) -> pd.DataFrame:
    """A row per decision, by the names the decisions table uses, empty for a missing one; amounts in currency units."""

    def column(value: Callable[[Decision], Any]) -> list[Any]:
        return [None if decision is None else value(decision) for decision in decisions]

    return pd.DataFrame(
        {
            "transaction_id": column(lambda d: d.transaction_id),
            "origin": column(lambda d: d.origin),
            "score": column(lambda d: d.score),
            "is_fraud": column(lambda d: float(d.is_fraud)),
            "threshold": column(lambda d: d.threshold),
            "above_threshold": column(lambda d: float(d.score >= d.threshold)),
            "model_version": column(lambda d: d.model_version),
            "amount": column(lambda d: d.amount / minor_units),
            "event_time": pd.to_datetime(column(lambda d: d.event_time), unit="us", utc=True),
            "effective_time": pd.to_datetime(column(lambda d: d.effective_time), unit="us", utc=True),
            "seconds_to_score": column(lambda d: (d.scored_at - d.event_time) / SECOND),
        }
    )


def local_time(table: TransactionTable) -> Integers:
    """Microseconds on the wall clock of the contract's zone."""
    zone = table.contract.timezone
    if zone == "UTC":
        return table.timestamp
    quarters, inverse = np.unique(table.timestamp // QUARTER, return_inverse=True)
    offsets = np.array([utc_offset(int(quarter), zone) for quarter in quarters], dtype=np.int64)
    return table.timestamp + offsets[inverse]


def _categorical(codes: Codes) -> "pd.Categorical[Any]":
    """The column without copying a text per row; "" is missing."""
    values = codes.values.to_pylist()
    numbers: npt.NDArray[np.int32] = codes.codes
    if "" in values:
        empty = values.index("")
        numbers = np.where(numbers == empty, -1, numbers - (numbers > empty)).astype(np.int32)
    column: pd.Categorical[Any] = pd.Categorical.from_codes(numbers, categories=pd.Index([v for v in values if v]))
    return column

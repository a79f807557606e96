"""The features of contract `cards` as users of pandas write them: groupby, rolling over time, joined back by row.

Every feature has its column. Windows slide to the microsecond where ours are tiled, so values differ a little.
"""

from typing import Any

import numpy as np
import pandas as pd

from fraudline.contract import Contract, Entity
from fraudline.durations import parse_duration
from fraudline.features.constants import (
    EXPLAINED_RATIO,
    OUTLIER_MIN_COUNT,
    OUTLIER_RATIO,
    PRIOR_RATE,
    PRIOR_WEIGHT,
    RATIO_CAP,
)
from fraudline.features.definition import feature_set

TIME, AMOUNT, FRAUD = "TX_DATETIME", "TX_AMOUNT", "TX_FRAUD"


def pandas_features(contract: Contract, frame: pd.DataFrame) -> pd.DataFrame:
    """Columns (rows, features) in the order of the feature set, for a frame of card transactions in time order."""
    card, terminal = contract.entities
    columns = _own(frame) | _card(frame, card)
    return pd.DataFrame(columns | _terminal(contract, frame, terminal))[list(feature_set(contract).names)]


def _own(frame: pd.DataFrame) -> dict[str, pd.Series]:
    hour, weekday = frame[TIME].dt.hour, frame[TIME].dt.weekday
    return {
        "amount": frame[AMOUNT],
        "hour": hour,
        "weekday": weekday,
        "is_night": (hour < 6).astype(float),
        "is_weekend": (weekday > 4).astype(float),
    }


def _card(frame: pd.DataFrame, card: Entity) -> dict[str, pd.Series]:
    amount, grouped = frame[AMOUNT], frame.groupby(card.column)
    count = grouped.cumcount()
    total = grouped[AMOUNT].cumsum() - amount
    frame["outlier"] = ((count >= OUTLIER_MIN_COUNT) & (amount * count > OUTLIER_RATIO * total)).astype(float)
    ordinary = amount.where(frame["outlier"] == 0, 0.0)
    usual_count = grouped["outlier"].transform(lambda outlier: (1 - outlier).cumsum()) - (1 - frame["outlier"])
    usual = (ordinary.groupby(frame[card.column]).cumsum() - ordinary) / usual_count
    frame["plain"] = frame[FRAUD].where(~(amount > EXPLAINED_RATIO * usual), 0)
    frame["usual"] = usual
    squares = (amount**2).groupby(frame[card.column]).cumsum() - amount**2
    deviation = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0.0))
    outliers = grouped["outlier"].cumsum() - frame["outlier"]
    since_first = frame[TIME] - grouped[TIME].transform("first")
    columns = {
        "card_usual": usual,
        "card_ratio": _ratio(amount, usual),
        "card_over": amount - usual,
        "card_z": _ratio(amount - total / count, deviation),
        "card_outlier_rate": _rate(outliers, count),
        "card_hours_since_last": grouped[TIME].diff().dt.total_seconds() / 3600,
        "card_days_known": since_first.dt.total_seconds() / 86400,
    }
    for window in card.windows:
        rolled = _rolling(frame, card.column, AMOUNT, _length(window), ["count", "sum", "mean", "std", "max"])
        columns |= {
            f"card_count_{window}": rolled["count"],
            f"card_ratio_{window}": _ratio(amount, rolled["mean"]),
            f"card_z_{window}": _ratio(amount - rolled["mean"], rolled["std"]),
            f"card_top_{window}": _ratio(rolled["max"], usual),
            f"card_outliers_{window}": _rolling(frame, card.column, "outlier", _length(window), ["sum"])["sum"],
        }
    pace = columns[f"card_count_{card.windows[0]}"]
    columns["card_small_pace"] = pace / (0.1 + columns[f"card_ratio_{card.windows[0]}"])
    columns["card_fresh_pace"] = pace * (since_first < pd.Timedelta(days=3))
    return {name: column.fillna(0.0) for name, column in columns.items()}


def _terminal(contract: Contract, frame: pd.DataFrame, terminal: Entity) -> dict[str, pd.Series]:
    delay = pd.Timedelta(microseconds=contract.label_delay)
    # Frauds known after a delay: those of the longer window less those of the delay, as the handbook counts.
    recent = {part: _rolling(frame, terminal.column, part, delay, ["count", "sum"]) for part in (FRAUD, "plain")}
    columns: dict[str, pd.Series] = {}
    for window in terminal.windows:
        rolled = _rolling(frame, terminal.column, AMOUNT, _length(window), ["count", "sum"])
        columns[f"terminal_count_{window}"] = rolled["count"]
        columns[f"terminal_ratio_{window}"] = _ratio(frame[AMOUNT], rolled["sum"] / rolled["count"])
        for name, part in (("fraud", FRAUD), ("plain", "plain")):
            longer = _rolling(frame, terminal.column, part, delay + _length(window), ["count", "sum"])
            frauds, known = longer["sum"] - recent[part]["sum"], longer["count"] - recent[part]["count"]
            columns[f"terminal_{name}_{window}"] = frauds
            columns[f"terminal_{name}_rate_{window}"] = _rate(frauds, known)
    return {name: column.fillna(0.0) for name, column in (columns | _run(frame, terminal, delay)).items()}


def _run(frame: pd.DataFrame, terminal: Entity, delay: pd.Timedelta) -> dict[str, pd.Series]:
    """The run of frauds that were known at each row: told at each label, joined by the time it became known."""
    labels = frame[[terminal.column, TIME, FRAUD, "plain"]].copy()
    cleared = labels[FRAUD] == 0
    block = cleared.groupby(labels[terminal.column]).cumsum()
    runs = labels.groupby([labels[terminal.column], block])
    labels["run"] = runs["plain"].cumsum()
    labels["run_began"] = labels[TIME].where(labels["plain"] == 1).groupby([labels[terminal.column], block]).ffill()
    for name, which in (("fraud_at", ~cleared), ("cleared_at", cleared)):
        labels[name] = labels[TIME].where(which).groupby(labels[terminal.column]).ffill()
    labels["known_at"] = labels[TIME] + delay
    told = pd.merge_asof(
        frame[[terminal.column, TIME]],
        labels[["known_at", terminal.column, "run", "run_began", "fraud_at", "cleared_at"]],
        left_on=TIME,
        right_on="known_at",
        by=terminal.column,
    ).set_index(frame.index)
    ages = {
        "terminal_run_days": "run_began",
        "terminal_days_since_fraud": "fraud_at",
        "terminal_days_since_cleared": "cleared_at",
    }
    days = {name: (frame[TIME] - told[at]).dt.total_seconds() / 86400 for name, at in ages.items()}
    return {"terminal_run": told["run"], **days}


def _rolling(frame: pd.DataFrame, entity: str, column: str, length: pd.Timedelta, what: list[str]) -> pd.DataFrame:
    """Aggregates of each row's window [time - length, time) of its entity, on the frame's index."""
    ordered = frame.sort_values([entity, TIME], kind="stable")
    windows: Any = ordered.set_index(TIME).groupby(entity)[column].rolling(length, closed="left")
    return pd.DataFrame(windows.agg(what).to_numpy(), index=ordered.index, columns=what)


def _length(window: str) -> pd.Timedelta:
    return pd.Timedelta(microseconds=parse_duration(window))


def _ratio(numerator: pd.Series, denominator: pd.Series) -> pd.Series:
    return (numerator / denominator).replace([np.inf, -np.inf], np.nan).clip(-RATIO_CAP, RATIO_CAP)


def _rate(events: pd.Series, known: pd.Series) -> pd.Series:
    return (events + PRIOR_WEIGHT * PRIOR_RATE) / (known + PRIOR_WEIGHT)

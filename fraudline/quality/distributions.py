"""How a window's transactions spread over amounts, hours, days and values, beside the training rows' where known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudline.durations import DAY, HOUR
from fraudline.quality.frame import local_time
from fraudline.quality.histograms import Histogram, histogram
from fraudline.quality.masking import plain
from fraudline.transactions.table import Codes, TransactionTable

MAX_VALUES = 8
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Distribution:
    """Shares of the window's rows by bin, and the training rows' shares of the same bins (None: not known)."""

    name: str
    labels: tuple[str, ...]
    shares: tuple[float, ...]
    training: tuple[float, ...] | None = None


def distributions(table: TransactionTable, reference: Mapping[str, Any] | None = None) -> tuple[Distribution, ...]:
    """Amount, hour, weekday and every category; `reference` is a bundle's, whose bins then apply to amounts."""
    if not len(table):
        return ()
    known: Mapping[str, Histogram] = reference["features"] if reference else {}
    local = local_time(table)
    return (
        _amounts(table, known.get("amount")),
        _numbers("hour of the day", local // HOUR % 24, [f"{hour:02d}" for hour in range(24)]),
        _numbers("weekday", (local // DAY + 3) % 7, _WEEKDAYS),
        *(
            _category(category.name, codes, known)
            for category, codes in zip(table.contract.categories, table.categories, strict=True)
        ),
    )


def _shares(counts: npt.ArrayLike) -> tuple[float, ...]:
    numbers = np.asarray(counts, dtype=np.float64)
    return tuple((numbers / max(numbers.sum(), 1.0)).tolist())


def _numbers(name: str, values: npt.NDArray[np.int64], labels: Sequence[str]) -> Distribution:
    return Distribution(name, tuple(labels), _shares(np.bincount(values, minlength=len(labels))))


def _amounts(table: TransactionTable, known: Histogram | None) -> Distribution:
    amount = table.amount / table.contract.amount.minor_units
    if known:
        counts = histogram(amount, known["edges"])["counts"]
        return Distribution("amount", bin_labels(known["edges"]), _shares(counts), _shares(known["counts"]))
    edges = [step * 10.0**power for power in range(-2, 7) for step in (1, 2, 5)]
    counts = histogram(amount, edges)["counts"]
    used = np.flatnonzero(counts)
    part = slice(int(used[0]), int(used[-1]) + 1)
    return Distribution("amount", bin_labels(edges)[part], _shares(counts[part]))


def bin_labels(edges: Sequence[float]) -> tuple[str, ...]:
    """What each bin of a histogram holds, in words."""
    inner = [f"{low:,.6g} to {high:,.6g}" for low, high in pairwise(edges)]
    return (f"below {edges[0]:,.6g}", *inner, f"{edges[-1]:,.6g} or more")


def _category(name: str, codes: Codes, known: Mapping[str, Histogram]) -> Distribution:
    counts = np.bincount(codes.codes, minlength=len(codes.values))
    order = np.argsort(-counts, kind="stable")[:MAX_VALUES]
    labels = [plain(codes.values[int(code)].as_py()) or "(empty)" for code in order]
    shares = _shares(counts)
    shown = [shares[code] for code in order]
    if all(f"{name}={label}" in known for label in labels):
        training = tuple(_share_of_ones(known[f"{name}={label}"]) for label in labels)
        return Distribution(name, tuple(labels), tuple(shown), training)
    if len(counts) > len(order):
        labels.append("others")
        shown.append(1.0 - sum(shown))
    return Distribution(name, tuple(labels), tuple(shown))


def _share_of_ones(known: Histogram) -> float:
    """Of an indicator's histogram."""
    return float(
        sum(known["counts"][np.searchsorted(known["edges"], 1.0, side="right") :]) / max(sum(known["counts"]), 1)
    )

"""A first suite for a contract's data, from the contract and, better, a sample: for a person to edit.

What the contract's `validate` refuses needs no expectation. Drafted are what single valid rows should not be, which
values a column should show, and bounds on the measures of a window: wide ones from the contract alone, and from a
sample a few times around what it shows.
"""

from collections.abc import Iterator
from math import isnan
from typing import NamedTuple

import numpy as np

from fraudline.contract import Contract
from fraudline.quality.frame import LABEL_HOURS
from fraudline.quality.measures import Context, measures
from fraudline.quality.suite import About, Expectation, Origin, Severity, Stage, Suite
from fraudline.transactions.landed import Landed


class Bound(NamedTuple):
    """How far a measure may go: fixed ends, or a factor around what a sample shows (not beyond the fixed ends)."""

    measure: str
    name: str
    severity: Severity
    low: float | None
    high: float | None
    factor: float | None
    why: str


_LANDED = (
    Bound("valid_rows", "there are transactions", "critical", 1, None, None, "An empty window is a broken feed."),
    Bound("quarantined_share", "most rows are transactions", "critical", None, 0.2, None,
          "So many bad rows are a change of format."),
    Bound("quarantined_share", "few rows are refused", "warning", None, 0.02, None,
          "Each is a transaction that nobody scores: look at the reasons."),
    Bound("duplicate_share", "the file is not doubled", "critical", None, 0.2, None,
          "A file sent or appended twice repeats its ids."),
    Bound("duplicate_share", "few rows repeat", "warning", None, 0.02, None,
          "A producer sends again what it has sent."),
    Bound("excluded_share", "few rows fail a rule", "critical", None, 0.2, None,
          "A rule that many rows fail is wrong, or the feed is."),
    Bound("hours_since_newest", "the data is fresh", "critical", None, 48, None,
          "A stale file scores and trains on the past."),
    Bound("hours_ahead", "no clock runs ahead", "critical", None, 1, None,
          "A time in the future holds its entity's clock back for good."),
    Bound("longest_gap_hours", "no hours are missing", "warning", None, None, 6,
          "A gap is an outage, or a part of the file that is not there."),
    Bound("volume_ratio", "volume is as in earlier weeks", "critical", 0.3, 3, None,
          "A collapse is a broken feed, a surge a repeated one."),
    Bound("busiest_second_share", "times are those of the transactions", "critical", None, 0.5, None,
          "Equal times are the load's clock, not the shop's."),
    Bound("night_share", "nights are as quiet as usual", "warning", None, None, 1.6,
          "A shifted clock or zone moves the night."),
    Bound("median_amount", "amounts have the usual size", "critical", None, None, 10,
          "A hundred times as much is cents taken for dollars."),
    Bound("whole_amount_share", "amounts have minor units", "warning", None, 0.98, None,
          "Whole amounts only: rounded, or minor units taken for whole ones."),
    Bound("commonest_amount_share", "amounts vary", "critical", None, 0.5, None, "One amount everywhere is a default."),
    Bound("top_entity_share", "no single {entity} dominates", "warning", None, 0.2, 20,
          "A test account, or an id that a producer fills in."),
    Bound("new_entity_share", "most {entity} ids were seen before", "critical", None, 0.9, None,
          "Ids written in another way make every profile start anew."),
)  # fmt: skip
_LABELS = (
    Bound("labelled_share", "old transactions have labels", "warning", 0.9, None, None,
          "Labels that did not come are no cleared transactions."),
    Bound("label_rate", "the fraud rate is plausible", "critical", 0.0001, 0.3, 5,
          "No fraud, or fraud everywhere, is a broken label."),
    Bound("label_rate_ratio", "the fraud rate is steady", "warning", 0.2, 5, None,
          "Labels of the newest week may not be in yet: a model would learn that all is well."),
)  # fmt: skip
_BOUNDS: dict[Stage, tuple[Bound, ...]] = {
    "landed": _LANDED,
    "training": (*_LANDED, *_LABELS),
    "labels": _LABELS,
}


def draft(contract: Contract, stage: Stage, sample: Landed | None = None) -> Suite:
    """A suite for one stage; `sample` narrows it to what that shows."""
    if stage == "decisions":
        expectations = tuple(_decisions())
    else:
        expectations = (*_rows(contract, stage, sample), *_window(contract, stage, sample))
    basis = f"a sample of {sample.rows} rows" if sample else "the contract alone"
    about = f"Drafted from {basis}; edit it freely, `fraudline quality` reads it from here."
    return Suite(f"{contract.name}.{stage}", tuple(expectations), Origin(contract.name, stage, about))


def _rows(contract: Contract, stage: Stage, sample: Landed | None) -> Iterator[Expectation]:
    if stage in ("training", "labels"):
        name, why = "labels come after their transactions", "A label known before its transaction tells the future."
        yield _between(LABEL_HOURS, About(name, why=why), "critical", 0, None)
    if stage == "labels":
        return
    for category in contract.categories:
        if category.values and not category.nullable:
            about = About(f"every {category.name} appears", why="A value that vanished is a broken producer.")
            kwargs = {"column": category.column, "value_set": _shown(sample, contract, category.name, category.values)}
            yield Expectation("expect_column_distinct_values_to_contain_set", kwargs, about, "warning")
    for flag in contract.flags:
        about = About(f"{flag.name} is not stuck", why="One value everywhere is a default, not a measurement.")
        yield Expectation(
            "expect_column_unique_value_count_to_be_between", {"column": flag.column, "min_value": 2}, about, "warning"
        )


def _window(contract: Contract, stage: Stage, sample: Landed | None) -> Iterator[Expectation]:
    measured = measures(sample, 0, Context()) if sample else {}
    for bound in _BOUNDS[stage]:
        low, high = _ends(bound, measured.get(bound.measure, float("nan")))
        if low is not None or high is not None:
            name = bound.name.format(entity=contract.partition_entity.name)
            yield _between(bound.measure, About(name, "window", bound.why), bound.severity, low, high)


def _decisions() -> Iterator[Expectation]:
    yield _between("score", About("scores are probabilities", why="The scorer gives nothing else."), "critical", 0, 1)
    about = About("every transaction has its decision", why="What is archived was decided on: a missing one was lost.")
    yield Expectation("expect_column_values_to_not_be_null", {"column": "transaction_id"}, about)
    about = About("one decision a transaction and path", why="A second one would count twice.")
    unique = {"column_list": ["transaction_id", "origin"]}
    yield Expectation("expect_compound_columns_to_be_unique", unique, about)
    about = About("a flag is a score at or above the threshold", why="The decision keeps the threshold in force.")
    pair = {"column_A": "is_fraud", "column_B": "above_threshold"}
    yield Expectation("expect_column_pair_values_to_be_equal", pair, about)
    about = About("no effective time before the event", why="An entity's clock never runs back.")
    later = {"column_A": "effective_time", "column_B": "event_time", "or_equal": True}
    yield Expectation("expect_column_pair_values_a_to_be_greater_than_b", later, about)
    about = About("no decision waits an hour", why="Older ones mean a stream that lags.")
    late = {"column": "seconds_to_score", "max_value": 3600, "mostly": 0.99}
    yield Expectation("expect_column_values_to_be_between", late, about, "warning")


def _between(column: str, about: About, severity: Severity, low: float | None, high: float | None) -> Expectation:
    ends = {name: value for name, value in (("min_value", low), ("max_value", high)) if value is not None}
    return Expectation("expect_column_values_to_be_between", {"column": column, **ends}, about, severity)


def _ends(bound: Bound, seen: float) -> tuple[float | None, float | None]:
    if bound.factor is None or isnan(seen) or seen <= 0:
        return bound.low, bound.high
    if bound.measure in ("longest_gap_hours", "top_entity_share"):
        return bound.low, _rounded(min(seen * bound.factor, bound.high or float("inf")))
    low = max(seen / bound.factor, bound.low or 0.0)
    return _rounded(low), _rounded(min(seen * bound.factor, bound.high or float("inf")))


def _rounded(value: float) -> float:
    """Two figures are what a bound deserves."""
    return float(f"{value:.2g}")


def _shown(sample: Landed | None, contract: Contract, name: str, values: tuple[str, ...]) -> list[str]:
    """The contract's values that the sample has (all of them without one)."""
    if sample is None:
        return list(values)
    index = [category.name for category in contract.categories].index(name)
    codes = sample.table.categories[index]
    shown = {codes.values[int(code)].as_py() for code in np.unique(codes.codes)}
    return [value for value in values if value in shown]

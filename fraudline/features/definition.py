"""Which features a contract gets: each named once, with the expression that computes it and a sentence.

An expression is written over *primitives*: exact integers counted from history (how many, how much, since when). The
vectorised and the incremental code only differ in how they count those; the step from integers to floats is this one
text, run on arrays offline (`vector.py`) and on plain numbers online (`scalar.py`). It uses + - * / and square roots
only, whose results IEEE 754 fixes to the last bit, so both give the same floats.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

from fraudline.contract import Contract, Entity
from fraudline.durations import DAY, HOUR, parse_duration
from fraudline.features import constants

# Microseconds as expressions write them.
_HOUR = f"{float(HOUR)!r}"
_DAY = f"{float(DAY)!r}"


class Feature(NamedTuple):
    """One model input: its name, its expression over primitives, and what it says, for people."""

    name: str
    expression: str
    sentence: str


class Window(NamedTuple):
    """A look-back of `length` microseconds that starts on a floored `tile` (an hour or a day)."""

    name: str
    length: int
    tile: int


class FeatureSet(NamedTuple):
    """Everything the two executions share."""

    contract: Contract
    features: tuple[Feature, ...]
    primitives: tuple[str, ...]
    code: CodeType
    hash: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    def bind(self, operations: Mapping[str, Callable[..., Any]]) -> Callable[..., list[Any]]:
        """The function from primitives (in order) to features (in order), on the given arithmetic."""
        namespace: dict[str, Any] = dict(operations)
        exec(self.code, namespace)  # noqa: S102  the text is built below from checked identifiers, see decision 003
        return namespace["features"]  # type: ignore[no-any-return]


def windows(entity: Entity) -> tuple[Window, ...]:
    """The entity's windows: up to a day in hour tiles, longer ones in day tiles."""
    lengths = ((name, parse_duration(name)) for name in entity.windows)
    return tuple(Window(name, length, HOUR if length <= DAY else DAY) for name, length in lengths)


@lru_cache(maxsize=16)
def feature_set(contract: Contract) -> FeatureSet:
    """The features of a contract, in the order that every path and every bundle uses."""
    features = tuple(_features(contract))
    primitives = tuple(_primitives(contract))
    return FeatureSet(contract, features, primitives, _compile(features, primitives), _hash(contract, features))


def _compile(features: tuple[Feature, ...], primitives: tuple[str, ...]) -> CodeType:
    body = ",\n  ".join(feature.expression for feature in features)
    return compile(f"def features({', '.join(primitives)}):\n return [\n  {body}]\n", "<features>", "exec")


def _hash(contract: Contract, features: tuple[Feature, ...]) -> str:
    """Names the generation of profiles: it changes with whatever changes a feature's value."""
    numbers = {name: value for name, value in vars(constants).items() if name.isupper() and name != "DAY"}
    lags = [(e.name, e.windows, e.risk, e.lag) for e in contract.entities]
    parts = [[f.name, f.expression] for f in features]
    text = json.dumps([parts, numbers, lags, contract.label.delay, contract.timezone], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _primitives(contract: Contract) -> Iterator[str]:
    yield from ("amount", "hour", "weekday")
    yield from (f"{category.name}_value" for category in contract.categories)
    yield from (f"{flag.name}_value" for flag in contract.flags)
    first = contract.partition_entity
    yield from (f"{first.name}_{part}" for part in ("n", "s", "q", "o", "usual_n", "usual_s", "last", "first"))
    for window in windows(first):
        yield from (f"{first.name}_{part}_{window.name}" for part in ("n", "s", "q", "o", "top"))
    yield from (f"{part.name}_same" for part in (*contract.categories, *contract.flags))
    for entity in contract.lagged_entities:
        for window in windows(entity):
            yield from (f"{entity.name}_{part}_{window.name}" for part in ("n", "s"))
        if entity.risk:
            for window in windows(entity):
                yield from (f"{entity.name}_{part}_{window.name}" for part in ("known", "fraud", "plain"))
            yield from (f"{entity.name}_{part}" for part in ("run", "run_age", "fraud_age", "cleared_age"))


def _features(contract: Contract) -> Iterator[Feature]:
    yield from _own(contract)
    yield from _partition(contract)
    for entity in contract.lagged_entities:
        yield from _lagged(entity)


def _own(contract: Contract) -> Iterator[Feature]:
    units = f"{float(contract.amount.minor_units)!r}"
    yield Feature("amount", f"real(amount) / {units}", f"Amount in {contract.amount.currency}")
    yield Feature("hour", "real(hour)", "Hour of the day")
    yield Feature("weekday", "real(weekday)", "Day of the week, Monday is 0")
    yield Feature("is_night", "indicator(hour < 6)", "Between midnight and six")
    yield Feature("is_weekend", "indicator(weekday > 4)", "On Saturday or Sunday")
    for category in contract.categories:
        for index, value in enumerate(category.values):
            expression = f"indicator({category.name}_value == {index})"
            yield Feature(f"{category.name}={value}", expression, f"{category.name} is {value}")
    for flag in contract.flags:
        yield Feature(flag.name, f"real({flag.name}_value)", f"{flag.name} is set")


def _partition(contract: Contract) -> Iterator[Feature]:
    e, units = contract.partition_entity.name, f"{float(contract.amount.minor_units)!r}"
    usual = f"{e}_usual_s, {e}_usual_n"
    yield Feature(f"{e}_count", f"real({e}_n)", f"Earlier transactions of the {e}")
    yield Feature(f"{e}_usual", f"over({usual}, 0.0) / {units}", f"The {e}'s usual amount, without its outliers")
    yield Feature(
        f"{e}_ratio", f"ratio(amount, {usual})", f"This amount against the {e}'s usual (1 without history)"
    )
    yield Feature(f"{e}_over", f"beyond(amount, {usual}) / {units}", f"Amount above the {e}'s usual")
    yield Feature(
        f"{e}_z",
        f"zscore(amount, {e}_n, {e}_s, {e}_q)",
        f"This amount in standard deviations of the {e}'s whole history",
    )
    yield Feature(f"{e}_outliers", f"real({e}_o)", f"Outliers among the {e}'s earlier transactions")
    yield Feature(f"{e}_hours_since_last", f"age({e}_last) / {_HOUR}", f"Hours since the {e}'s last transaction")
    yield Feature(f"{e}_days_known", f"age({e}_first) / {_DAY}", f"Days since the {e}'s first transaction")
    for window in windows(contract.partition_entity):
        yield from _partition_window(e, window.name, usual)
    for part in (*contract.categories, *contract.flags):
        yield Feature(
            f"{part.name}_share",
            f"over({part.name}_same, {e}_n, 1.0)",
            f"Share of the {e}'s earlier transactions with this {part.name}",
        )
        yield Feature(
            f"{part.name}_new",
            f"indicator(({part.name}_same == 0) & ({e}_n > 0))",
            f"First time the {e} has this {part.name}",
        )


def _partition_window(e: str, w: str, usual: str) -> Iterator[Feature]:
    n, s, q = f"{e}_n_{w}", f"{e}_s_{w}", f"{e}_q_{w}"
    yield Feature(f"{e}_count_{w}", f"real({n})", f"Transactions of the {e} in the last {w}")
    yield Feature(
        f"{e}_ratio_{w}", f"ratio(amount, {s}, {n})", f"This amount against the {e}'s mean of the last {w}"
    )
    yield Feature(
        f"{e}_z_{w}",
        f"zscore(amount, {n}, {s}, {q})",
        f"This amount in standard deviations of the {e}'s last {w}",
    )
    yield Feature(f"{e}_outliers_{w}", f"real({e}_o_{w})", f"Outliers of the {e} in the last {w}")
    yield Feature(
        f"{e}_top_{w}",
        f"ratio({e}_top_{w}, {usual})",
        f"Largest amount of the {e} in the last {w} against its usual",
    )


def _lagged(entity: Entity) -> Iterator[Feature]:
    e = entity.name
    for w, _, _ in windows(entity):
        yield Feature(f"{e}_count_{w}", f"real({e}_n_{w})", f"Transactions at the {e} in {w}, up to its lag")
        yield Feature(
            f"{e}_ratio_{w}",
            f"ratio(amount, {e}_s_{w}, {e}_n_{w})",
            f"This amount against the mean at the {e} in {w}",
        )
    if entity.risk:
        yield from _risk(entity)


def _risk(entity: Entity) -> Iterator[Feature]:
    e = entity.name
    for w, _, _ in windows(entity):
        known = f"{e}_known_{w}"
        for part, what in (("fraud", "frauds"), ("plain", "frauds that their amount does not explain")):
            yield Feature(
                f"{e}_{part}_{w}", f"real({e}_{part}_{w})", f"Known {what} at the {e} in {w}, up to the label delay"
            )
            yield Feature(
                f"{e}_{part}_rate_{w}", f"rate({e}_{part}_{w}, {known})", f"Share of known {what} at the {e} in {w}"
            )
    yield Feature(
        f"{e}_run", f"real({e}_run)", f"Unexplained frauds at the {e} since its last cleared transaction"
    )
    yield Feature(f"{e}_run_days", f"age({e}_run_age) / {_DAY}", f"Days since that run of frauds at the {e} began")
    yield Feature(
        f"{e}_days_since_fraud", f"age({e}_fraud_age) / {_DAY}", f"Days since the last known fraud at the {e}"
    )
    yield Feature(
        f"{e}_days_since_cleared",
        f"age({e}_cleared_age) / {_DAY}",
        f"Days since the last cleared transaction at the {e}",
    )

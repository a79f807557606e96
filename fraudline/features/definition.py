"""Which features a contract gets: each named once, with the expression that computes it and a sentence.

An expression is written over *primitives*: exact integers counted from history (how many, how much, since when). The
vectorised and the incremental code only differ in how they count those; the step from integers to floats is this one
text, run on arrays offline (`vector.py`) and on plain numbers online (`scalar.py`). It uses + - * / and square roots
only, whose results IEEE 754 fixes to the last bit, so both give the same floats.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from types import CodeType
from typing import Any, NamedTuple

from fraudline.contract import Contract, Entity
from fraudline.durations import DAY, HOUR, parse_duration
from fraudline.errors import BadInput
from fraudline.features import constants
from fraudline.features.constants import FRESH

# Each is a column of a retrain's matrix and a step of every score; the largest contract that ships has 62.
MAX_FEATURES = 2000

# Microseconds as expressions write them.
_HOUR = f"{float(HOUR)!r}"
_DAY = f"{float(DAY)!r}"


class Feature(NamedTuple):
    """One model input: its name, its expression over primitives, and what it says, for people."""

    name: str
    expression: str
    sentence: str
    # Features of one topic say the same thing in several ways: a reason names the topic once.
    topic: str


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
        exec(self.code, namespace)  # noqa: S102  # nosec B102 # text built below from checked identifiers, see decision 003
        return namespace["features"]  # type: ignore[no-any-return]


def windows(entity: Entity) -> tuple[Window, ...]:
    """The entity's windows: up to a day in hour tiles, longer ones in day tiles."""
    lengths = ((name, parse_duration(name)) for name in entity.windows)
    return tuple(Window(name, length, HOUR if length <= DAY else DAY) for name, length in lengths)


def longest_window(entity: Entity) -> int:
    """In microseconds: how far before its floored day an entity's day tiles may be read."""
    return max(window.length for window in windows(entity))


@lru_cache(maxsize=16)
def feature_set(contract: Contract) -> FeatureSet:
    """The features of a contract, in the order that every path and every bundle uses.

    `BadInput` where the contract's names would give two features one name, or it makes too many.
    """
    features = tuple(islice(_features(contract), MAX_FEATURES + 1))
    if len(features) > MAX_FEATURES:
        raise BadInput(f"contract {contract.name!r} makes over {MAX_FEATURES} features: list fewer values or windows")
    if twice := _first_named_twice(features):
        raise BadInput(f"contract {contract.name!r} names feature {twice!r} twice: rename the entity, category or flag")
    primitives = tuple(_primitives(contract))
    return FeatureSet(contract, features, primitives, _compile(features, primitives), _hash(contract, features))


def _first_named_twice(features: tuple[Feature, ...]) -> str | None:
    counts = Counter(feature.name for feature in features)
    return next((name for name, count in counts.items() if count > 1), None)


def _compile(features: tuple[Feature, ...], primitives: tuple[str, ...]) -> CodeType:
    body = ",\n  ".join(feature.expression for feature in features)
    return compile(f"def features({', '.join(primitives)}):\n return [\n  {body}]\n", "<features>", "exec")


def _hash(contract: Contract, features: tuple[Feature, ...]) -> str:
    """Names the generation of profiles: it changes with whatever changes a feature's value."""
    numbers = {name: value for name, value in vars(constants).items() if name.isupper()}
    lags = [(e.name, e.windows, e.risk, e.lag) for e in contract.entities]
    parts = [[f.name, f.expression] for f in features]
    text = json.dumps([parts, numbers, lags, contract.label.delay, contract.timezone], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def lagged_primitive_names(entity: Entity) -> Iterator[str]:
    """What is counted of a lagged entity, in order."""
    for window in windows(entity):
        yield from (f"{entity.name}_{part}_{window.name}" for part in ("n", "s"))
    if entity.risk:
        for window in windows(entity):
            yield from (f"{entity.name}_{part}_{window.name}" for part in ("known", "fraud", "plain"))
        yield from (f"{entity.name}_{part}" for part in ("run", "run_age", "fraud_age", "cleared_age"))


def _primitives(contract: Contract) -> Iterator[str]:
    yield from ("amount", "hour", "weekday")
    yield from (f"{category.name}_value" for category in contract.categories)
    yield from (f"{flag.name}_value" for flag in contract.flags)
    first = contract.partition_entity
    yield from (f"{first.name}_{part}" for part in ("n", "s", "q", "o", "usual_n", "usual_s", "last", "first"))
    for window in windows(first):
        yield from (f"{first.name}_{part}_{window.name}" for part in ("n", "s", "q", "o", "top"))
    yield from (f"{name}_same" for name in _habit_names(contract))
    for entity in contract.lagged_entities:
        yield from lagged_primitive_names(entity)


def _features(contract: Contract) -> Iterator[Feature]:
    yield from _own(contract)
    yield from _partition(contract)
    for entity in contract.lagged_entities:
        yield from _lagged(entity)


def _habit_names(contract: Contract) -> list[str]:
    """What an entity has habits in: its categories and flags."""
    return [*(category.name for category in contract.categories), *(flag.name for flag in contract.flags)]


def _own(contract: Contract) -> Iterator[Feature]:
    units = f"{float(contract.amount.minor_units)!r}"
    yield Feature("amount", f"real(amount) / {units}", f"Amount in {contract.amount.currency}", "amount")
    yield Feature("hour", "real(hour)", "Hour of the day", "time")
    yield Feature("weekday", "real(weekday)", "Day of the week, Monday is 0", "time")
    yield Feature("is_night", "indicator(hour < 6)", "Between midnight and six", "time")
    yield Feature("is_weekend", "indicator(weekday > 4)", "On Saturday or Sunday", "time")
    for category in contract.categories:
        name = category.name
        for index, value in enumerate(category.values):
            yield Feature(f"{name}={value}", f"indicator({name}_value == {index})", f"{name} is {value}", name)
    for flag in contract.flags:
        yield Feature(flag.name, f"real({flag.name}_value)", f"{flag.name} is set", flag.name)


def _partition(contract: Contract) -> Iterator[Feature]:
    e, units = contract.partition_entity.name, f"{float(contract.amount.minor_units)!r}"
    usual, pace, habit = f"{e}_usual_s, {e}_usual_n", f"{e} pace", f"{e} outliers"
    for name, expression, sentence, topic in (
        ("usual", f"over({usual}, 0.0) / {units}", "Usual amount of the {e}, without its outliers", "amount"),
        ("ratio", f"ratio(amount, {usual})", "Amount against the {e}'s usual", "amount"),
        ("over", f"beyond(amount, {usual}) / {units}", "Amount above the {e}'s usual", "amount"),
        ("z", f"zscore(amount, {e}_n, {e}_s, {e}_q)", "Deviations from the {e}'s mean amount", "amount"),
        ("outlier_rate", f"rate({e}_o, {e}_n)", "Share of outliers among the {e}'s transactions", habit),
        ("hours_since_last", f"age({e}_last) / {_HOUR}", "Hours since the {e}'s last transaction", pace),
        ("days_known", f"age({e}_first) / {_DAY}", "Days since the {e}'s first transaction", f"{e} age"),
    ):
        yield Feature(f"{e}_{name}", expression, sentence.format(e=e), topic)
    for window in windows(contract.partition_entity):
        yield from _partition_window(e, window.name, usual)
    yield from _bursts(e, windows(contract.partition_entity)[0].name, usual)
    for name in _habit_names(contract):
        yield from _novelty(e, name)
    if _habit_names(contract):
        yield from _all_at_once(e, _habit_names(contract))


def _partition_window(e: str, w: str, usual: str) -> Iterator[Feature]:
    n, s, q = f"{e}_n_{w}", f"{e}_s_{w}", f"{e}_q_{w}"
    for name, expression, sentence, topic in (
        ("count", f"real({n})", "Transactions of the {e} in the last {w}", f"{e} pace"),
        ("ratio", f"ratio(amount, {s}, {n})", "Amount against the {e}'s mean of the last {w}", "amount"),
        ("z", f"zscore(amount, {n}, {s}, {q})", "Deviations from the {e}'s mean of the last {w}", "amount"),
        ("outliers", f"real({e}_o_{w})", "Outliers of the {e} in the last {w}", f"{e} outliers"),
        (
            "top",
            f"ratio({e}_top_{w}, {usual})",
            "Largest amount in the last {w} against the {e}'s usual",
            f"{e} outliers",
        ),
    ):
        yield Feature(f"{e}_{name}_{w}", expression, sentence.format(e=e, w=w), topic)


def _novelty(e: str, part: str) -> Iterator[Feature]:
    same = f"{part}_same"
    share = f"Share of the {e}'s earlier transactions with this {part}"
    yield Feature(f"{part}_share", f"over({same}, {e}_n, 1.0)", share, part)
    new = f"First time the {e} has this {part}"
    yield Feature(f"{part}_new", f"indicator(({same} == 0) & ({e}_n > 0))", new, part)


def _bursts(e: str, w: str, usual: str) -> Iterator[Feature]:
    """Products, which sums of curves cannot make: many at once of little, and many at once of somebody new."""
    small = f"real({e}_n_{w}) / (0.1 + ratio(amount, {usual}))"
    yield Feature(f"{e}_small_pace", small, f"Transactions of the {e} in the last {w}, small amounts more", f"{e} pace")
    fresh = f"real({e}_n_{w}) * indicator({e}_first < {FRESH})"
    yield Feature(
        f"{e}_fresh_pace", fresh, f"Transactions in the last {w} of a {e} known for a short time", f"{e} pace"
    )


def _all_at_once(e: str, parts: list[str]) -> Iterator[Feature]:
    """One new thing is a purchase of a phone, four at once are somebody else."""
    unusual = " + ".join(f"(1.0 - over({part}_same, {e}_n, 1.0))" for part in parts)
    yield Feature(f"{e}_novelty", unusual, f"How much about this is unusual for the {e}, taken together", "novelty")
    new = " + ".join(f"indicator(({part}_same == 0) & ({e}_n > 0))" for part in parts)
    yield Feature(f"{e}_new_things", new, f"How many things the {e} has for the first time", "novelty")


def _lagged(entity: Entity) -> Iterator[Feature]:
    e = entity.name
    for w, _, _ in windows(entity):
        count = f"Transactions at the {e} in {w}, up to its lag"
        yield Feature(f"{e}_count_{w}", f"real({e}_n_{w})", count, f"{e} pace")
        mean = f"Amount against the mean at the {e} in {w}"
        yield Feature(f"{e}_ratio_{w}", f"ratio(amount, {e}_s_{w}, {e}_n_{w})", mean, f"{e} amount")
    if entity.risk:
        yield from _risk(entity)


def _risk(entity: Entity) -> Iterator[Feature]:
    e, topic = entity.name, f"{entity.name} risk"
    for w, _, _ in windows(entity):
        for part, what in (("fraud", "frauds"), ("plain", "frauds that their amount does not explain")):
            count, known = f"{e}_{part}_{w}", f"{e}_known_{w}"
            yield Feature(count, f"real({count})", f"Known {what} at the {e} in {w}, up to the label delay", topic)
            share = f"Share of known {what} at the {e} in {w}"
            yield Feature(f"{e}_{part}_rate_{w}", f"rate({count}, {known})", share, topic)
    for name, expression, sentence in (
        ("run", f"real({e}_run)", "Unexplained frauds at the {e} since its last cleared transaction"),
        ("run_days", f"age({e}_run_age) / {_DAY}", "Days since that run of frauds at the {e} began"),
        ("days_since_fraud", f"age({e}_fraud_age) / {_DAY}", "Days since the last known fraud at the {e}"),
        (
            "days_since_cleared",
            f"age({e}_cleared_age) / {_DAY}",
            "Days since the last cleared one at the {e}",
        ),
    ):
        yield Feature(f"{e}_{name}", expression, sentence.format(e=e), topic)

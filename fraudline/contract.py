"""What a transaction is: a contract names columns, types, entities, windows and label delay; the rest derives from it.

A contract is one TOML file (`data/contracts/*.toml`), embedded in every bundle as JSON: a scorer needs no file.
"""

import math
import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from fraudline.durations import DAY, parse_duration
from fraudline.errors import BadInput

# Patterns end in \Z: "$" also stands before a newline at the end.
_NAME, _TEXT, _CURRENCY = r"^[a-z][a-z0-9_]{0,40}\Z", r"^[^\x00-\x1f\x7f-\x9f]*\Z", r"^[A-Za-z]{2,8}\Z"
_DURATION = r"^[1-9][0-9]{0,3}[hd]\Z"
Name = Annotated[str, msgspec.Meta(pattern=_NAME)]
# Column names, the currency and the description are shown in terminals, logs and pages: no control characters.
Column = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=_TEXT)]
Currency = Annotated[str, msgspec.Meta(pattern=_CURRENCY)]
Description = Annotated[str, msgspec.Meta(max_length=1000, pattern=_TEXT)]
Duration = Annotated[str, msgspec.Meta(pattern=_DURATION)]
_WORDS = {
    _NAME: "a name of small letters, digits and _ that begins with a letter",
    _TEXT: "text without control characters",
    _CURRENCY: "2 to 8 letters, such as CHF",
    _DURATION: "whole hours or days, such as 12h or 7d",
}

# Beside the code, in a checkout as in the image: whoever adds one deploys it by its name.
_FOLDER = Path(__file__).parent.parent / "data" / "contracts"
SHIPPED = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
# A contract is a page of text; one that is megabytes is something else.
MAX_CONTRACT_BYTES = 256 * 1024


class IdColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    column: Column


class TimestampColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    column: Column


class AmountColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The amount in the currency's units, `minor_units` of which make one (100 cents in a dollar)."""

    column: Column
    min: float
    # 2**40 minor units times a million transactions of one entity stays below 2**63: sums are exact in 64 bits.
    max: float
    currency: Currency = "USD"
    minor_units: int = 100


class LabelColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """1 is fraud, 0 is honest; known `delay` after the transaction."""

    column: Column
    delay: Duration


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    window: Duration


class Alerts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people can look at and what it costs: the threshold follows `rule`, and both are reported.

    "budget" alerts on the `per_day` highest scores of a usual day; "cost" weighs a fraud's amount against `review_cost`
    (in the currency's units) for each alert.
    """

    rule: Literal["budget", "cost"] = "budget"
    per_day: int = 100
    review_cost: float = 10.0


class Entity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom transactions belong to. The first one partitions the stream; a later one's windows end `lag` ago."""

    name: Name
    column: Column
    windows: tuple[Duration, ...]
    risk: bool = False
    lag: Duration | None = None


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text column; with `values` it is a closed set and each value becomes a feature."""

    name: Name
    column: Column
    values: tuple[str, ...] = ()
    nullable: bool = False


class Flag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    column: Column


class Ignored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column that files may have and the model never sees."""

    column: Column
    values: tuple[str, ...] = ()


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One deployment's definition of a transaction."""

    name: Name
    id: IdColumn
    timestamp: TimestampColumn
    amount: AmountColumn
    label: LabelColumn
    training: Training
    entities: tuple[Entity, ...]
    alerts: Alerts = Alerts()
    description: Description = ""
    timezone: str = "UTC"
    categories: tuple[Category, ...] = ()
    flags: tuple[Flag, ...] = ()
    ignored: tuple[Ignored, ...] = ()

    @cached_property
    def label_delay(self) -> int:
        """Microseconds from a transaction to its label."""
        return parse_duration(self.label.delay)

    @cached_property
    def training_window(self) -> int:
        """Microseconds of transactions that a model is fitted on."""
        return parse_duration(self.training.window)

    @property
    def partition_entity(self) -> Entity:
        return self.entities[0]

    @property
    def lagged_entities(self) -> tuple[Entity, ...]:
        return self.entities[1:]

    @cached_property
    def required_columns(self) -> tuple[str, ...]:
        """What a file must have, in the contract's order; the label and ignored columns may be absent."""
        named: tuple[Any, ...] = (self.id, self.timestamp, self.amount, *self.entities, *self.categories, *self.flags)
        return tuple(part.column for part in named)

    @cached_property
    def known_columns(self) -> frozenset[str]:
        return frozenset((*self.required_columns, self.label.column, *(part.column for part in self.ignored)))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as a bundle's manifest embeds them."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


def contract_from(values: object, source: str) -> Contract:
    """A checked contract from plain values; `source` is named in the error."""
    try:
        contract = msgspec.convert(values, Contract)
    except msgspec.ValidationError as error:
        raise BadInput(
            f"{source}: {_in_words(error)}; correct the contract, see data/contracts/ecommerce.toml"
        ) from error
    if problem := _problem(contract):
        raise BadInput(f"{source}: {problem}; correct the contract, see data/contracts/ecommerce.toml")
    return contract


def _in_words(error: msgspec.ValidationError) -> str:
    """What msgspec says, for people who write contracts: no patterns, and what a misspelt key is most like."""
    import difflib  # a scorer starts without it

    text = str(error)
    for pattern, words in _WORDS.items():
        text = text.replace(f"`str` matching regex {pattern!r}", words)
    unknown = re.match("Object contains unknown field `([^`]*)`", text)
    close = difflib.get_close_matches(unknown[1], _keys(), n=1, cutoff=0.7) if unknown else []
    return text + (f" (is `{close[0]}` meant?)" if close else "")


def _keys() -> list[str]:
    tables = (Contract, IdColumn, AmountColumn, LabelColumn, Training, Alerts, Entity, Category, Flag)
    return [key for table in tables for key in table.__struct_fields__]


def load_contract(name_or_file: str) -> Contract:
    """The contract of a name ("ecommerce": `data/contracts/ecommerce.toml`), or the one in a TOML file."""
    path = _FOLDER / f"{name_or_file}.toml" if name_or_file in SHIPPED else Path(name_or_file)
    try:
        values = _toml(path)
    except FileNotFoundError as error:
        raise BadInput(f"no contract {name_or_file!r}: name a TOML file or one of {', '.join(SHIPPED)}") from error
    # Not all that is wrong with TOML is a TOMLDecodeError: numbers of thousands of digits, brackets in brackets.
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"contract {name_or_file!r} cannot be read as TOML: {error}") from error
    contract = contract_from(values, str(name_or_file))
    # The function knows a deployment's contract by its setting alone, everybody else by what it says of itself.
    if name_or_file in SHIPPED and contract.name != name_or_file:
        raise BadInput(
            f"data/contracts/{name_or_file}.toml calls itself {contract.name!r}: call the file and the contract alike"
        )
    return contract


def _toml(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        data = file.read(MAX_CONTRACT_BYTES + 1)
    if len(data) > MAX_CONTRACT_BYTES:
        raise ValueError(f"it has more than {MAX_CONTRACT_BYTES} bytes")
    return tomllib.loads(data.decode())


def _problem(contract: Contract) -> str | None:
    """The first thing wrong with a well-typed contract, in a sentence, or None."""
    checks = (
        _column_problem,
        _name_problem,
        _amount_problem,
        _entity_problem,
        _window_problem,
        _zone_problem,
    )
    return next((problem for check in checks if (problem := check(contract))), None)


def _column_problem(contract: Contract) -> str | None:
    columns = [*contract.required_columns, contract.label.column, *(part.column for part in contract.ignored)]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    return f"column {twice[0]!r} is used twice" if twice else None


def _name_problem(contract: Contract) -> str | None:
    named: tuple[Any, ...] = (*contract.entities, *contract.categories, *contract.flags)
    names = [part.name for part in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"the name {twice[0]!r} is used twice"
    for category in contract.categories:
        if any(not re.fullmatch(r"[^\x00-\x1f\x7f]{1,64}", value) for value in category.values):
            return f"category {category.name!r} has a value that is empty, too long or not printable"
        if len(set(category.values)) != len(category.values):
            return f"category {category.name!r} lists a value twice"
    return None


def _amount_problem(contract: Contract) -> str | None:
    amount = contract.amount
    if amount.minor_units not in (1, 10, 100, 1000):
        return f"amount.minor_units is {amount.minor_units}: use 1, 10, 100 or 1000"
    if contract.alerts.per_day < 1 or not 0 < contract.alerts.review_cost < math.inf:
        return "alerts.per_day is at least 1 and alerts.review_cost is above 0"
    if not 0 <= amount.min < amount.max <= 2**40 / amount.minor_units:
        return f"amount needs 0 <= min < max <= 2**40 minor units, which are {2**40 / amount.minor_units:,.2f}"
    return None


def _entity_problem(contract: Contract) -> str | None:
    if not contract.entities:
        return "entities is empty: name at least the one that partitions the stream"
    if contract.partition_entity.lag or contract.partition_entity.risk:
        return f"entity {contract.partition_entity.name!r} partitions the stream: it has neither lag nor risk"
    for entity in contract.entities:
        lengths = [parse_duration(window) for window in entity.windows]
        if not lengths or lengths != sorted(set(lengths)):
            return f'entity {entity.name!r} needs windows in ascending order, such as ["1d", "7d"]'
        if any(length > DAY and length % DAY for length in lengths):
            return f"entity {entity.name!r}: windows over a day are whole days"
        if lengths[-1] > 90 * DAY:
            return f"entity {entity.name!r}: windows reach back 90 days at most"
    for entity in contract.lagged_entities:
        if parse_duration(entity.lag or "1h") > contract.label_delay:
            return f"entity {entity.name!r}: its lag is longer than the label delay"
    return None


def _window_problem(contract: Contract) -> str | None:
    return "training.window is at least 1d" if contract.training_window < DAY else None


def _zone_problem(contract: Contract) -> str | None:
    # "localtime" is another zone on each machine, and "posix/" or "right/" are not everywhere.
    if not re.fullmatch(r"UTC|[A-Z][A-Za-z_]*(/[A-Z][A-Za-z0-9_+-]*)+", contract.timezone):
        return f"timezone {contract.timezone!r} is not UTC or an Area/City of the tz database, such as Europe/Paris"
    try:
        ZoneInfo(contract.timezone)
    except (KeyError, ValueError, OSError):
        return f"timezone {contract.timezone!r} is not one of the tz database"
    return None

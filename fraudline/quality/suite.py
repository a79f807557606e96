"""Expectation suites: Great Expectations' own JSON, with a name, a reason and a frame for each expectation.

An expectation judges one of two frames: `transactions` has a row for each transaction, `window` has a single row whose
columns are the measures of the whole window (`measures.py`). A failed expectation on single transactions keeps those
rows out of training; a failed critical one on anything wider stops a retrain.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from fraudline.errors import BadInput

Stage = Literal["landed", "training", "labels", "decisions"]
Frame = Literal["transactions", "window"]
Severity = Literal["critical", "warning"]
STAGES: tuple[Stage, ...] = ("landed", "training", "labels", "decisions")


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an expectation is called where it fails, why it is there, and which frame it judges."""

    name: str
    frame: Frame = "transactions"
    why: str = ""


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One expectation as Great Expectations configures it: `type` in snake case, `kwargs` as JSON values."""

    type: str
    kwargs: dict[str, Any]
    meta: About
    severity: Severity = "critical"

    @property
    def columns(self) -> list[str]:
        """The columns it is about; none for a whole frame."""
        named = [self.kwargs[name] for name in ("column", "column_A", "column_B") if name in self.kwargs]
        return [*named, *self.kwargs.get("column_list", ())]

    @property
    def column(self) -> str:
        """The same for people."""
        return " and ".join(self.columns)


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a suite is for."""

    contract: str
    stage: Stage
    about: str = ""


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The expectations of one stage of one contract's data."""

    name: str
    expectations: tuple[Expectation, ...]
    meta: Origin

    def on(self, frame: Frame) -> tuple[Expectation, ...]:
        return tuple(expectation for expectation in self.expectations if expectation.meta.frame == frame)


def decode_suite(data: bytes, source: str) -> Suite:
    """A suite from its JSON; `BadInput` that names `source` and what is wrong with it."""
    try:
        suite = msgspec.json.decode(data, type=Suite)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{source} is no expectation suite: {error}; correct it or draft one anew") from error
    if twice := _twice(expectation.meta.name for expectation in suite.expectations):
        raise BadInput(f"{source} has two expectations named {twice!r}: give each a name of its own")
    return suite


def encode_suite(suite: Suite) -> bytes:
    """The suite as JSON for people to review and edit."""
    return msgspec.json.format(msgspec.json.encode(suite), indent=2) + b"\n"


def _twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]

"""The function's settings: the few `FRAUDLINE_*` variables it needs, read here and nowhere else.

`fraudline.settings` reads the same names for everybody else, with pydantic, which the function must start without.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fraudline.errors import BadInput

Fallback = Literal["open", "closed"]

_NAME = r"[A-Za-z0-9_.-]{1,255}"
_CONTRACT = r"[a-z][a-z0-9_]{0,40}"
_MILLISECONDS = r"[1-9][0-9]{0,4}"
_DAYS = r"[1-9][0-9]{0,4}"


@dataclass(frozen=True)
class Config:
    """What the function is told. Times are in seconds.

    `model` is a version or "champion" in the models bucket, or None: the version in the package if there is one, else
    the champion. `keep_days` is how long decisions are kept (None: for good). `fallback` is what a shop is told without
    any model: let the customer through (open) or not (closed).
    """

    environment: str
    contract: str
    models_bucket: str
    model: str | None
    profiles_table: str
    decisions_table: str
    profile_deadline: float
    records: bool
    record_budget: float
    keep_days: int | None
    fallback: Fallback


def config_from(environment: Mapping[str, str]) -> Config:
    """The settings in the environment or their defaults; `BadInput` naming the first malformed one."""

    def read(name: str, default: str, pattern: str) -> str:
        value = environment.get(f"FRAUDLINE_{name}") or default
        if not re.fullmatch(pattern, value):
            raise BadInput(f"setting FRAUDLINE_{name} is {value!r}, it must match {pattern}; correct it")
        return value

    return Config(
        environment=read("ENVIRONMENT", "local", _NAME),
        contract=read("CONTRACT", "ecommerce", _CONTRACT),
        models_bucket=read("MODELS_BUCKET", "fraudline-models", _NAME),
        model=read("MODEL", "", f"({_NAME})?") or None,
        profiles_table=read("PROFILES_TABLE", "fraudline-profiles", _NAME),
        decisions_table=read("DECISIONS_TABLE", "fraudline-decisions", _NAME),
        profile_deadline=int(read("PROFILE_DEADLINE_MS", "100", _MILLISECONDS)) / 1000,
        records=read("RECORD_DECISIONS", "true", "true|false") == "true",
        record_budget=int(read("RECORD_BUDGET_MS", "50", _MILLISECONDS)) / 1000,
        keep_days=int(keep_days) if (keep_days := read("DECISIONS_KEEP_DAYS", "", f"({_DAYS})?")) else None,
        fallback="closed" if read("WITHOUT_MODEL", "open", "open|closed") == "closed" else "open",
    )

"""A backfill's decisions as they are recorded: rows like those of every path, under an origin of their own.

And what can be said of a backfill that is asked for before anything is read.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from fraudline.backfilling import ScoredDay
from fraudline.bundle import Bundle
from fraudline.clock import format_micros
from fraudline.decision import Item
from fraudline.errors import BadInput
from fraudline.stream import NOTHING
from fraudline.table import NOT_RECORDED, Integers

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_NAME = re.compile(NAME)


def check_window(start: date, end: date) -> None:
    """`BadInput` unless there is a day in [start, end)."""
    if start >= end:
        raise BadInput(f"--start {start} is not before --end {end}: the end is exclusive, swap them?")


def check_outputs(out: str | None, name: str | None) -> None:
    """`BadInput` unless decisions go somewhere, and where they would go to a folder that reads like a file."""
    if out is None and name is None:
        raise BadInput("nowhere to put decisions: give --out, --name or both")
    if name is not None:
        origin_of(name)
    path = Path(out or "")
    # A folder of that name that is there already was made on purpose; "scores.v2" is a folder's name, too.
    if path.suffix[1:].isalpha() and path.suffix != ".parquet" and not path.is_dir():
        raise BadInput(f"--out {path} reads like a file: name a folder, or a file that ends in .parquet")


def origin_of(name: str) -> str:
    """What decisions of the backfill of this name have as origin.

    >>> origin_of("april")
    'backfill#april'
    """
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"--name {name[:100]!r} cannot name a backfill: use 1 to 64 letters, digits, dots, dashes and underscores"
        )
    return f"backfill#{name}"


def items_of(
    day: ScoredDay, bundle: Bundle, origin: str, scored_at: int, expires_at: int | None = None
) -> Iterator[Item]:
    """The day's decisions in the order of its transactions, as `fraudline.decision.decision_item` would make each.

    They saw no stored profile, so positions are empty, and so is the digest: no copy of them is ever looked for.
    Made from columns, for sending a ready row costs little more than making a decision and then its row.
    """
    if day.features is None:
        raise ValueError("decisions cannot be recorded without their features")
    shared = _shared(bundle, origin, scored_at, expires_at)
    table = day.table
    features = np.ascontiguousarray(day.features, dtype="<f8")
    names = [entity.name for entity in table.contract.entities]
    columns: tuple[Sequence[Any], ...] = (
        table.ids.to_pylist(),
        day.decisions["score"].to_pylist(),
        day.decisions["is_fraud"].to_pylist(),
        _told(table.timestamp),
        _told(table.effective_time),
        list(zip(*(codes.text().to_pylist() for codes in table.entities), strict=True)),
        table.amount.tolist(),
        [None] * len(table) if table.built_through is None else table.built_through.tolist(),
    )
    for row, (id_, score, is_fraud, time, effective_time, entities, amount, built) in enumerate(zip(*columns)):
        values = features[row]
        reasons = bundle.reasons(values.tolist()) if is_fraud else ()
        item = {
            **shared,
            "transaction_id": {"S": id_},
            "score": {"N": repr(score)},
            "is_fraud": {"BOOL": bool(is_fraud)},
            "reasons": {"L": [{"S": reason} for reason in reasons]},
            "event_time": {"S": time},
            "effective_time": {"S": effective_time},
            "entities": {"M": {name: {"S": entity} for name, entity in zip(names, entities)}},
            "amount": {"N": str(amount)},
            "features": {"B": values.tobytes()},
        }
        if built is not None and built != NOT_RECORDED:
            item["built_through"] = {"N": str(built)}
        yield item


def _shared(bundle: Bundle, origin: str, scored_at: int, expires_at: int | None) -> Item:
    """What all rows have."""
    item: Item = {
        "origin": {"S": origin},
        "threshold": {"N": repr(bundle.threshold)},
        "model_version": {"S": bundle.version},
        "position": {"S": NOTHING},
        "profile_position": {"S": NOTHING},
        "scored_at": {"S": format_micros(scored_at)},
        "digest": {"B": b""},
    }
    return item if expires_at is None else {**item, "expires_at": {"N": str(expires_at)}}


def _told(times: Integers) -> list[str]:
    """Each as `fraudline.clock.format_micros` writes it."""
    return [f"{text}Z" for text in np.datetime_as_string(times.astype("datetime64[us]"), unit="us").tolist()]

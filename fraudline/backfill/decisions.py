"""A backfill's decisions as they are recorded: rows like those of every path, under an origin of their own.

And what can be said of a backfill that is asked for before anything is read.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.backfill.past import Floats, ScoredDay
from fraudline.clock import format_micros
from fraudline.decision import Item
from fraudline.errors import BadInput
from fraudline.model.bundle import Bundle
from fraudline.stream import NOTHING
from fraudline.transactions.json_columns import Column, Where, base64_rows, booleans, json_rows, plain, quoted, times
from fraudline.transactions.table import NOT_RECORDED

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
    if "://" in (out or ""):
        _check_stored(str(out))
        return
    path = Path(out or "")
    # A folder of that name that is there already was made on purpose; "scores.v2" is a folder's name, too.
    if path.suffix[1:].isalpha() and path.suffix != ".parquet" and not path.is_dir():
        raise BadInput(f"--out {path} reads like a file: name a folder, or a file that ends in .parquet")


def _check_stored(out: str) -> None:
    if not out.startswith("s3://"):
        raise BadInput(f"--out {out} is no place for decisions: name a folder, a file here or s3://bucket/prefix")
    if out.endswith(".parquet"):
        raise BadInput(f"--out {out} would be one object: name a prefix, which gets one a day, or a file here")


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


def cuts(day: ScoredDay, rows: int) -> Iterator[ScoredDay]:
    """The day in parts of at most so many rows, without what was said of its labels: no decision tells it."""
    table = replace(day.table, said=None)
    for begin in range(0, len(table), rows):
        some = slice(begin, begin + rows)
        features = None if day.features is None else day.features[some]
        yield ScoredDay(day.part, table.take(some), day.decisions[some], features)


def rows_of(
    day: ScoredDay, bundle: Bundle, origin: str, scored_at: int, expires_at: int | None = None
) -> list[msgspec.Raw]:
    """The decisions in the order of their transactions, each as JSON of what `fraudline.decision.decision_item` makes.

    They saw no stored profile, so positions are empty, and so is the digest: no copy of them is ever looked for.
    """
    if day.features is None:
        raise ValueError("decisions cannot be recorded without their features")
    table = day.table
    flagged = day.decisions["is_fraud"].to_numpy().astype(bool)
    entities = zip(table.contract.entities, table.entities, strict=True)
    row = {
        "transaction_id": {"S": quoted(table.ids)},
        "score": {"N": plain(pa.array([repr(score) for score in day.decisions["score"].to_pylist()]))},
        "is_fraud": {"BOOL": booleans(flagged)},
        "reasons": {"L": _reasons(day.features, flagged, bundle)},
        "event_time": {"S": times(table.timestamp)},
        "effective_time": {"S": times(table.effective_time)},
        "entities": {"M": {entity.name: {"S": quoted(codes.text())} for entity, codes in entities}},
        "amount": {"N": plain(pa.array(table.amount).cast(pa.string()))},
        "features": {"B": base64_rows(np.ascontiguousarray(day.features, "<f8").view(np.uint8))},
        **_shared(bundle, origin, scored_at, expires_at),
    }
    if (hours := table.built_through) is not None:
        row["built_through"] = Where(hours != NOT_RECORDED, {"N": plain(pa.array(hours).cast(pa.string()))})
    return json_rows(row)


def _reasons(features: Floats, flagged: npt.NDArray[np.bool_], bundle: Bundle) -> Column:
    """Why each flagged one was; of others nothing."""
    told = ["[]"] * len(flagged)
    for row in np.flatnonzero(flagged).tolist():
        reasons = bundle.reasons(features[row].tolist())
        told[row] = msgspec.json.encode([{"S": reason} for reason in reasons]).decode()
    return Column((pa.array(told),))


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

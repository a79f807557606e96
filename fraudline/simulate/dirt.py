"""Rows that a real feed breaks on. Every kind is named, so that a test can count what came of each.

A dirty row is made from a clean one and stands right after it; the clean one stays. It has an id of its
own, except for a duplicate (equal in every column) and a conflict (another amount, a second later).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraudline.errors import BadInput
from fraudline.simulate.records import amount_text, encode, to_records
from fraudline.simulate.transactions import LABEL, rfc3339

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Dirt:
    """One dirty row: its `kind`, the position of the clean row it follows, its form in a file and a stream.

    `row` is None for the kinds that only a stream can carry; it keeps the clean row's label.
    """

    kind: str
    after: int
    row: Mapping[str, object] | None
    payload: bytes


WRONG_VALUES: dict[str, tuple[str, object]] = {
    "missing_id": ("transaction_id", None),
    "missing_user": ("user_id", None),
    "missing_amount": ("amount", None),
    "bad_timestamp": ("timestamp", "yesterday evening"),
    "impossible_date": ("timestamp", "2026-02-30T12:00:00Z"),
    "year_one": ("timestamp", "0001-01-01T00:00:00Z"),
    "text_amount": ("amount", "twelve"),
    "negative_amount": ("amount", -25.0),
    "zero_amount": ("amount", 0.0),
    "nan_amount": ("amount", float("nan")),
    "subcent_amount": ("amount", 12.345),
    "absurd_amount": ("amount", 1e12),
    "unknown_device": ("device_type", "fridge"),
    "unknown_card": ("card_type", "barter"),
    "vpn_maybe": ("is_vpn", "maybe"),
    "empty_location": ("location", ""),
    "long_location": ("location", "Llanfairpwllgwyngyll" * 100),
}


def _duplicate(row: Row) -> Row:
    return row


def _conflict(row: Row) -> Row:
    later = np.array([np.datetime64(str(row["timestamp"]).removesuffix("Z"), "s") + 1])
    return {**row, "amount": round(float(str(row["amount"])) + 10, 2), "timestamp": rfc3339(later)[0]}


def _truncated(payload: bytes) -> bytes:
    return payload[: len(payload) // 2]


def _not_utf8(payload: bytes) -> bytes:
    return payload.replace(b'"location":"', b'"location":"\xff\xfe', 1)


def _not_an_object(payload: bytes) -> bytes:
    return b"[" + payload + b"]"


REUSED_IDS: dict[str, Callable[[Row], Row]] = {"duplicate": _duplicate, "conflict": _conflict}
BROKEN_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "truncated_json": _truncated,
    "not_utf8": _not_utf8,
    "not_an_object": _not_an_object,
}
FILE_KINDS = (*WRONG_VALUES, *REUSED_IDS)
STREAM_KINDS = tuple(BROKEN_BYTES)
KINDS = (*FILE_KINDS, *STREAM_KINDS)


def soil(frame: pd.DataFrame, rate: float, seed: int, kinds: Sequence[str] = FILE_KINDS) -> list[Dirt]:
    """Make dirty rows from `frame`, about `rate` times as many as it has rows, and one of each kind at least.

    Args:
        frame: clean transactions, as from `simulate`.
        rate: dirty rows per clean row, 0 to 1; 0 makes none.
        seed: equal seeds give equal dirt.
        kinds: which kinds, in equal shares; `FILE_KINDS` fit files and streams, all `KINDS` only streams.

    Returns:
        The dirt by position, no two made from one row; `Counter(d.kind for d in dirt)` is what was planted.
    """
    if not 0 <= rate <= 1:
        raise BadInput(f"The rate of dirty rows is {rate}: give 0 to 1, such as 0.01.")
    count = min(max(round(rate * len(frame)), len(kinds)), len(frame)) if rate else 0
    rng = np.random.default_rng(seed)
    after = np.sort(rng.choice(len(frame), size=count, replace=False))
    chosen = rng.permutation(np.resize(np.array(kinds, dtype=object), count))
    clean: list[Row] = [
        {str(name): value for name, value in row.items()} for row in frame.iloc[after].to_dict("records")
    ]
    return [_dirty(str(kind), int(at), row) for kind, at, row in zip(chosen, after, clean, strict=True)]


def weave(frame: pd.DataFrame, dirt: Iterable[Dirt]) -> pd.DataFrame:
    """`frame` as texts, as a file holds them, with every dirty row right after the clean one it came from."""
    dirt = list(dirt)
    if stream_only := sorted({d.kind for d in dirt if d.row is None}):
        raise BadInput(f"A file cannot hold {', '.join(stream_only)}: soil with FILE_KINDS.")
    clean = pd.DataFrame({name: [_text(value) for value in frame[name]] for name in frame.columns}, dtype=object)
    dirty = pd.DataFrame(
        [{k: _text(v) for k, v in (d.row or {}).items()} for d in dirt], columns=clean.columns, dtype=object
    )
    order = np.argsort([*range(len(clean)), *(d.after + 0.5 for d in dirt)], kind="stable")
    return pd.concat([clean, dirty], ignore_index=True).iloc[order].reset_index(drop=True)


def weave_records(frame: pd.DataFrame, dirt: Iterable[Dirt]) -> Iterator[bytes]:
    """The records of `frame`, with every dirty payload right after the record it was made from."""
    following: defaultdict[int, list[bytes]] = defaultdict(list)
    for d in dirt:
        following[d.after].append(d.payload)
    for position, record in enumerate(to_records(frame)):
        yield record
        yield from following[position]


def _dirty(kind: str, after: int, clean: Row) -> Dirt:
    if kind in REUSED_IDS:
        return _with_row(kind, after, REUSED_IDS[kind](clean))
    own = {**clean, "transaction_id": f"D{clean['transaction_id']}"}
    if kind in BROKEN_BYTES:
        return Dirt(kind, after, None, BROKEN_BYTES[kind](_encode(own)))
    column, value = WRONG_VALUES[kind]
    return _with_row(kind, after, {**own, column: value})


def _with_row(kind: str, after: int, row: Row) -> Dirt:
    return Dirt(kind, after, row, _encode(row))


def _encode(row: Row) -> bytes:
    return encode({name: value for name, value in row.items() if name != LABEL})


def _text(value: object) -> str | None:
    if value is None:
        return None
    return amount_text(value) if isinstance(value, float) else str(value)

"""Reads the archive that stream scoring writes back into columns: history, in the order and at the times it counted."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from fraudline.adapters.archive.builds import read_builds, told_by_builds
from fraudline.adapters.archive.landing import PREFIX
from fraudline.adapters.storage.objects import Objects, read_all
from fraudline.archive import Archived, Row, decode_archive
from fraudline.builds import SeenByBuilds
from fraudline.contract import Contract
from fraudline.errors import Tampered
from fraudline.transactions.columns import screen
from fraudline.transactions.landed import Landed, RejectedRow, Source
from fraudline.transactions.table import concatenate, from_transactions
from fraudline.transactions.transaction import Rejected, Transaction
from fraudline.transactions.validation import Validator

# Rows that are turned into columns at a time: some tens of megabytes of JSON.
_ROWS = 100_000
EVER = 2**62


def read_archive(
    objects: Objects,
    contract: Contract,
    prefix: str = "",
    seen: SeenByBuilds | None = None,
    known_before: int = EVER,
) -> Landed:
    """All archived transactions, or those whose batch began to arrive on days that start with `prefix` ("2026-01").

    The table is in the order (effective time, position), in which every entity's events counted one after the other,
    with the recorded `effective_time` and `built_through`, and the builds of lagged entities that missed it. Rows are
    validated anew: what a contract changed since then refuses is in `rejects`, by position. `seen` is what builds have
    seen, if the caller has read it. What arrived or was counted at `known_before` (microseconds) or later is left out.
    """
    sources: list[Source] = []
    batches = ((f"{objects.location}/{key}", data) for key, data in read_all(objects, objects.list(PREFIX + prefix)))
    parts = list(pieces(contract, batches, sources, known_before))
    if not parts:
        return Landed(0, from_transactions(contract, []), (), sources=tuple(sources))
    order = _order(parts)
    # Positions are most of what was read, and in no column: gone before the columns are copied into one table.
    read = [landed for landed, _ in parts]
    del parts
    table = concatenate([landed.table for landed in read])
    landed = Landed(
        sum(landed.rows for landed in read),
        table.take(order),
        tuple(chain.from_iterable(landed.rejects for landed in read)),
        sources=tuple(sources),
    )
    return (
        told_by_builds(landed, seen or read_builds(objects), objects.location) if contract.lagged_entities else landed
    )


def pieces(
    contract: Contract, batches: Iterable[tuple[str, bytes]], sources: list[Source], known_before: int = EVER
) -> Iterator[tuple[Landed, pa.StringArray]]:
    """The rows of batches (name and bytes), many at a time, and the positions of those that are transactions.

    Each batch is noted in `sources` as it is read; rows are numbered from the first row of the first batch on.
    """
    archives = _archives(batches, sources)
    yield from (_columns(contract, part) for part in _parts(archives, known_before))


def _order(parts: Sequence[tuple[Landed, pa.StringArray]]) -> npt.NDArray[np.uint64]:
    """The places of all rows by (effective time, position). Chunks stay chunks: one array of texts holds 2 GiB."""
    times = pa.chunked_array([landed.table.effective_time for landed, _ in parts])
    positions = pa.chunked_array([at for _, at in parts])
    places: npt.NDArray[np.uint64] = pc.sort_indices(
        pa.table({"time": times, "position": positions}),
        sort_keys=[("time", "ascending"), ("position", "ascending")],
    ).to_numpy()
    return places


def _archives(batches: Iterable[tuple[str, bytes]], sources: list[Source]) -> Iterator[Archived]:
    for name, data in batches:
        try:
            archived = decode_archive(data)
        except Tampered as error:
            raise Tampered(f"{name}: {error}") from error
        sources.append(Source(name, len(archived.rows)))
        yield archived


class _Part(NamedTuple):
    """Rows, their numbers among all that were read, and the hours that lagged entities were built through for them."""

    rows: list[Row]
    numbers: list[int]
    built_through: list[int]


def _parts(archives: Iterator[Archived], known_before: int) -> Iterator[_Part]:
    part, first = _Part([], [], []), 0
    for archived in archives:
        account, rows = archived.account, archived.rows
        for number, row in enumerate(rows, first):
            # A record may wait in the stream for long, and its clock may be ahead of ours.
            if max(row.arrived_at, account.scored_at) < known_before:
                part.rows.append(row)
                part.numbers.append(number)
                part.built_through.append(account.built_through or 0)
        first += len(rows)
        if len(part.rows) >= _ROWS:
            yield part
            part = _Part([], [], [])
    if part.rows:
        yield part


def _columns(contract: Contract, part: _Part) -> tuple[Landed, pa.StringArray]:
    """A part's rows and, beside those that are transactions, their positions."""
    landed = _screened(contract, part.rows) or _one_by_one(contract, part.rows)
    at = landed.table.source_row
    table = replace(
        landed.table,
        effective_time=np.array([row.effective_time for row in part.rows], dtype=np.int64)[at],
        built_through=np.array(part.built_through, dtype=np.int64)[at] if contract.lagged_entities else None,
        source_row=np.array(part.numbers, dtype=np.int64)[at],
    )
    positions = pa.array([row.position for row in part.rows], pa.string()).take(pa.array(at))
    rejects = tuple(_told(reject, part) for reject in landed.rejects)
    return Landed(len(part.rows), table, rejects), positions


def _told(reject: RejectedRow, part: _Part) -> RejectedRow:
    row = part.rows[reject.row]
    raw = bytes(row.record).decode("utf-8", "backslashreplace")
    return replace(reject, source=row.position, row=part.numbers[reject.row], raw=raw)


def _screened(contract: Contract, rows: Sequence[Row]) -> Landed | None:
    """Whole columns at once; None where Arrow cannot make columns of the records."""
    data = b"\n".join(bytes(row.record) for row in rows)
    parts: tuple[Any, ...] = (*contract.entities, *contract.categories, *contract.ignored)
    texts = (contract.id.column, contract.timestamp.column, *(part.column for part in parts))
    # Said, not inferred: Arrow takes an id that looks like a date for a date.
    schema = pa.schema([*((name, pa.string()) for name in texts), (contract.amount.column, pa.float64())])
    try:
        columns = pj.read_json(
            io.BytesIO(data),
            read_options=pj.ReadOptions(block_size=len(data) + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema, newlines_in_values=False),
        )
    except pa.ArrowInvalid:
        return None
    complete = columns.num_rows == len(rows) and set(contract.required_columns) <= set(columns.column_names)
    return screen(contract, columns, "archive") if complete else None


def _one_by_one(contract: Contract, rows: Sequence[Row]) -> Landed:
    validator = Validator(contract)
    valid: list[Transaction] = []
    valid_rows: list[int] = []
    rejects: list[RejectedRow] = []
    for number, row in enumerate(rows):
        outcome = validator.decode(bytes(row.record))
        if isinstance(outcome, Rejected):
            rejects.append(RejectedRow("archive", number, "", outcome.problems))
        else:
            valid.append(outcome)
            valid_rows.append(number)
    return Landed(len(rows), from_transactions(contract, valid, valid_rows), tuple(rejects))

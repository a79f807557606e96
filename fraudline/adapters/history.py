"""All that has landed, in one table: labelled files, the stream's archive, and what people found of both."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.adapters.archive import read_archive
from fraudline.adapters.files import Progress, load_transactions
from fraudline.adapters.objects import open_objects
from fraudline.columns import Landed
from fraudline.contract import Contract
from fraudline.errors import NotReady
from fraudline.labels import Verdict, with_verdicts
from fraudline.table import TransactionTable, concatenate

FILES = "files/"


def load_history(
    contract: Contract,
    landing: str,
    verdicts: Mapping[str, Sequence[Verdict]],
    as_of: int,
    progress: Progress | None = None,
) -> Landed:
    """What lies in `landing` (a folder or s3://bucket): files below `files/`, and what the stream archived.

    Of a transaction in both, the file's copy is taken, which has the label; the other counts as a duplicate.
    Verdicts known by `as_of` (microseconds) win over a file's label.
    """
    objects = open_objects(landing)
    archived = read_archive(objects, contract)
    if progress and archived.rows:
        progress(f"the archive in {landing}", archived.rows)
    parts = [archived]
    if any(True for _ in objects.list(FILES)):
        parts.insert(0, load_transactions(contract, [f"{landing}/{FILES}"], progress))
    if not any(part.rows for part in parts):
        raise NotReady(f"nothing has landed in {landing} yet: put labelled files below {FILES}, or score the stream")
    return _joined([part for part in parts if part.rows], verdicts, as_of)


def _joined(parts: Sequence[Landed], verdicts: Mapping[str, Sequence[Verdict]], as_of: int) -> Landed:
    tables = [part.table for part in parts]
    tables[1:] = [replace(t, source_row=t.source_row + parts[0].rows) for t in tables[1:]]
    twice = 0
    if len(tables) == 2:
        again = pc.is_in(tables[1].ids, value_set=tables[0].ids).to_numpy(zero_copy_only=False)
        twice = int(again.sum())
        tables = [_unrecorded(tables[0]), _unrecorded(tables[1].take(~again))]
    table = _in_order(with_verdicts(concatenate(tables), verdicts, as_of))
    rejects = tuple(reject for part in parts for reject in part.rejects)
    return Landed(
        sum(part.rows for part in parts),
        table,
        rejects,
        sum(part.duplicates for part in parts) + twice,
        tuple(source for part in parts for source in part.sources),
    )


def _unrecorded(table: TransactionTable) -> TransactionTable:
    """Files have no record of built hours: beside them, all is taken to have been built as the lag says."""
    return replace(table, built_through=None)


def _in_order(table: TransactionTable) -> TransactionTable:
    """In the order they counted; where nothing tells, in the order they stand."""
    columns = pa.table({"time": table.effective_time, "row": np.arange(len(table))})
    order = pc.sort_indices(columns, sort_keys=[("time", "ascending"), ("row", "ascending")])
    return table.take(order.to_numpy())

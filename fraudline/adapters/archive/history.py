"""All that has landed, in one table: labelled files, the stream's archive, and what people found of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.adapters.archive.builds import read_builds, told_by_builds
from fraudline.adapters.archive.landing import PREFIX
from fraudline.adapters.archive.reading import EVER, read_archive
from fraudline.adapters.inputs.files import Progress, load_transactions
from fraudline.adapters.inputs.sources import holds_transactions
from fraudline.adapters.storage.objects import Objects
from fraudline.builds import NOTHING_BUILT, SeenByBuilds
from fraudline.contract import Contract
from fraudline.errors import NotReady
from fraudline.labels import Verdict, with_verdicts
from fraudline.transactions.landed import Landed
from fraudline.transactions.table import (
    UNKNOWN,
    Integers,
    Statements,
    TransactionTable,
    concatenate,
    from_transactions,
    join_statements,
)

FILES = "files/"


def landed_keys(landing: Objects) -> Iterator[str]:
    """The objects that history is made of: what the stream archived, and files."""
    yield from landing.list(PREFIX)
    yield from filter(holds_transactions, landing.list(FILES))


def load_history(
    contract: Contract,
    landing: Objects,
    verdicts: Mapping[str, Sequence[Verdict]],
    as_of: int,
    progress: Progress | None = None,
    known_before: int = EVER,
) -> Landed:
    """What lies in the landing bucket: files below `files/`, and what the stream archived.

    Of a transaction in both, the stream's copy is taken, which tells how it counted, with the label of the file's,
    which counts as a duplicate. Verdicts known by `as_of` (microseconds) win over a file's label. Of the archive, only
    what was known before `known_before` is taken; files do not tell when they came, so all of them are: whoever is to
    repeat a retrain adds none with rows of its past.
    """
    seen = read_builds(landing) if contract.lagged_entities else NOTHING_BUILT
    archived = read_archive(landing, contract, seen=seen, known_before=known_before)
    if progress and archived.rows:
        progress(f"the archive in {landing.location}", archived.rows)
    files = _files(landing, contract, seen, progress)
    if not archived.rows and not files.rows:
        raise nothing_landed(landing, " by then" if archived.sources else " yet")
    landed = _joined(files, archived)
    return replace(landed, table=_in_order(with_verdicts(landed.table, verdicts, as_of)))


def nothing_landed(landing: Objects, when: str = " yet") -> NotReady:
    """Why there is no history."""
    return NotReady(
        f"nothing has landed in {landing.location}{when}: put labelled files below {FILES}, or score the stream"
    )


def _files(objects: Objects, contract: Contract, seen: SeenByBuilds, progress: Progress | None) -> Landed:
    keys = [key for key in objects.list(FILES) if holds_transactions(key)]
    if not keys:
        return Landed(0, from_transactions(contract, []), ())
    if not contract.lagged_entities:
        return load_transactions(contract, [f"{objects.location}/{FILES}"], progress)
    # Of a row in two files, the first copy stands: the one that builds saw first.
    keys.sort(key=seen.missed_by)
    landed = load_transactions(contract, [f"{objects.location}/{key}" for key in keys], progress)
    return told_by_builds(landed, seen, objects.location)


def _joined(files: Landed, archived: Landed) -> Landed:
    theirs, ours = files.table, archived.table
    again = pc.is_in(theirs.ids, value_set=ours.ids).to_numpy(zero_copy_only=False)
    copies = theirs.take(again)
    ours = labelled(ours, first_copies(copies, ours), copies.label, copies.missed_by)
    ours = replace(ours, source_row=ours.source_row + files.rows)
    tables = [table for table in (theirs.take(~again), ours) if len(table)]
    return Landed(
        files.rows + archived.rows,
        concatenate(tables or [theirs]),
        files.rejects + archived.rejects,
        files.duplicates + archived.duplicates + int(again.sum()),
        files.sources + archived.sources,
    )


def first_copies(copies: TransactionTable, archived: TransactionTable) -> Integers:
    """Of each of these copies the row of the archive that counted first."""
    at: Integers = pc.index_in(copies.ids, value_set=archived.ids).to_numpy(zero_copy_only=False).astype(np.int64)
    return at


def labelled(
    archived: TransactionTable, at: Integers, label: npt.NDArray[np.int8], missed_by: Integers | None
) -> TransactionTable:
    """The archive with the labels of copies of the rows `at`, which files brought; builds saw of both what came first.

    `missed_by` tells the hours of the builds that missed the copies, if there are any.
    """
    known = np.flatnonzero(label != UNKNOWN)
    labels = archived.label.copy()
    labels[at[known]] = label[known]
    with_labels = replace(archived, label=labels)
    if archived.missed_by is None or missed_by is None or not len(at):
        return with_labels
    missed = archived.missed_by.copy()
    missed[at] = np.minimum(missed[at], missed_by)
    told = Statements(at[known], label[known], archived.known_at[at[known]], missed_by[known])
    return replace(with_labels, missed_by=missed, said=join_statements([archived.statements(), told]))


def _in_order(table: TransactionTable) -> TransactionTable:
    """In the order they counted; where nothing tells, in the order they stand."""
    columns = pa.table({"time": table.effective_time, "row": np.arange(len(table))})
    order = pc.sort_indices(columns, sort_keys=[("time", "ascending"), ("row", "ascending")])
    return table.take(order.to_numpy())

"""What a large backfill does with each partition: three passes, each a function of one partition alone.

1. By partition entity: which frauds the amount explains, for these count apart in the risk of later entities.
2. By each later entity: its primitives for the rows to score.
3. By partition entity again: features, joined with those primitives by row number, and scores.

The features are those of `offline.py`; a partition holds all rows of its entities, in the order they count.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.contract import Contract
from fraudline.features.offline import Primitives, explained_by_amount, later_primitives, offline_features
from fraudline.scoring import Scorer
from fraudline.scoring_matrix import score_matrix
from fraudline.spilling import Columns, later_entity_table, partition_entity_table, rows_within
from fraudline.table import Integers, TransactionTable

Floats = npt.NDArray[np.float64]
Ranges = Sequence[tuple[int, int]]


def explained_frauds(contract: Contract, columns: pa.Table, category_texts: Sequence[Sequence[str]]) -> Integers:
    """The numbers of the rows labelled fraud whose amount alone explains it."""
    table = partition_entity_table(contract, columns, category_texts)
    fraud: npt.NDArray[np.bool_] = columns["label"].to_numpy() == 1
    return table.source_row[explained_by_amount(table) & fraud]


def lagged_columns(
    contract: Contract, columns: pa.Table, index: int, explained: Integers, wanted: Ranges
) -> tuple[Columns, npt.NDArray[np.uint16]]:
    """Later entity `index`'s primitives at the wanted rows beside their numbers, and each row's home partition.

    `explained` are the numbers of the frauds of all partitions that their amounts explain.
    """
    table = later_entity_table(contract, columns, index)
    mask = rows_within(table.source_row, wanted)
    values = later_primitives(table, index, np.isin(table.source_row, explained), mask)
    narrow = {name: _narrow(column) for name, column in values.items()}
    return {"row": table.source_row[mask], **narrow}, columns["home"].to_numpy()[mask]


def _narrow(values: Integers) -> npt.NDArray[np.integer]:
    """In half the bytes, where they fit."""
    fits = not len(values) or (values.min() >= -(2**31) and values.max() < 2**31)
    return values.astype(np.int32) if fits else values


def scored_rows(
    contract: Contract,
    columns: pa.Table,
    category_texts: Sequence[Sequence[str]],
    later: Sequence[Primitives],
    wanted: Ranges,
    scorer: Scorer,
) -> tuple[Integers, Floats, Floats]:
    """Numbers, scores and features (rows, features) of the wanted rows; `later` are aligned with them."""
    table: TransactionTable = partition_entity_table(contract, columns, category_texts)
    mask = rows_within(table.source_row, wanted)
    features = offline_features(table, mask, later)
    return table.source_row[mask], score_matrix(scorer, features), features

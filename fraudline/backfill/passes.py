"""What a large backfill does with each partition: three passes, each a function of one partition alone.

1. By partition entity: which frauds the amount explains, for these count apart in the risk of lagged entities.
2. By each lagged entity: its primitives for the rows to score.
3. By partition entity again: features, joined with those primitives by row number, and scores.

The features are those of `offline.py`; a partition holds all rows of its entities, in the order they count.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.backfill.dealing import Columns, partition_entity_table, rows_of_lists, rows_within
from fraudline.backfill.past import score_rows
from fraudline.contract import Contract
from fraudline.features.offline import OfflineFeatures
from fraudline.features.offline_lagged import LaggedPrimitives, lagged_primitives
from fraudline.features.offline_partition import Explained
from fraudline.model.scoring import Scorer
from fraudline.transactions.table import Integers, TransactionTable

Floats = npt.NDArray[np.float64]
Ranges = Sequence[tuple[int, int]]


def explained_frauds(contract: Contract, columns: pa.Table, category_texts: Sequence[pa.StringArray]) -> Explained:
    """The rows that somebody said are fraud whose amount alone explains it."""
    table = partition_entity_table(contract, columns, category_texts)
    return Explained.of(table, columns["fraud"].to_numpy())


def lagged_columns(
    table: TransactionTable, home: npt.NDArray[np.uint16], index: int, explained: Explained, wanted: Ranges
) -> tuple[Columns, npt.NDArray[np.uint16]]:
    """Lagged entity `index`'s primitives at the wanted rows of its partition, and each row's home partition.

    They stand beside the rows' numbers, by home partition, which `home` tells of all rows. `explained` are the frauds
    of all partitions that their amounts explain.
    """
    mask = rows_within(table.source_row, wanted)
    home = home[mask]
    values, of = lagged_primitives(table, index, explained, mask, home)
    return {"row": table.source_row[mask][of], "values": values}, home[of]


def gathered(batches: Sequence[pa.RecordBatch]) -> LaggedPrimitives:
    """The primitives of a lagged entity's partitions for one home partition."""
    rows = np.concatenate([batch["row"].to_numpy() for batch in batches])
    return LaggedPrimitives(np.concatenate([rows_of_lists(batch["values"]) for batch in batches]), np.argsort(rows))


def scored_rows(
    contract: Contract,
    columns: pa.Table,
    category_texts: Sequence[pa.StringArray],
    lagged: Sequence[LaggedPrimitives],
    wanted: Ranges,
    scorer: Scorer,
    with_features: bool,
) -> tuple[Integers, Floats, Floats | None]:
    """Numbers, scores and, where asked for, features (rows, features) of the wanted rows."""
    table = partition_entity_table(contract, columns, category_texts)
    mask = rows_within(table.source_row, wanted)
    scores, matrix = score_rows(OfflineFeatures(table), mask, scorer, with_features, lagged)
    return table.source_row[mask], scores, matrix

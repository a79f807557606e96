"""The sets a version was made of, as Parquet, for whoever has to audit it later."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fraudline.training.candidates import Parameters
from fraudline.training.challenger import Challenger
from fraudline.training.dataset import Dataset
from fraudline.training.folds import folds
from fraudline.training.plan import Plan
from fraudline.transactions.table import TransactionTable

Matrix = npt.NDArray[np.float64]


def split_files(challenger: Challenger, dataset: Dataset, plan: Plan) -> dict[str, bytes]:
    """Parquet files by name: all transactions, the published model's training set, the newest test week, and the
    training set as the sampler made it (absent for a candidate without one)."""
    train = dataset.span(*plan.newest_window)
    files = {
        "landed.parquet": _transactions(dataset.table),
        "train.parquet": _rows(dataset, train, plan),
        "test.parquet": _rows(dataset, dataset.tests(folds(dataset, plan)[-1]), plan),
    }
    resampled = _resampled(challenger, dataset.features[train], dataset.label[train], plan)
    return files if resampled is None else {**files, "resampled.parquet": resampled}


def _transactions(table: TransactionTable) -> bytes:
    contract = table.contract
    columns = {
        contract.id.column: table.ids,
        contract.timestamp.column: pa.array(table.timestamp).cast(pa.timestamp("us", tz="UTC")),
        contract.amount.column: table.amount / contract.amount.minor_units,
        **{e.column: codes.text() for e, codes in zip(contract.entities, table.entities, strict=True)},
        **{c.column: codes.text() for c, codes in zip(contract.categories, table.categories, strict=True)},
        **{f.column: flag for f, flag in zip(contract.flags, table.flags, strict=True)},
        contract.label.column: pa.array(table.label, mask=table.label < 0),
    }
    return _parquet(pa.table(columns))


def _rows(dataset: Dataset, mask: npt.NDArray[np.bool_], plan: Plan) -> bytes:
    ids = dataset.table.ids.take(pa.array(dataset.rows[mask]))
    features = _named(dataset.features[mask], plan)
    return _parquet(pa.table({"transaction_id": ids, **features, "label": dataset.label[mask]}))


def _resampled(challenger: Challenger, features: Matrix, label: npt.NDArray[np.int8], plan: Plan) -> bytes | None:
    """What the sampler hands on; after the steps before it, so scaled where the candidate scales first."""
    measured = challenger.measured
    parameters: Parameters = measured.parameters
    values = features
    for _, step in measured.candidate.build(plan.features, parameters, plan.seed).steps:
        if hasattr(step, "fit_resample"):
            values, label = step.fit_resample(values, label)
            return _parquet(pa.table({**_named(values, plan), "label": label}))
        if not hasattr(step, "transform"):
            return None
        values = step.fit_transform(values, label)
    return None


def _named(matrix: Matrix, plan: Plan) -> dict[str, Matrix]:
    return {name: matrix[:, index] for index, name in enumerate(plan.features.names)}


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]

"""What judging data costs: 20 expectations on a million rows, and a whole quality run on ten thousand.

    python -m benchmarks.quality

Prints CPU seconds and peak memory. Each part runs in a process of its own, the library imported beforehand.
"""

import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from expectations import load_suite
from fraudline.adapters.inputs.files import load_transactions
from fraudline.adapters.quality_report import run_quality
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.contract import Contract, load_contract
from fraudline.quality.check import check
from fraudline.quality.suite import About, Expectation, Origin, Suite
from fraudline.simulate import Population, simulate, soil, weave
from fraudline.transactions.table import TransactionTable, concatenate

MILLION = 1_000_000
SMALL = 10_000


def judge_a_million() -> str:
    contract = load_contract("ecommerce")
    table = _repeated(_table(Population(users=3_000, seed=1)), MILLION)
    suite = _twenty_on_rows(contract)
    _warm(table.take(slice(0, 1_000)), suite)
    before = _memory()
    begin = time.process_time()
    result = check(table, contract, "training", suite)
    seconds, failed = time.process_time() - begin, len(result.excluded)
    return (
        f"{len(suite.expectations)} expectations on {len(table):,} rows, {failed:,} of which fail one:"
        f" {seconds:.2f} s of CPU, {_memory()} MB at most ({before} before)"
    )


def run_on_ten_thousand() -> str:
    contract = load_contract("ecommerce")
    clean = simulate(Population(users=3_000, seed=1)).head(SMALL - SMALL // 100)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.csv"
        weave(clean, soil(clean, 0.0101, seed=1)).to_csv(path, index=False)
        landed = load_transactions(contract, [str(path)])
        _warm(landed.table.take(slice(0, 1_000)), load_suite(contract, "training"))
        out = FolderObjects(Path(folder) / "out")
        begin = time.process_time()
        run_quality(contract, load_transactions(contract, [str(path)]), out)
        seconds = time.process_time() - begin
    return f"a quality run of {landed.rows:,} rows, from the file to the page: {seconds:.2f} s of CPU"


def _table(population: Population) -> TransactionTable:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.csv"
        simulate(population).to_csv(path, index=False)
        return load_transactions(load_contract("ecommerce"), [str(path)]).table


def _repeated(table: TransactionTable, rows: int) -> TransactionTable:
    """The table again and again in time order, until it has `rows` rows."""
    copies = concatenate([table] * -(-rows // len(table)))
    return copies.take(np.argsort(copies.timestamp, kind="stable")[:rows])


def _twenty_on_rows(contract: Contract) -> Suite:
    """Twenty expectations on single rows; the one on small amounts fails on a third of them."""
    amounts = [
        ("expect_column_values_to_be_between", {"column": "amount", "max_value": 10_000.0 + n, "row_condition": only})
        for n, value in enumerate(contract.categories[-1].values)
        for only in ({"type": "comparison", "column": {"name": "card_type"}, "operator": "==", "parameter": value},)
    ]
    checks = [
        *(("expect_column_values_to_not_be_null", {"column": column}) for column in contract.required_columns),
        *(("expect_column_values_to_be_in_set", {"column": c.column, "value_set": list(c.values)})
          for c in contract.categories if c.values),
        *amounts,
        ("expect_column_values_to_be_in_set", {"column": "is_vpn", "value_set": [0, 1]}),
        ("expect_column_values_to_be_in_set", {"column": "is_fraud", "value_set": [0, 1]}),
        ("expect_column_values_to_be_between", {"column": "hour", "min_value": 0, "max_value": 23}),
        ("expect_column_values_to_be_between", {"column": "weekday", "min_value": 0, "max_value": 6}),
        ("expect_column_values_to_be_between", {"column": "hours_to_label", "min_value": 0}),
        ("expect_column_values_to_be_between", {"column": "amount", "min_value": 20}),
        ("expect_column_mean_to_be_between", {"column": "amount", "min_value": 0}),
    ]  # fmt: skip
    expectations = tuple(Expectation(kind, kwargs, About(f"{n}")) for n, (kind, kwargs) in enumerate(checks[:20]))
    return Suite("twenty", expectations, Origin(contract.name, "training"))


def _warm(table: TransactionTable, suite: Suite) -> None:
    """Import what judging needs."""
    check(table, table.contract, suite.meta.stage, suite)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    for part in (judge_a_million, run_on_ten_thousand):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            print(process.submit(part).result())


if __name__ == "__main__":
    main()

"""How fast features are, on one core: vectorised over the public card data, and one by one from profiles.

    python -m benchmarks.features [FOLDER]

Rows a second of CPU time: count and sum of the windows of both entities, the full feature set, and decoding,
computing all features and counting e-commerce events one by one.
"""

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from fraudline.adapters.inputs.files import load_transactions
from fraudline.contract import Contract, load_contract
from fraudline.durations import HOUR
from fraudline.features.definition import feature_set
from fraudline.features.offline import offline_features
from fraudline.features.offline_windows import BLOCK, Keys, stable_order, window_starts
from fraudline.features.online import OnlineFeatures
from fraudline.simulate import Population, simulate, to_records
from fraudline.transactions.table import TransactionTable
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator

SIX_WINDOWS = ("1h", "1d", "3d", "7d", "14d", "30d")
DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "cards"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    folder = parser.parse_args().folder
    out = Table(title="Features on one core")
    for column in ("what", "rows", "seconds of CPU", "rows a second"):
        out.add_column(column, justify="right")
    if folder.exists():
        table = load_transactions(load_contract("cards"), [str(folder)]).table
        _row(
            out,
            "cards, count and sum of 12 windows",
            len(table),
            _seconds(lambda: _window_sums(table)),
        )
        names = feature_set(table.contract).names
        _row(out, f"cards, all {len(names)} features", len(table), _seconds(lambda: offline_features(table)))
    else:
        sys.stderr.write(f"{folder} is not there: the card data's rows are left out\n")
    contract = load_contract("ecommerce")
    records = list(to_records(simulate(Population(users=500, days=40))))
    _row(out, "ecommerce, online: decode, features, count", len(records), _seconds(lambda: _online(contract, records)))
    Console(width=120).print(out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Console(width=120).print(f"Peak memory of this process: {peak:,.0f} MiB")


def _row(out: Table, what: str, rows: int, seconds: float) -> None:
    out.add_row(what, f"{rows:,}", f"{seconds:.2f}", f"{rows / seconds:,.0f}")


def _seconds(work: Any) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _window_sums(table: TransactionTable) -> None:
    """Count and sum of twelve windows, six of each entity: the recipe that all features stand on."""
    for entity, codes in zip(table.contract.entities, table.entities, strict=True):
        six = msgspec.structs.replace(entity, windows=SIX_WINDOWS)
        order = stable_order(codes.codes)
        ordered, hours = codes.codes[order], table.effective_time[order] // HOUR
        sums = np.concatenate([[0], np.cumsum(table.amount[order])])
        keys = Keys.of(ordered, hours)
        for begin in range(0, len(order), BLOCK):
            here = np.arange(begin, min(begin + BLOCK, len(order)))
            for _, starts in window_starts(hours[here], six):
                low = keys.first_at_or_after(ordered[here], starts)
                _ = (here - low, sums[here] - sums[low])


def _online(contract: Contract, records: list[bytes]) -> None:
    validator, online = Validator(contract), OnlineFeatures(contract)
    histories: dict[str, Any] = {}
    for record in records:
        transaction = validator.decode(record)
        assert isinstance(transaction, Transaction), msgspec.json.encode(transaction)
        history = histories.get(transaction.entities[0]) or histories.setdefault(
            transaction.entities[0], online.new_history()
        )
        computed = online.features(transaction, history)
        online.count(history, transaction, computed.effective_time)


if __name__ == "__main__":
    main()

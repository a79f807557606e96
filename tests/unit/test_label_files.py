"""Labels that come in files of their own."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from fraudline.adapters.label_files import load_labels
from fraudline.clock import parse_timestamp
from fraudline.contract import load_contract
from fraudline.errors import BadInput
from fraudline.labels import with_verdicts
from fraudline.table import TransactionTable, from_transactions
from fraudline.transaction import Transaction

TIME = parse_timestamp("2026-01-05T10:00:00Z", "UTC")


@pytest.fixture
def table() -> TransactionTable:
    contract = load_contract("ecommerce")
    rows = [
        Transaction(id_, TIME, 100, ("U1",), ("mobile", "Rome", "credit"), (0,), None) for id_ in ("T1", "T2", "T3")
    ]
    return from_transactions(contract, rows)


def write(folder: Path, *rows: str) -> str:
    file = folder / "labels.csv"
    file.write_text("\n".join(["transaction_id,label,known_at", *rows]) + "\n")
    return str(file)


def test_a_label_counts_from_the_moment_it_was_known(table: TransactionTable, tmp_path: Path) -> None:
    file = write(tmp_path, "T1,1,2026-01-08T00:00:00Z", "T1,0,2026-01-20T00:00:00Z", "T2,0,2026-01-30T00:00:00Z")
    labels = load_labels([file], table)
    for as_of, expected in (("2026-01-09", [1, -1, -1]), ("2026-01-21", [0, -1, -1]), ("2026-02-01", [0, 0, -1])):
        moment = parse_timestamp(f"{as_of}T00:00:00Z", "UTC")
        joined = with_verdicts(table, labels.verdicts, moment)
        assert joined.labels_known_by(moment).label.tolist() == expected


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl", "labels.parquet"])
def test_an_empty_label_withdraws_what_was_said_before(table: TransactionTable, tmp_path: Path, name: str) -> None:
    rows = pa.table(
        {
            "transaction_id": ["T1", "T1", "T1"],
            "label": ["1", None, "0"],
            "known_at": ["2026-01-08T00:00:00Z", "2026-01-12T00:00:00Z", "2026-01-20T00:00:00Z"],
        }
    )
    file = tmp_path / name
    if file.suffix == ".csv":
        pyarrow.csv.write_csv(rows, file)
    elif file.suffix == ".parquet":
        pyarrow.parquet.write_table(rows, file)
    else:
        file.write_text("\n".join(map(json.dumps, rows.to_pylist())))
    labels = load_labels([str(file)], table)
    assert not labels.rejects
    for as_of, expected in (("2026-01-09", 1), ("2026-01-13", -1), ("2026-01-21", 0)):
        moment = parse_timestamp(f"{as_of}T00:00:00Z", "UTC")
        joined = with_verdicts(table, labels.verdicts, moment)
        assert joined.labels_known_by(moment).label.tolist() == [expected, -1, -1]


def test_rows_that_are_no_labels_are_rejected_with_their_reason(table: TransactionTable, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "T9,1,2026-01-08T00:00:00Z",
        "T1,maybe,2026-01-08T00:00:00Z",
        "T1,1,soon",
        "T1,1,2026-01-05T09:00:00Z",
        "T2,1,2026-01-08T00:00:00Z",
    )
    labels = load_labels([file], table)
    reasons = [reject.reason for reject in labels.rejects]
    assert reasons == ["unknown_transaction", "label_malformed", "timestamp_malformed", "label_before_transaction"]
    assert list(labels.verdicts) == ["T2"]


def test_a_file_without_the_columns_says_which_is_missing(table: TransactionTable, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("transaction_id,fraud\nT1,1\n")
    with pytest.raises(BadInput, match="lacks column 'label'"):
        load_labels([str(file)], table)

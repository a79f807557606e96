"""Labels that come in files of their own."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from fraudline.adapters.archive.label_files import labels_of, load_labels, read_label_rows
from fraudline.adapters.aws.clients import client
from fraudline.clock import parse_timestamp
from fraudline.contract import contract_from, load_contract
from fraudline.errors import BadInput
from fraudline.labels import with_verdicts
from fraudline.settings import Settings
from fraudline.transactions.table import UNKNOWN, TransactionTable, from_transactions
from fraudline.transactions.transaction import Transaction

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


def test_a_text_in_json_is_the_text_it_is(tmp_path: Path) -> None:
    """An id like a date stays one, and a zone that is told is not the contract's, which may be Tokyo's."""
    values = load_contract("ecommerce").to_json()
    contract = contract_from({**values, "timezone": "Asia/Tokyo"}, "test")
    rows = [Transaction("2026-01-05", TIME, 100, ("U1",), ("mobile", "Rome", "credit"), (0,), None)]
    file = tmp_path / "labels.jsonl"
    file.write_text('{"transaction_id": "2026-01-05", "label": 1, "known_at": "2026-01-31T13:05:00Z"}\n')
    labels = load_labels([str(file)], from_transactions(contract, rows))
    (verdict,) = labels.verdicts["2026-01-05"]
    assert (verdict.label, verdict.known_at) == (1, parse_timestamp("2026-01-31T13:05:00Z", "UTC"))


def test_a_torn_row_is_refused_alone_as_it_stands_in_its_file(table: TransactionTable, tmp_path: Path) -> None:
    good = [f"{id_},1,2026-01-08T00:00:00Z" for id_ in ("T1", "T2", "T3")]
    torn = ["T1,1", "T2,0,2026-01-09T00:00:00Z,spare"]
    file = write(tmp_path, torn[0], good[0], "", good[1], torn[1], good[2])
    labels = load_labels([file], table)
    assert list(labels.verdicts) == ["T1", "T2", "T3"]
    told = [(reject.row, reject.reason, reject.raw, reject.header) for reject in labels.rejects]
    header = "transaction_id,label,known_at"
    assert told == [(0, "torn_row", torn[0], header), (3, "torn_row", torn[1], header)]


def test_a_quote_that_nothing_closes_takes_no_other_row_with_it(table: TransactionTable, tmp_path: Path) -> None:
    file = write(tmp_path, '"T1,1,2026-01-08T00:00:00Z', "T2,1,2026-01-08T00:00:00Z", "T9,1,2026-01-08T00:00:00Z")
    labels = load_labels([file], table)
    assert list(labels.verdicts) == ["T2"]
    first, last = labels.rejects
    assert [(reject.row, reject.reason) for reject in (first, last)] == [
        (0, "unknown_transaction"),
        (2, "unknown_transaction"),
    ]
    assert json.loads(first.raw)["transaction_id"] == '"T1'


@pytest.mark.parametrize("line", ["1,2", "[]", "[" * 100_000, '{"label": NaN}', "\udc80"])
def test_a_line_that_is_no_json_object_is_refused_alone(table: TransactionTable, tmp_path: Path, line: str) -> None:
    file = tmp_path / "labels.jsonl"
    good = '{"transaction_id": "T1", "label": 1, "known_at": "2026-01-31T13:05:00Z"}'
    file.write_bytes(f"{good}\n\n{line}\n{good}\n".encode(errors="surrogateescape"))
    labels = load_labels([str(file)], table)
    assert len(labels.verdicts["T1"]) == 2
    (reject,) = labels.rejects
    assert (reject.row, reject.reason, reject.raw) == (1, "not_json", line.replace("\udc80", r"\x80"))


def test_a_file_of_no_json_object_at_all_is_none_of_labels(table: TransactionTable, tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text("transaction_id,label,known_at\nT1,1,2026-01-31T13:05:00Z\n")
    with pytest.raises(BadInput, match="lacks column 'transaction_id'"):
        load_labels([str(file)], table)


def test_a_row_without_an_id_is_about_no_transaction(tmp_path: Path) -> None:
    rows = [Transaction("None", TIME, 100, ("U1",), ("mobile", "Rome", "credit"), (0,), None)]
    file = tmp_path / "labels.jsonl"
    file.write_text('{"transaction_id": null, "label": 1, "known_at": "2026-01-31T13:05:00Z"}\n')
    labels = load_labels([str(file)], from_transactions(load_contract("ecommerce"), rows))
    assert [reject.reason for reject in labels.rejects] == ["unknown_transaction"]


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_labels_with_gaps_are_read_as_pandas_writes_them(table: TransactionTable, tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame(
        {
            "transaction_id": ["T1", "T2", "T3"],
            "label": [1.0, 0.0, float("nan")],
            "known_at": "2026-01-08T00:00:00Z",
        }
    )
    file = tmp_path / name
    frame.to_csv(file, index=False) if file.suffix == ".csv" else frame.to_parquet(file)
    labels = load_labels([str(file)], table)
    assert not labels.rejects
    assert [labels.verdicts[id_][0].label for id_ in ("T1", "T2", "T3")] == [1, 0, UNKNOWN]


def test_a_file_without_the_columns_says_which_is_missing(table: TransactionTable, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("transaction_id,fraud\nT1,1\n")
    with pytest.raises(BadInput, match="lacks column 'label'"):
        load_labels([str(file)], table)


def test_a_column_that_is_there_twice_is_named(table: TransactionTable, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("transaction_id,label,label,known_at\nT1,1,0,2026-01-08T00:00:00Z\n")
    with pytest.raises(BadInput, match=r"labels\.csv has column 'label' twice: keep the one that is meant"):
        load_labels([str(file)], table)


def test_a_label_that_cannot_be_known_yet_is_refused(table: TransactionTable, tmp_path: Path) -> None:
    """A year mistyped would outweigh every correction until it comes."""
    rows = read_label_rows([write(tmp_path, "T1,1,2031-01-08T00:00:00Z", "T1,0,2026-01-08T00:00:00Z")])
    labels = labels_of(rows, table, known_by=parse_timestamp("2026-01-09T00:00:00Z", "UTC"))
    assert [reject.reason for reject in labels.rejects] == ["label_from_future"]
    assert [verdict.label for verdict in labels.verdicts["T1"]] == [0]


def test_labels_lie_in_folders_and_buckets_too(table: TransactionTable, tmp_path: Path, resources: Settings) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "notes.txt").write_text("no labels")
    file = write(tmp_path / "one", "T1,1,2026-01-08T00:00:00Z", "T9,1,2026-01-08T00:00:00Z")
    key = "chargebacks/2026-01/labels.csv"
    client("s3").upload_file(file, resources.landing_bucket, key)
    bucket = f"s3://{resources.landing_bucket}"
    for location in (str(tmp_path / "one"), f"{bucket}/chargebacks/", f"{bucket}/{key}"):
        labels = load_labels([location], table)
        assert labels.verdicts == load_labels([file], table).verdicts
    assert labels.rejects[0].source == f"{bucket}/{key}"
    with pytest.raises(BadInput, match=f"{bucket}/nothing/ holds no"):
        load_labels([f"{bucket}/nothing/"], table)


def test_a_file_that_is_not_there_is_one_of_labels(table: TransactionTable) -> None:
    with pytest.raises(BadInput, match=r"there is no none\.csv: check the path of the labels"):
        load_labels(["none.csv"], table)

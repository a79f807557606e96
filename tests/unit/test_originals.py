"""Rows that are refused or left out keep what stood in their file, to the byte, and their exact place."""

import datetime as dt
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.adapters.inputs.csv_reading import csv_options
from fraudline.adapters.inputs.files import load_transactions
from fraudline.adapters.inputs.originals import left_out, originals
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.archive import Account, Row, encode_archive
from fraudline.contract import load_contract
from fraudline.errors import BadInput
from fraudline.quality.check import check
from fraudline.quality.draft import draft
from fraudline.quality.suite import About, Expectation, Suite
from fraudline.transactions.cells import cells_in
from fraudline.transactions.landed import Landed
from fraudline.transactions.quotes import without_stray_quotes

SHOP = load_contract("ecommerce")
HEADER = "transaction_id,user_id,timestamp,amount,device_type,location,is_vpn,card_type,is_fraud,note"


def line(number: int, amount: str = "12.50", note: str = "") -> str:
    return f"T{number},U1,2026-01-05T10:{number:02}:00Z,{amount},mobile,Rome,0,debit,0,{note}"


def dear_rows(landed: Landed) -> Sequence[tuple[str, int, str, str]]:
    """Rows that a rule of a thousand leaves out: where they are and what stands there."""
    about = About("nobody pays a thousand")
    rule = Expectation("expect_column_values_to_be_between", {"column": "amount", "max_value": 999}, about)
    result = check(landed, SHOP, "training", Suite("mine", (rule,), draft(SHOP, "training").meta))
    rows = left_out(landed, landed.table, result)
    assert {reject.reason for reject in rows} == {"nobody pays a thousand"}
    return [(Path(reject.source).name, reject.row, reject.raw, reject.header) for reject in rows]


def test_rows_of_several_csv_files_keep_their_lines_and_numbers_however_torn_their_neighbours_are(
    tmp_path: Path,
) -> None:
    first = [line(9), "T1,torn", "", line(2, "1000.00", '"said ""no"",\n\r\nand left"'), line(3, "-1"), "a,b"]
    second = [line(4), line(9, "13.00", 'a "loud" one'), line(5, "2000", " x ")]
    (tmp_path / "a.csv").write_bytes("\n".join([HEADER, *first, ""]).encode())
    (tmp_path / "b.csv").write_bytes(("\ufeff" + "\r\n".join([HEADER, *second])).encode())
    landed = load_transactions(SHOP, [str(tmp_path)])
    refused = [(Path(r.source).name, r.row, r.reason, r.raw, r.header) for r in landed.rejects]
    assert refused == [
        ("a.csv", 1, "torn_row", first[1], HEADER),
        ("a.csv", 3, "amount_negative", first[4], HEADER),
        ("a.csv", 4, "torn_row", first[5], HEADER),
        ("b.csv", 1, "conflicting_id", second[1], HEADER),
    ]
    assert dear_rows(landed) == [("a.csv", 2, first[3], HEADER), ("b.csv", 2, second[2], HEADER)]


def test_rows_of_json_lines_keep_their_bytes(tmp_path: Path) -> None:
    good = dict(zip(HEADER.split(","), line(1).split(","), strict=True)) | {"amount": 12.5, "is_vpn": 0, "is_fraud": 0}
    lines = [json.dumps(good), "", json.dumps({**good, "amount": 13}), "{torn", json.dumps({**good, "amount": -1})]
    lines += [json.dumps({**good, "transaction_id": "T2", "amount": 1e3, "extra": "é"}, separators=(" , ", ":  "))]
    (tmp_path / "t.jsonl").write_bytes("\r\n".join(lines).encode())
    landed = load_transactions(SHOP, [str(tmp_path)])
    kept = {reject.row: (reject.reason, reject.raw) for reject in landed.rejects}
    reasons = {1: "conflicting_id", 2: "not_json", 3: "amount_negative"}
    assert kept == {row: (reason, lines[row + 1]) for row, reason in reasons.items()}
    assert dear_rows(landed) == [("t.jsonl", 4, lines[5], "")]


def test_rows_of_parquet_keep_all_their_cells_those_of_columns_nobody_reads_too(tmp_path: Path) -> None:
    csv = "\n".join([HEADER, *(line(n, "12.5") for n in range(6))])
    frame = pd.read_csv(io.StringIO(csv)).drop(columns="note")
    frame.loc[[2, 5], "amount"] = [-1.0, 1000.0]
    frame["seen"] = [dt.datetime(2026, 1, 5, hour, tzinfo=dt.UTC) for hour in range(6)]
    frame["bytes"] = [bytes([n, 255]) for n in range(6)]
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "t.parquet", row_group_size=2)
    landed = load_transactions(SHOP, [str(tmp_path)])
    (reject,) = landed.rejects
    ((name, row, raw, header),) = dear_rows(landed)
    assert (reject.row, name, row, header) == (2, "t.parquet", 5, "")
    kept, left = json.loads(reject.raw), json.loads(raw)
    assert kept.keys() == left.keys() == set(frame.columns)
    assert (kept["amount"], kept["seen"], left["bytes"]) == (-1.0, "2026-01-05T02:00:00.000000Z", "\x05\\xff")


def test_rows_of_the_archive_keep_the_record_that_the_stream_delivered(tmp_path: Path) -> None:
    folder = FolderObjects(tmp_path)
    account = Account("s", "1", "3", "v", 0, None, 3, 3, (), (), ())
    rows = [Row(f"{n}#s", n, n, json.dumps({"n": n, "text": "ü"}).encode()) for n in range(3)]  # type: ignore[arg-type]
    folder.put("archive/2026-01-05/s/1-3.jsonl.gz", encode_archive(account, rows))
    found = originals(f"{folder.location}/archive/2026-01-05/s/1-3.jsonl.gz", {2})
    assert found[2].raw == json.dumps({"n": 2, "text": "ü"})


def test_a_file_that_shrank_in_between_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(BadInput, match=r"t\.csv has changed while it was read: it has no row 1 any more"):
        originals(str(tmp_path / "t.csv"), {0, 1})


@settings(max_examples=200, deadline=None)
@given(body=st.text('ab,"\n\r ', max_size=60))
def test_rows_are_counted_as_arrow_counts_them(body: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = f"x,y\n{body}".encode()
    torn: list[int] = []
    try:
        options = csv_options(b"x,y\n", lambda row: torn.append(row.number - 2))
        one_thread = pa.csv.ReadOptions(use_threads=False)
        sound = without_stray_quotes(io.BytesIO(data)).read()
        columns = pa.csv.read_csv(io.BytesIO(sound), read_options=one_thread, **options)
    except pa.ArrowInvalid:  # such a file stops everything
        return
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(data)
    numbers = set(range(columns.num_rows + len(torn)))
    found = {row: cells_in(original.raw, original.header) for row, original in originals(str(path), numbers).items()}
    for row, cells in zip(sorted(numbers - set(torn)), columns.to_pylist(), strict=True):
        stray = "\0" in "".join(filter(None, cells.values()))
        assert found[row] is None if stray else _bare(found[row] or {}) == _bare(cells)
    assert [found[row] for row in torn] == [None] * len(torn)


def _bare(cells: Mapping[str, str | None]) -> dict[str, str | None]:
    """A quote that nothing closes holds the file's last line end, which is no part of an original."""
    return {name: (cell or "").rstrip("\r\n") or None for name, cell in cells.items()}

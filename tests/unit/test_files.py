"""Files of transactions: rows that are none become rejects, files that are none stop everything with one sentence."""

import gzip
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudline.adapters.inputs.files import load_transactions, read_transactions, rejected_lines, text_pieces
from fraudline.adapters.stream.outgoing import NO_KEY, outgoing
from fraudline.contract import contract_from, load_contract
from fraudline.errors import BadInput
from fraudline.transactions.landed import Landed
from fraudline.transactions.table import concatenate
from fraudline.transactions.transaction import Rejected, Transaction
from fraudline.transactions.validation import Validator

SHOP = load_contract("ecommerce")
COLUMNS = "transaction_id,user_id,timestamp,amount,device_type,location,is_vpn,card_type,is_fraud"
ROW = "{id},U{user},2026-01-05T10:{minute:02}:00Z,{amount},mobile,{place},0,debit,0"


def line(number: int, **changes: Any) -> str:
    return ROW.format(
        **{"id": f"T{number}", "user": number % 3, "minute": number, "amount": "12.50", "place": "Rome"} | changes
    )


def csv(*lines: str, header: str = COLUMNS, end: str = "\n") -> bytes:
    return end.join([header, *lines, ""]).encode()


GOOD = csv(line(1), line(2), line(3))


def load(tmp_path: Path, data: bytes, name: str = "t.csv") -> Landed:
    (tmp_path / name).write_bytes(data)
    return load_transactions(SHOP, [str(tmp_path / name)])


def refusal(*locations: object) -> str:
    with pytest.raises(BadInput) as refused:
        load_transactions(SHOP, [str(location) for location in locations])
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)
    return str(refused.value)


# What is read


def test_rows_count_in_the_order_of_time_and_then_id(tmp_path: Path) -> None:
    landed = load(tmp_path, csv(line(3), line(1), line(9, minute=1), line(2)))
    assert landed.table.ids.to_pylist() == ["T1", "T9", "T2", "T3"]
    assert landed.table.source_row.tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte order mark"])
def test_line_ends_and_byte_order_marks_change_nothing(tmp_path: Path, end: str, mark: bytes) -> None:
    landed = load(tmp_path, mark + csv(line(1), line(2), end=end))
    assert landed.table.ids.to_pylist() == ["T1", "T2"]
    assert landed.table.categories[1].text().to_pylist() == ["Rome", "Rome"]


def test_a_last_line_without_an_end_is_a_row(tmp_path: Path) -> None:
    assert len(load(tmp_path, csv(line(1), line(2)).rstrip(b"\n")).table) == 2


def test_columns_may_stand_in_any_order_with_others_between_them(tmp_path: Path) -> None:
    frame = pd.read_csv(BytesIO(GOOD), dtype=str)
    frame.insert(2, "note", ["a,b", 'say "so"', "x\ny"])
    shuffled = frame[sorted(frame.columns)]
    landed = load(tmp_path, shuffled.to_csv(index=False).encode())
    assert list(landed.table.transactions()) == list(load(tmp_path, GOOD, "plain.csv").table.transactions())


def test_line_breaks_within_quotes_belong_to_their_cell_however_long_the_file(tmp_path: Path) -> None:
    # Far more than the megabyte that is parsed at once, so that breaks fall on every kind of border.
    count = 30_000
    rows = [line(number, minute=number % 60) + f',"note\n{"x" * (number % 97)}\nend"' for number in range(count)]
    landed = load(tmp_path, csv(*rows, header=COLUMNS + ",note"))
    assert (landed.rows, len(landed.table), landed.rejects) == (count, count, ())


def test_a_torn_row_is_quarantined_beside_its_good_neighbours(tmp_path: Path) -> None:
    landed = load(tmp_path, csv(line(1), "T2,U1", line(3), line(4) + ",more", line(5)))
    assert landed.table.ids.to_pylist() == ["T1", "T3", "T5"]
    assert landed.reasons() == {"torn_row": 2}
    assert landed.rows == 5
    assert sorted(reject.raw for reject in landed.rejects) == ["T2,U1", line(4) + ",more"]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_in_pieces_is_the_file(ending: str) -> None:
    """Torn rows, too, at the ends of pieces and of the file; Arrow reads a megabyte of CSV at a time."""
    torn = {0, 1, 17_000, 39_998, 39_999}
    lines = [
        f"{{}} {number}" if number in torn else line(number, minute=number % 60, place="x" * 60)
        for number in range(40_000)
    ]
    if ending == "jsonl":
        cells = (dict(zip(COLUMNS.split(","), row.split(","), strict=False)) for row in lines)
        lines = [json.dumps(row | {"amount": 12.5, "is_vpn": False, "is_fraud": 0}) for row in cells]
    data = "\n".join([COLUMNS, *lines] if ending == "csv" else lines).encode()
    (whole,) = text_pieces(SHOP, f"t.{ending}", BytesIO(data))
    pieces = list(text_pieces(SHOP, f"t.{ending}", BytesIO(data), 7_000))
    assert len(pieces) > 2
    assert sum(piece.rows for piece in pieces) == whole.rows == 40_000
    assert {reject.row for reject in whole.rejects} == torn
    assert tuple(reject for piece in pieces for reject in piece.rejects) == whole.rejects
    together = concatenate([piece.table for piece in pieces])
    assert together.source_row.tolist() == whole.table.source_row.tolist()
    assert together.ids.equals(whole.table.ids)


def test_missing_is_an_empty_cell_and_what_pandas_writes_for_it(tmp_path: Path) -> None:
    landed = load(tmp_path, csv(line(1), line(2, amount=""), line(3, amount="NaN"), line(4, place=""), line(5, id="")))
    assert landed.reasons() == {"amount_missing": 2, "category_missing": 1, "id_missing": 1}


def test_namibia_is_no_missing_value(tmp_path: Path) -> None:
    words = ["NA", "N/A", "null", "None", "nan", "n/a"]
    landed = load(tmp_path, csv(*(line(n, place=word) for n, word in enumerate(words))))
    assert landed.table.categories[1].text().to_pylist() == words


def test_every_format_gives_the_same_transactions(tmp_path: Path) -> None:
    frame = pd.read_csv(BytesIO(csv(*(line(n, amount=f"{n}.0{n}") for n in range(1, 9)))))
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "t.NDJSON", orient="records", lines=True)
    frame.to_csv(tmp_path / "t.csv", index=False)
    tables = [load_transactions(SHOP, [str(path)]).table for path in sorted(tmp_path.iterdir())]
    assert len(tables) == 4
    first = list(tables[0].transactions())
    assert all(list(table.transactions()) == first for table in tables)


def test_json_lines_skip_blank_ones_and_quarantine_what_is_no_record(tmp_path: Path) -> None:
    good = {"transaction_id": "T1", "user_id": "U1", "timestamp": "2026-01-05T10:00:00Z", "amount": 1.5}
    good |= {"device_type": "mobile", "location": "Rome", "is_vpn": 0, "card_type": "debit"}
    lines = [
        json.dumps(good).encode(),
        b"",
        b"{torn",
        b"[]",
        b"\xff\xfe",
        json.dumps({**good, "transaction_id": "T2"}).encode(),
    ]
    landed = load(tmp_path, b"\r\n".join(lines), "t.jsonl")
    assert landed.table.ids.to_pylist() == ["T1", "T2"]
    assert landed.reasons() == {"not_json": 2, "not_an_object": 1}
    assert [reject.row for reject in landed.rejects] == [1, 2, 3]
    assert landed.rejects[0].raw == "{torn"


def test_a_folder_is_all_its_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.csv").write_bytes(csv(line(1)))
    (tmp_path / "deep" / "er" / "b.CSV").write_bytes(csv(line(2)))
    (tmp_path / "README.md").write_text("not data")
    (tmp_path / "c.csv.partial").write_bytes(b"\x00")
    landed = load_transactions(SHOP, [str(tmp_path)])
    assert landed.table.ids.to_pylist() == ["T1", "T2"]


def test_copies_in_different_files_are_copies(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv(line(1), line(2)))
    (tmp_path / "b.csv").write_bytes(csv(line(2), line(1, amount="9.99"), line(3)))
    landed = load_transactions(SHOP, [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])
    assert (landed.rows, len(landed.table), landed.duplicates) == (5, 3, 1)
    assert landed.reasons() == {"conflicting_id": 1}


def test_progress_is_told_of_each_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv(line(1), line(2)))
    (tmp_path / "b.csv").write_bytes(csv(line(3)))
    told: list[tuple[str, int]] = []
    load_transactions(SHOP, [str(tmp_path)], lambda source, rows: told.append((Path(source).name, rows)))
    assert told == [("a.csv", 2), ("b.csv", 1)]


def test_a_row_that_is_no_transaction_keeps_its_place_and_content(tmp_path: Path) -> None:
    landed = load(tmp_path, csv(line(1), line(2, amount="-5"), line(3)))
    (reject,) = landed.rejects
    assert (reject.row, reject.reason) == (1, "amount_negative")
    assert (reject.header, reject.raw) == (COLUMNS, line(2, amount="-5"))
    kept = msgspec.json.decode(rejected_lines(landed.rejects))
    assert kept["problems"] == [
        {"field": "amount", "code": "amount_negative", "message": "is not between 0.01 and 1000000.0"}
    ]


def test_text_columns_in_parquet_mean_what_they_mean_in_csv(tmp_path: Path) -> None:
    frame = pd.read_csv(BytesIO(csv(line(1), line(2, place="Zürich"))), dtype=str)
    frame.to_parquet(tmp_path / "t.parquet")
    landed = load_transactions(SHOP, [str(tmp_path / "t.parquet")])
    assert (landed.table.amount.tolist(), landed.table.label.tolist(), landed.rejects) == ([1250, 1250], [0, 0], ())


# What is refused


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "nothing in it": ("t.csv", b"", "t.csv is empty: it needs a header and rows"),
    "nothing but blank lines": ("t.csv", b"\n\n", "t.csv is empty: it needs a header and rows"),
    "a header only": ("t.csv", csv(), "t.csv has no rows: name a file with transactions"),
    "empty JSON lines": ("t.jsonl", b"", "t.jsonl has no rows"),
    "no header": ("t.csv", csv(line(2), header=line(1)), "t.csv lacks column 'transaction_id'"),
    "a column less": (
        "t.csv",
        GOOD.replace(b"amount", b"price"),
        "lacks column 'amount' of contract 'ecommerce' (it has transaction_id, user_id, timestamp, price",
    ),
    "a column twice": ("t.csv", GOOD.replace(b"is_fraud", b"amount"), "t.csv has column 'amount' twice"),
    "only bad rows": (
        "t.csv",
        csv(*(line(n, amount="-1") for n in range(3)), line(4, place="")),
        "no valid transaction among 4 rows, most often for amount_negative (3): check that contract 'ecommerce'",
    ),
    "only torn rows": ("t.csv", csv("1,2", "3"), "among 2 rows, most often for torn_row (2)"),
    "other bytes": ("t.csv", GOOD.replace(b"Rome", b"R\xff\xfe"), "t.csv is not UTF-8: save it as UTF-8"),
    "an ending that says nothing": ("t.txt", GOOD, "t.txt is of no known format"),
    "a compressed file": ("t.csv.gz", gzip.compress(GOOD), "t.csv.gz is of no known format"),
    "a Parquet that is none": ("t.parquet", GOOD, "t.parquet cannot be read: "),
    "a Parquet of nothing": ("t.parquet", b"", "t.parquet cannot be read: "),
    "a Parquet cut short": ("t.parquet", b"PAR1" + b"\x00" * 100, "t.parquet cannot be read: "),
    "JSON that is not lines": ("t.jsonl", b'[\n{"a": 1}\n]', "no valid transaction among 3 rows"),
}


@pytest.mark.parametrize(("name", "data", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_is_no_table_stops_everything(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert sentence in refusal(tmp_path / name)


def test_a_damaged_page_in_parquet_stops_everything(tmp_path: Path) -> None:
    frame = pd.read_csv(BytesIO(csv(*(line(n, minute=n % 60) for n in range(500)))))
    frame.to_parquet(tmp_path / "t.parquet")
    data = bytearray((tmp_path / "t.parquet").read_bytes())
    data[20:400] = b"\x55" * 380
    (tmp_path / "t.parquet").write_bytes(bytes(data))
    assert "t.parquet cannot be read: " in refusal(tmp_path / "t.parquet")


def test_a_parquet_without_a_column_is_named_with_what_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"transaction_id": ["T1"]}), tmp_path / "t.parquet")
    assert "t.parquet lacks column 'timestamp'" in refusal(tmp_path / "t.parquet")


def test_text_that_is_not_utf8_in_parquet_is_refused(tmp_path: Path) -> None:
    columns = {name: pa.array([value]) for name, value in zip(COLUMNS.split(","), line(1).split(","), strict=True)}
    broken = pa.array([b"R\xff"]).view(pa.binary()).cast(pa.binary())
    columns["location"] = pa.Array.from_buffers(pa.string(), 1, broken.buffers())
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert "t.parquet" in refusal(tmp_path / "t.parquet")


def test_one_bad_file_among_good_ones_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(GOOD)
    (tmp_path / "b.parquet").write_bytes(b"x")
    assert "b.parquet cannot be read" in refusal(tmp_path)


def test_an_empty_table_is_still_an_answer_where_a_report_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(csv(line(1, amount="-1")))
    assert read_transactions(SHOP, [str(tmp_path / "t.csv")]).reasons() == {"amount_negative": 1}


@pytest.mark.parametrize(
    ("locations", "sentence"),
    [
        ([], "no transactions given"),
        (["nowhere.csv"], "there is no nowhere.csv: check the path"),
        (["empty"], "empty holds no .csv, .jsonl or .parquet file"),
        (["other"], "other holds no .csv, .jsonl or .parquet file"),
        (["ftp://host/t.csv"], "ftp://host/t.csv"),
        ([""], "there is no"),
    ],
    ids=str,
)
def test_a_place_without_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locations: Sequence[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    assert sentence in refusal(*locations)


@contextmanager
def somebody_else() -> Iterator[None]:
    """Root may read everything: for a while we are nobody."""
    me = os.geteuid()
    os.seteuid(65_534 if me == 0 else me)
    try:
        yield
    finally:
        os.seteuid(me)


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_what_may_not_be_read_is_named(closed: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        folder = Path(root) / "in"
        folder.mkdir()
        path = folder / "t.csv"
        path.write_bytes(GOOD)
        (path if closed == "file" else folder).chmod(0)
        with somebody_else():
            sentence = refusal(path)
        folder.chmod(0o755)
    assert sentence == f"no permission to read {path}: change its mode or its owner"


# Files as stream records


def sent(path: Path) -> list[tuple[str, dict[str, Any] | bytes]]:
    def shown(data: bytes) -> dict[str, Any] | bytes:
        try:
            return msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.DecodeError:
            return data

    return [(record.partition_key, shown(record.data)) for record in outgoing(SHOP, path)]


def as_jsonl(path: Path, frame: pd.DataFrame) -> None:
    frame.to_json(path, orient="records", lines=True)


WRITERS: dict[str, Callable[[Path, pd.DataFrame], None]] = {
    "csv": lambda path, frame: frame.to_csv(path, index=False),
    "parquet": lambda path, frame: frame.to_parquet(path),
    "jsonl": as_jsonl,
}


@pytest.mark.parametrize("ending", WRITERS)
def test_a_file_sent_to_the_stream_validates_to_what_it_validates_to_as_a_file(tmp_path: Path, ending: str) -> None:
    words = ["Rome", "NA", "null", "Zürich", "N/A"]
    rows = csv(*(line(n, place=word) for n, word in enumerate(words)))
    frame = pd.read_csv(BytesIO(rows), keep_default_na=False)
    path = tmp_path / f"t.{ending}"
    WRITERS[ending](path, frame)
    validator = Validator(SHOP)
    streamed = [validator.decode(record.data) for record in outgoing(SHOP, path)]
    loaded = [msgspec.structs.replace(t, label=None) for t in load_transactions(SHOP, [str(path)]).table.transactions()]
    assert streamed == loaded
    assert [record.partition_key for record in outgoing(SHOP, path)] == [t.entities[0] for t in loaded]


@pytest.mark.parametrize("ending", WRITERS)
def test_a_live_transaction_has_no_label(tmp_path: Path, ending: str) -> None:
    frame = pd.read_csv(BytesIO(GOOD))
    path = tmp_path / f"t.{ending}"
    WRITERS[ending](path, frame)
    records = [record for _, record in sent(path)]
    assert len(records) == len(frame) > 0
    assert [record for record in records if "is_fraud" in record] == []


def test_a_torn_row_is_sent_as_it_is_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(csv(line(1), "T2,U1", line(3)))
    records = sent(tmp_path / "t.csv")
    assert len(records) == 3
    assert (NO_KEY, b"T2,U1") in records
    outcomes = [Validator(SHOP).decode(record.data) for record in outgoing(SHOP, tmp_path / "t.csv")]
    assert sum(isinstance(outcome, Transaction) for outcome in outcomes) == 2
    assert [o.reason for o in outcomes if isinstance(o, Rejected)] == ["not_json"]


def test_bad_rows_are_sent_for_the_consumer_to_find(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(csv(line(1, amount="much"), line(2, place=""), line(3, user="")))
    records = sent(tmp_path / "t.csv")
    assert [record["amount"] for _, record in records] == ["much", 12.5, 12.5]  # type: ignore[call-overload]
    assert "location" not in records[1][1]


def test_json_lines_that_are_no_records_are_sent_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'{torn\n[]\n"x"\n\n{"user_id": 5}\n')
    assert [(record.partition_key, record.data) for record in outgoing(SHOP, tmp_path / "t.jsonl")] == [
        *((NO_KEY, b"{torn"), (NO_KEY, b"[]"), (NO_KEY, b'"x"'), ("5", b'{"user_id": 5}')),
    ]


def test_times_beyond_the_calendar_are_sent_as_text(tmp_path: Path) -> None:
    frame = pd.read_csv(BytesIO(GOOD))
    table = pa.Table.from_pandas(frame)
    index = table.column_names.index("timestamp")
    table = table.set_column(index, "timestamp", pa.array([2**62, 0, None], pa.timestamp("us", tz="UTC")))
    pq.write_table(table, tmp_path / "t.parquet")
    times = [record.get("timestamp") for _, record in sent(tmp_path / "t.parquet")]  # type: ignore[union-attr]
    assert times == ["148108-07-06T14:00:27.387904Z", "1970-01-01T00:00:00.000000Z", None]


def test_a_contract_of_other_columns_reads_them(tmp_path: Path) -> None:
    values = load_contract("cards").to_json()
    contract = contract_from({**values, "name": "mine"}, "test")
    (tmp_path / "t.csv").write_text(
        "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT\n1,2018-04-01 00:00:31,5,6,57.16\n"
    )
    (transaction,) = load_transactions(contract, [str(tmp_path / "t.csv")]).table.transactions()
    assert (transaction.entities, transaction.amount, transaction.label) == (("5", "6"), 5716, None)

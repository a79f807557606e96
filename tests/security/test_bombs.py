"""Small files that unpack to more than a machine holds are refused in a sentence, before they do."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudline.adapters.archive.label_files import load_labels
from fraudline.adapters.inputs import files
from fraudline.adapters.inputs.files import read_transactions
from fraudline.adapters.inputs.originals import originals
from fraudline.adapters.large.file_runs import land, units_of
from fraudline.adapters.storage import objects
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.adapters.stream.outgoing import outgoing
from fraudline.archive import decode_archive
from fraudline.contract import load_contract
from fraudline.erasure.files import tells_of
from fraudline.errors import BadInput, Tampered
from fraudline.transactions import parquet
from fraudline.transactions.table import from_transactions

SHOP = load_contract("ecommerce")
MEGABYTE = "x" * 2**20
ROWS = 10_000  # of a megabyte: ten gigabytes in a file of kilobytes
SMALL = 2**22


def bomb(path: Path, **columns: Any) -> Path:
    """A Parquet file of `ROWS` rows that are the same but for what is said; its texts are stored once."""
    same = {"transaction_id": "T1", "user_id": "U1", "timestamp": "2026-01-05T10:00:00Z", "amount": 1.0}
    same |= {"device_type": "mobile", "location": "Rome", "is_vpn": 0, "card_type": "debit", "is_fraud": 0}
    values = {name: columns.pop(name, value) for name, value in same.items()} | columns
    table = pa.table({name: _repeated(value) for name, value in values.items()})
    pq.write_table(table, path, use_dictionary=True, compression="zstd")
    assert path.stat().st_size < SMALL
    return path


def _repeated(value: Any) -> pa.Array:
    if isinstance(value, list):
        return pa.ListArray.from_arrays(pa.array(range(ROWS + 1), pa.int32()), _repeated(value[0]))
    return pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array([value]))


def peak(work: Callable[[], object]) -> int:
    """Bytes that Arrow and Python hold at most while `work` runs into its refusal."""
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match=r"unpacks to \d+ bytes or more, 4294967296 are allowed: split it"):
            work()
        return tracemalloc.get_traced_memory()[1] + pool.max_memory() - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("column", ["transaction_id", "location", "timestamp"])
def test_a_text_that_parquet_stores_once_is_not_unpacked_ten_thousand_times(column: str, tmp_path: Path) -> None:
    path = bomb(tmp_path / "t.parquet", **{column: MEGABYTE})
    assert peak(lambda: read_transactions(SHOP, [str(path)])) < 2**27


def test_lists_of_such_texts_are_no_way_around(tmp_path: Path) -> None:
    path = bomb(tmp_path / "t.parquet", location=[MEGABYTE])
    peak(lambda: read_transactions(SHOP, [str(path)]))


def test_a_bomb_in_a_column_that_nobody_reads_does_not_go_off_with_the_originals_of_bad_rows(tmp_path: Path) -> None:
    path = bomb(tmp_path / "t.parquet", amount=-1.0, note=MEGABYTE)
    peak(lambda: originals(str(path), set(range(ROWS))))
    assert originals(str(path), {5})[5].raw.count("x") == 2**20


def test_a_bomb_is_neither_sent_nor_taken_for_labels(tmp_path: Path) -> None:
    sent = bomb(tmp_path / "t.parquet", note=MEGABYTE)
    peak(lambda: list(outgoing(SHOP, sent)))
    labels = bomb(tmp_path / "l.parquet", transaction_id=MEGABYTE, label="1", known_at="2026-01-05T10:00:00Z")
    peak(lambda: load_labels([str(labels)], from_transactions(SHOP, [])))


def test_a_bomb_does_not_go_off_where_a_large_backfill_reads_or_an_erased_id_is_looked_for(tmp_path: Path) -> None:
    path = bomb(tmp_path / "t.parquet", location=MEGABYTE)
    (unit,) = units_of(SHOP, str(path), path, 0)
    with pytest.raises(BadInput, match=r"unpacks to \d+ bytes or more, 536870912 are allowed"):
        land(SHOP, unit, tmp_path)
    peak(lambda: tells_of("t.parquet", path.read_bytes(), "U123456"))


def test_more_numbers_than_memory_holds_are_refused_by_what_the_file_says_of_itself(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(parquet, "MAX_BYTES", SMALL)
    pq.write_table(pa.table({"n": pa.array([7] * 1_000_000, pa.int64())}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 10_000
    with pytest.raises(BadInput, match="unpacks to 8000000 bytes"):
        read_transactions(SHOP, [str(tmp_path / "t.parquet")])


def test_what_is_large_and_fits_is_read_as_ever(tmp_path: Path) -> None:
    landed = read_transactions(SHOP, [str(bomb(tmp_path / "t.parquet", note=MEGABYTE))])
    assert (landed.rows, len(landed.table), landed.duplicates) == (ROWS, 1, ROWS - 1)


def test_gzipped_zeroes_in_the_archive_are_not_unpacked_to_their_end() -> None:
    with pytest.raises(Tampered, match="unpacks to over 268435456 bytes"):
        decode_archive(gzip.compress(bytes(2**28 + 1), 1))


def packed(data: bytes) -> bytes:
    """Without the time: what a test is called after must be the same in all processes."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize("data", [b"", b"no gzip", packed(b"[]"), packed(b"x" * 1000)[:20], packed(b"x")[:-1] + b"?"])
def test_an_archive_that_is_damaged_is_said_in_a_sentence(data: bytes) -> None:
    with pytest.raises(Tampered, match="an object of the archive is none"):
        decode_archive(data)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_line_without_an_end_is_not_read_to_its_end(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / name).write_bytes(b"x" * 5000)
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 1000)
    for read in (lambda path: read_transactions(SHOP, [path]), lambda path: list(outgoing(SHOP, Path(path)))):
        with pytest.raises(BadInput, match="has a line of more than 1000 bytes"):
            read(str(tmp_path / name))


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_file_larger_than_memory_is_refused_by_its_size(name: str, tmp_path: Path) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(parquet.MAX_BYTES + 1)  # sparse: it takes no disk
    with pytest.raises(BadInput, match="unpacks to 4294967297 bytes or more"):
        read_transactions(SHOP, [str(tmp_path / name)])


def test_an_object_larger_than_memory_is_refused_by_its_size(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(objects, "MAX_OBJECT_BYTES", 10)
    FolderObjects(tmp_path).put("a", b"x" * 11)
    with pytest.raises(BadInput, match="'a' has 11 bytes, 10 are allowed"):
        FolderObjects(tmp_path).get("a")

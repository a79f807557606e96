"""Erased ids in values, texts and files: replaced where they are one, left alone where they only look like one."""

import base64
import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudline.contract import load_contract
from fraudline.erasure.files import rewritten, tells_of
from fraudline.erasure.people import Erased, Tombstone, keyed_hash, nobody
from fraudline.microbatch.batches import MicroBatches
from fraudline.stream import Batch, Intent, Record, Shard
from tests.stream.bundles import small_bundle

KEY = b"a key of thirty-two bytes or more"
CONTRACT = load_contract("ecommerce")
RECORD = {"transaction_id": "T1", "user_id": "U17", "amount": 12.5, "location": "Lyon"}


def erased(*ids: str, known: bool = False, entity: str = "user") -> Erased:
    tombstones = [Tombstone(keyed_hash(KEY, entity, id_), entity, f"erased-{n}", 0) for n, id_ in enumerate(ids)]
    return Erased(CONTRACT, KEY, tombstones, [(entity, id_) for id_ in ids] if known else ())


def test_nobody_is_erased_without_a_tombstone_and_the_batch_is_the_very_same() -> None:
    batch = Batch(Shard("s", 0, 1), (), Intent("1", 0, "v", 0))
    assert not nobody(CONTRACT)
    assert nobody(CONTRACT).batch(batch) is batch


def test_the_hash_needs_the_key_and_tells_entities_apart() -> None:
    told = {keyed_hash(KEY, "user", "U1"), keyed_hash(KEY, "card", "U1"), keyed_hash(KEY + b"!", "user", "U1")}
    assert len(told) == 3
    assert all(len(hash_) == 64 for hash_ in told)


@pytest.mark.parametrize("id_", ["U17", "17", "ann@example.org", "Ann Lee", 'a"quote', "Zoë", "4539148803436467"])
def test_an_id_of_any_kind_is_replaced_in_its_column(id_: str) -> None:
    people = erased(id_)
    assert json.loads(people.raw(json.dumps({**RECORD, "user_id": id_}).encode()))["user_id"] == "erased-0"


def test_a_number_is_an_id_only_where_ids_are() -> None:
    people = erased("17")
    record = {**RECORD, "user_id": 17, "transaction_id": "17", "amount": 17, "location": "17"}
    assert json.loads(people.raw(json.dumps(record).encode())) == {**record, "user_id": "erased-0"}


def test_escapes_hide_nobody() -> None:
    assert b"erased-0" in erased("U17").raw(b'{"user_id": "\\u0055\\u00317"}')


@pytest.mark.parametrize(
    "torn",
    [
        b'{"transaction_id": "T1", "user_id": "U17", "amou',
        b"T1,U17,2026-01-01,12.50,mobile",
        b"\xff\xfe U17 \x00",
        b"user#U17#0f3a",
        b"says U17.",
        b'["U17"]',
    ],
)
def test_bytes_that_do_not_parse_are_searched_word_by_word(torn: bytes) -> None:
    found = erased("U17").raw(torn)
    assert found == torn.replace(b"U17", b"erased-0")


def test_a_refused_records_key_is_searched_for_in_its_bytes_however_short() -> None:
    assert erased("17").raw(b"T9;17;12.50", partition_key="17") == b"T9;erased-0;12.50"


@pytest.mark.parametrize("other", ["U177", "XU17", "U17b", "u17"])
def test_nobody_elses_id_is_touched(other: str) -> None:
    torn = f'{{"user_id": "{other}", "amou'.encode()
    assert erased("U17").raw(torn) == torn
    assert erased("U17", known=True).raw(torn) == torn


def test_a_known_id_is_found_where_no_word_begins() -> None:
    assert erased("Ann Lee", known=True).text("(Ann Lee!)") == "(erased-0!)"


LINE = json.dumps({"position": "1", "record": RECORD}).encode()
REJECT = {"position": "1", "partition_key": "U17", "data": base64.b64encode(b'{"user_id": "U17", ').decode()}
FILES: dict[str, bytes] = {
    "archive/a.jsonl.gz": gzip.compress(b'{"shard": "s"}\n' + LINE + b"\n", mtime=0),
    "stream/a.jsonl": json.dumps(REJECT).encode() + b"\n",
    "quarantine/a.jsonl": json.dumps({"source": "a.csv", "raw": json.dumps(RECORD)}).encode() + b"\n",
    "quarantine/b.jsonl": json.dumps({"source": "b.csv", "header": "user_id,n", "raw": "U17,x"}).encode(),
    "files/a.csv": b'transaction_id,user_id,amount\r\nT1,U17,"1,5"\r\nT2,U18,2\r\ntorn,U17\r\n',
    "files/a.jsonl": json.dumps(RECORD).encode(),
    "reports/a.html": b"<td>U17</td>",
    "reports/a.json": json.dumps({"rows": [{"user": "U17"}]}).encode(),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_rewritten_once_and_tells_nothing_after(name: str) -> None:
    people, data = erased("U17"), FILES[name]
    after = rewritten(name, data, people)
    assert _plain(name, data) != _plain(name, after)
    assert "U17" not in _plain(name, after)
    assert "erased-0" in _plain(name, after)
    assert not tells_of(name, after, "U17")
    assert tells_of(name, data, "U17")
    assert rewritten(name, after, people) == after
    assert rewritten(name, data, erased("U99")) == data


def test_a_short_number_is_found_in_the_cells_of_a_refused_row() -> None:
    row = {"source": "b.csv", "header": "user_id,amount", "raw": "17,17"}
    assert erased("17").value(row) == {**row, "raw": "erased-0,17"}


def test_a_csv_keeps_its_other_bytes() -> None:
    after = rewritten("a.csv", FILES["files/a.csv"], erased("U17"))
    assert after == FILES["files/a.csv"].replace(b"U17", b"erased-0")


@pytest.mark.parametrize("values", [["U17", None, "U18", "U17"], [17, None, 18, 17]])
def test_parquet_keeps_rows_and_nulls_and_its_statistics_forget_too(values: list[Any]) -> None:
    id_ = str(values[0])
    sink = io.BytesIO()
    pq.write_table(pa.table({"user_id": values, "n": [17, 18, 19, 20]}), sink)
    after = rewritten("a.parquet", sink.getvalue(), erased(id_))
    table = pq.read_table(io.BytesIO(after))
    assert table["user_id"].to_pylist() == ["erased-0", None, str(values[2]), "erased-0"]
    assert table["n"].to_pylist() == [17, 18, 19, 20]
    assert b"U17" not in after
    assert rewritten("a.parquet", after, erased(id_)) == after


def test_an_erased_record_counts_under_the_pseudonym_in_the_shard_that_its_own_key_chose() -> None:
    record = {
        **RECORD, "timestamp": "2026-01-05T08:00:00Z", "device_type": "mobile", "is_vpn": 0, "card_type": "credit"
    }  # fmt: skip
    everything = Shard("s", 0, 2**128 - 1)
    shard = next(half for half in (Shard("s", 0, 2**127 - 1), Shard("s", 2**127, 2**128 - 1)) if half.owns("U17"))
    elsewhere = next(half for half in (Shard("s", 0, 2**127 - 1), Shard("s", 2**127, 2**128 - 1)) if half != shard)
    sent = Record("1", "1#s", "U17", 2**60, json.dumps(record).encode())
    batches = MicroBatches(small_bundle())

    def read(shard: Shard) -> Any:
        return batches.read(erased("U17").batch(Batch(shard, (sent,), Intent("1", 1, "v", 0))))

    assert [event.transaction.entities for event in read(everything).events] == [("erased-0",)]
    assert read(shard).events[0].record.data.count(b"erased-0") == 1
    assert read(elsewhere).refused[0].reason == "wrong_shard"


@given(
    forgotten=st.sets(st.sampled_from([("card", "C1"), ("card", "17"), ("terminal", "T1"), ("terminal", "17")])),
    card=st.sampled_from(["C1", "C2", "17"]),
    terminal=st.sampled_from(["T1", "T2", 17]),
    form=st.sampled_from(['{"CUSTOMER_ID": "%s", "TERMINAL_ID": "%s"}', "%s;%s;torn", "\xff%s %s"]),
)
def test_a_batch_that_is_begun_again_tells_what_it_told(
    forgotten: set[tuple[str, str]], card: str, terminal: str | int, form: str
) -> None:
    """Whoever finds the batch's archive object does the batch as it is by then once more."""
    tombstones = [Tombstone(keyed_hash(KEY, *who), who[0], f"erased-{n}", 0) for n, who in enumerate(sorted(forgotten))]
    people = Erased(load_contract("cards"), KEY, tombstones)
    sent = Record("1", "1#s", card, 0, (form % (card, terminal)).encode("latin-1"))
    once = people.batch(Batch(Shard("s", 0, 1), (sent,), Intent("1", 1, "v", 0)))
    assert people.batch(once) == once
    kept = people.refused(once, {"1#s"})
    assert people.refused(kept, {"1#s"}) == kept
    assert once.records[0].placed_by in ("", card)


def test_a_record_under_another_key_is_kept_as_it_came_but_for_the_id() -> None:
    torn = Record("1", "1#s", "unknown", 0, b'{"user_id": "U17", "am')
    batch = Batch(Shard("s", 0, 1), (torn,), Intent("1", 1, "v", 0))
    people = erased("U17")
    assert people.refused(batch, {"1#s"}).records[0].data == b'{"user_id": "erased-0", "am'
    assert people.refused(batch, set()).records[0] == torn


def _plain(name: str, data: bytes) -> str:
    if name.endswith(".gz"):
        data = gzip.decompress(data)
    if name.startswith("stream/"):
        data += base64.b64decode(json.loads(data)["data"])
    return data.decode()

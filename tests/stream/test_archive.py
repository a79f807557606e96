"""The archive is history: read back, it gives offline code what online code has seen, bit for bit."""

import random
import time
from pathlib import Path

import msgspec
import pytest

from fraudline.adapters.archive.reading import read_archive
from fraudline.adapters.storage.objects import FolderObjects, open_objects
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.slices import run_slice
from fraudline.archive import Account, Row, decode_archive, encode_archive
from fraudline.contract import Contract, load_contract
from fraudline.decision import pack
from fraudline.features.offline import offline_features
from fraudline.settings import Settings
from fraudline.transactions.validation import Validator
from tests.stream.conftest import Send
from tests.stream.events import dirty_events, transaction
from tests.stream.storage import stored
from tests.stream.worker import Orders, deps_of

ECOMMERCE = load_contract("ecommerce")


def account(rows: int, built_through: int | None = None) -> Account:
    return Account("s", "1#s", "9#s", "v", 0, built_through, rows, rows, (), (), ())


def archived(folder: FolderObjects, name: str, rows: list[Row]) -> None:
    folder.put(f"archive/2026-01-05/s/{name}.jsonl.gz", encode_archive(account(len(rows)), rows))


def row(number: int, time: int, **changes: object) -> Row:
    record = msgspec.json.encode(transaction(number, "U1", time, random.Random(number), **changes))
    return Row(f"{number:04d}#s", 0, time, msgspec.Raw(record))


def test_features_computed_over_the_archive_are_the_recorded_ones(resources: Settings, send: Send) -> None:
    send(dirty_events(300, users=20))
    run_slice(deps_of(resources, Orders("w")), Limits(batch_records=30))
    landed = read_archive(open_objects(f"s3://{resources.landing_bucket}"), ECOMMERCE)
    features = offline_features(landed.table)
    recorded = {id_: bytes(d["features"].value) for id_, d in stored(resources).decisions.items()}
    assert {id_: pack(features[i]) for i, id_ in enumerate(landed.table.ids.to_pylist())} == recorded
    assert (landed.rows, landed.rejects) == (300, ())


def test_an_archive_object_comes_back_as_it_was() -> None:
    rows = [row(1, 5), Row("0002#s", 7, 8, msgspec.Raw(b'{\n"a":\r\n 1}'))]
    back = decode_archive(encode_archive(account(2, 3_600_000_000), rows))
    assert back.account == account(2, 3_600_000_000)
    assert [(r.position, r.arrived_at, r.effective_time) for r in back.rows] == [("0001#s", 0, 5), ("0002#s", 7, 8)]
    assert [msgspec.json.decode(r.record) for r in back.rows][1] == {"a": 1}


def test_equal_batches_have_equal_bytes() -> None:
    first = encode_archive(account(1), [row(1, 5)])
    time.sleep(1.1)
    assert encode_archive(account(1), [row(1, 5)]) == first


def test_rows_come_in_the_order_in_which_they_counted(tmp_path: Path) -> None:
    folder = FolderObjects(str(tmp_path))
    base = 1_767_600_000_000_000
    archived(folder, "b", [row(3, base + 50), row(4, base + 50)])
    archived(folder, "a", [row(1, base + 99), row(2, base + 99)])
    table = read_archive(folder, ECOMMERCE).table
    assert table.ids.to_pylist() == ["t000003", "t000004", "t000001", "t000002"]
    assert table.source_row.tolist() == [2, 3, 0, 1]


@pytest.mark.parametrize(
    "odd",
    [
        {"transaction_id": 17},
        {"transaction_id": "2026-01-01"},
        {"location": "2026-01-01T00:00:00Z"},
        {"is_vpn": True},
        {"amount": 12},
        {"extra": {"deep": [1, "2"]}},
        {"is_fraud": None},
        {"location": "Zürich 东京"},
        {"status": "pending"},
    ],
)
def test_odd_but_valid_records_are_read_as_they_were_scored(tmp_path: Path, odd: dict[str, object]) -> None:
    folder = FolderObjects(str(tmp_path))
    rows = [row(1, 1_767_600_000_000_000), row(2, 1_767_600_000_000_001, **odd)]
    archived(folder, "a", rows)
    expected = [_decoded(ECOMMERCE, r) for r in rows]
    assert list(read_archive(folder, ECOMMERCE).table.transactions()) == expected


def _decoded(contract: Contract, archived_row: Row) -> object:
    return Validator(contract).decode(bytes(archived_row.record))


def test_what_a_changed_contract_refuses_is_told_apart(tmp_path: Path) -> None:
    folder = FolderObjects(str(tmp_path))
    archived(folder, "a", [row(1, 1_767_600_000_000_000), row(2, 1_767_600_000_000_001, device_type="fridge")])
    landed = read_archive(folder, ECOMMERCE)
    assert landed.table.ids.to_pylist() == ["t000001"]
    assert [(reject.source, reject.row, reject.reason) for reject in landed.rejects] == [
        ("0002#s", 1, "category_unknown")
    ]


def test_days_are_read_alone(tmp_path: Path) -> None:
    folder = FolderObjects(str(tmp_path))
    archived(folder, "a", [row(1, 1_767_600_000_000_000)])
    assert len(read_archive(folder, ECOMMERCE, "2026-01-05").table) == 1
    assert len(read_archive(folder, ECOMMERCE, "2026-01-06").table) == 0

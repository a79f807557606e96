"""What has landed, in one table: what a retrain as of a day may see of it."""

from pathlib import Path

import msgspec
import pytest

from fraudline.adapters.archive.history import load_history
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.archive import Account, Row, encode_archive
from fraudline.clock import format_micros, parse_timestamp
from fraudline.contract import load_contract
from fraudline.durations import DAY, HOUR
from fraudline.errors import NotReady
from fraudline.features.offline import offline_features
from fraudline.training.publishing import fingerprint
from fraudline.transactions.landed import Landed

ECOMMERCE = load_contract("ecommerce")
AS_OF = parse_timestamp("2026-01-10T00:00:00Z", "UTC")


def payment(number: int, timestamp: int) -> dict[str, object]:
    return {
        "transaction_id": f"t{number}", "user_id": "U1", "timestamp": format_micros(timestamp), "amount": 10.0,
        "device_type": "mobile", "location": "NYC", "is_vpn": False, "card_type": "credit",
    }  # fmt: skip


def archive(folder: Path, name: str, scored_at: int, *rows: tuple[int, int, int]) -> None:
    """A batch of payments: number, timestamp and time of arrival of each."""
    lines = tuple(
        Row(f"{number:056}#s", arrived_at, timestamp, msgspec.Raw(msgspec.json.encode(payment(number, timestamp))))
        for number, timestamp, arrived_at in rows
    )
    account = Account("s", "1", "9", "v", scored_at, None, len(rows), len(rows), (), (), ())
    FolderObjects(folder).put(f"archive/{name}.jsonl.gz", encode_archive(account, lines))


def as_of(folder: Path) -> Landed:
    return load_history(ECOMMERCE, FolderObjects(folder), {}, AS_OF, known_before=AS_OF)


def test_a_retrain_as_of_a_day_is_the_same_whatever_comes_late_afterwards(tmp_path: Path) -> None:
    """Of an hour before the day, a record that arrives two days after it; one that waited that long in the stream."""
    archive(tmp_path, "2026-01-09/a/1-2", AS_OF - HOUR, (1, AS_OF - 3 * HOUR, AS_OF - 3 * HOUR))
    archive(tmp_path, "2026-01-09/z/1-2", AS_OF - 1, (4, AS_OF - HOUR, AS_OF - HOUR))
    before = as_of(tmp_path)
    late, waited = (2, AS_OF - HOUR, AS_OF + 2 * DAY), (3, AS_OF - HOUR, AS_OF - HOUR)
    archive(tmp_path, "2026-01-12/a/3-4", AS_OF + 2 * DAY, late)
    archive(tmp_path, "2026-01-09/a/5-6", AS_OF + 2 * DAY, waited)
    after = as_of(tmp_path)
    assert after.rows == before.rows == 2
    assert fingerprint(after.table) == fingerprint(before.table)
    assert (offline_features(after.table) == offline_features(before.table)).all()
    # What was left out lies between them: numbers still tell where a row stands.
    places = after.places(after.table.source_row)
    assert [name.removeprefix(f"{tmp_path}/archive/2026-01-09/") for name, _ in places] == [
        "a/1-2.jsonl.gz",
        "z/1-2.jsonl.gz",
    ]
    everything = load_history(ECOMMERCE, FolderObjects(tmp_path), {}, AS_OF).table
    assert sorted(everything.ids.to_pylist()) == ["t1", "t2", "t3", "t4"]


def test_where_all_came_later_nothing_had_landed_by_then(tmp_path: Path) -> None:
    archive(tmp_path, "2026-01-12/s/1-2", AS_OF + DAY, (1, AS_OF - HOUR, AS_OF + DAY))
    with pytest.raises(NotReady, match=r"nothing has landed in .* by then"):
        as_of(tmp_path)

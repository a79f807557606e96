"""A window of the stream's archive: its account is that of its batches, and earlier weeks say what is usual."""

from pathlib import Path

import msgspec
import pytest

from expectations import load_suite
from fraudline.adapters.archive.window import landed_window
from fraudline.adapters.storage.objects import FolderObjects, Objects
from fraudline.archive import Account, Refusal, Row, encode_archive
from fraudline.clock import format_day, parse_timestamp
from fraudline.contract import Contract
from fraudline.durations import DAY, HOUR, MINUTE
from fraudline.quality.check import check
from fraudline.transactions.transaction import Problem

NOON = parse_timestamp("2026-03-02T12:00:00Z", "UTC")
WEEK = 7 * DAY


@pytest.fixture
def landing(tmp_path: Path) -> Objects:
    return FolderObjects(tmp_path)


def archive(
    landing: Objects, at: int, rows: int, refused: int = 0, duplicates: int = 0, decided: int | None = None
) -> None:
    """One batch of `rows` users' first transactions, that arrived at `at` and was decided then or at `decided`."""
    account = Account(
        shard="s", first=f"{at}", last=f"{at + rows}", model_version="v", scored_at=decided or at,
        built_through=None,
        read=rows + refused + duplicates, scored=rows, duplicates=tuple(f"d{n}" for n in range(duplicates)),
        refused=tuple(Refusal(f"r{n}", (Problem("amount", "amount_missing", "is missing"),)) for n in range(refused)),
        alerts=(),
    )  # fmt: skip
    record = {
        "timestamp": "2026-03-02T12:00:00Z", "amount": 12.5, "device_type": "mobile", "location": "Nice",
        "is_vpn": 0, "card_type": "debit",
    }  # fmt: skip
    lines = (
        Row(f"{at + n:056d}#s", at, at,
            msgspec.Raw(msgspec.json.encode({**record, "transaction_id": f"t{at}-{n}", "user_id": f"U{n}"})))
        for n in range(rows)
    )  # fmt: skip
    landing.put(f"archive/{format_day(at)}/s/{at}-{at + rows}.jsonl.gz", encode_archive(account, lines))


def test_the_account_of_a_window_is_the_sum_of_the_batches_decided_in_it(contract: Contract, landing: Objects) -> None:
    archive(landing, NOON - 61 * MINUTE, rows=50)
    archive(landing, NOON - 60 * MINUTE, rows=10, refused=2, duplicates=1)
    archive(landing, NOON - 1, rows=20, refused=1)
    archive(landing, NOON, rows=70)
    landed, context = landed_window(contract, landing, NOON - HOUR, NOON, DAY)
    assert (landed.rows, len(landed.table), len(landed.rejects), landed.duplicates) == (34, 30, 3, 1)
    assert landed.reasons() == {"amount_missing": 3}
    assert (context.as_of, context.usual_rows, context.earlier) == (NOON, 0.0, None)


def test_after_an_outage_the_backlog_is_judged_in_the_hour_it_was_decided_in(
    contract: Contract, landing: Objects
) -> None:
    """However long it had waited in the stream; beside what was decided in time, before and after."""
    archive(landing, NOON - 8 * DAY, rows=90)
    for days in range(7, -1, -1):
        archive(landing, NOON - days * DAY - 30 * MINUTE, rows=10, decided=NOON - 10 * MINUTE - days)
    archive(landing, NOON - 5 * MINUTE, rows=70, decided=NOON + MINUTE)
    landed, _ = landed_window(contract, landing, NOON - HOUR, NOON, 8 * DAY)
    assert (landed.rows, len(landed.table), len(landed.sources)) == (80, 80, 8)


def test_few_batches_are_read_to_find_an_hour_among_days(contract: Contract, tmp_path: Path) -> None:
    landing = Counting(tmp_path)
    for minutes in range(0, 7 * 24 * 60, 15):
        archive(landing, NOON - minutes * MINUTE, rows=1)
    landed, _ = landed_window(contract, landing, NOON - HOUR, NOON, 7 * DAY)
    assert landed.rows == 4
    assert landing.reads < 100


class Counting(FolderObjects):
    """Counts what is read."""

    reads = 0

    def get(self, key: str) -> bytes:
        self.reads += 1
        return super().get(key)


def test_a_collapse_against_the_same_hour_of_earlier_weeks_is_named(contract: Contract, landing: Objects) -> None:
    for week in range(1, 5):
        archive(landing, NOON - week * WEEK - 30 * MINUTE, rows=400 + week)
        archive(landing, NOON - week * WEEK + 30 * MINUTE, rows=9)
    archive(landing, NOON - 30 * MINUTE, rows=40)
    landed, context = landed_window(contract, landing, NOON - HOUR, NOON, DAY)
    assert context.usual_rows == 402.5
    result = check(landed, contract, "landed", load_suite(contract, "landed"), context)
    assert "volume is as in earlier weeks" in [outcome.name for outcome in result.critical_failures]
    assert result.measures["volume_ratio"] == pytest.approx(40 / 402.5)


def test_a_day_knows_who_was_seen_before_it(contract: Contract, landing: Objects) -> None:
    midnight = NOON // DAY * DAY
    archive(landing, midnight - 8 * DAY, rows=100)
    archive(landing, midnight + HOUR, rows=250)
    landed, context = landed_window(contract, landing, midnight, midnight + DAY, DAY)
    assert context.earlier is not None
    assert len(context.earlier) == 100
    assert len(landed.table) == 250


def test_an_empty_hour_is_a_failure_only_where_hours_like_it_are_not(contract: Contract, landing: Objects) -> None:
    def judged() -> list[str]:
        landed, context = landed_window(contract, landing, NOON - HOUR, NOON, DAY)
        result = check(landed, contract, "landed", load_suite(contract, "landed"), context)
        return [outcome.name for outcome in result.critical_failures]

    assert judged() == []
    archive(landing, NOON - WEEK - 30 * MINUTE, rows=400)
    assert judged() == ["there are transactions"]

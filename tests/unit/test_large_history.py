"""All that has landed, worked on disk in parts, gives the very bytes that it gives as one table in memory."""

import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import structs

from fraudline.adapters.archive import reading as archive
from fraudline.adapters.archive.builds import record_build
from fraudline.adapters.archive.history import landed_keys, load_history
from fraudline.adapters.archive.reading import EVER
from fraudline.adapters.aws.clients import client
from fraudline.adapters.large import archive_runs, file_runs, shuffle
from fraudline.adapters.large import landing as large_landing
from fraudline.adapters.large.backfill import shuffled
from fraudline.adapters.large.build import LargeBuild
from fraudline.adapters.large.compact_verdicts import CompactVerdicts
from fraudline.adapters.large.days import LargeLanding
from fraudline.adapters.large.landing import landing_of, read_history
from fraudline.adapters.large.shuffle import scratch_beside
from fraudline.adapters.large.workers import Workers, dask_cluster
from fraudline.adapters.storage.objects import FolderObjects, open_objects
from fraudline.archive import Account, Row, encode_archive
from fraudline.backfill.past import PastInMemory
from fraudline.clock import day_start, format_day, format_micros, parse_timestamp
from fraudline.contract import Contract, load_contract
from fraudline.durations import DAY, HOUR, MINUTE, floor_hour
from fraudline.erasure.files import pseudonyms, with_pseudonyms
from fraudline.erasure.people import Erased, Tombstone, keyed_hash
from fraudline.errors import Tampered
from fraudline.labels import Verdict
from fraudline.materializing import build_lagged
from fraudline.profiles import encode_history
from fraudline.transactions.landed import Landed
from tests.realtime.bundles import bundle_files
from tests.unit.test_large_backfill import bundle_of, cluster, contents, silent, write

BEGIN, END = day_start(date(2026, 1, 5)), day_start(date(2026, 1, 20))
WINDOW = (day_start(date(2026, 1, 11)), day_start(date(2026, 1, 17)))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that a thousand rows are many runs, units and partitions."""
    monkeypatch.setattr(shuffle, "PARTITION_ROWS", 200)
    monkeypatch.setattr(file_runs, "RUN_ROWS", 90)
    monkeypatch.setattr(archive, "_ROWS", 60)
    monkeypatch.setattr(archive_runs, "RUN_ROWS", 40)
    monkeypatch.setattr(large_landing, "ROWS_AT_ONCE", 150)


@pytest.fixture
def threads() -> Iterator[Workers]:
    with ThreadPoolExecutor(2) as pool:
        yield Workers(pool, 2)


@dataclass
class Shop:
    """What lands at a shop: batches of two shards, files of before and of the same time, builds, and verdicts."""

    contract: Contract
    landing: FolderObjects
    rng: random.Random
    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
    sequence: int = 0
    last: dict[str, int] = field(default_factory=dict)
    built_through: int | None = None
    archived: list[dict[str, Any]] = field(default_factory=list)

    def record(self, id_: str, time: int) -> dict[str, Any]:
        rng = self.rng
        user = f"U{rng.randrange(25)}"
        if self.contract.name == "cards":
            return {
                "TRANSACTION_ID": id_, "TX_DATETIME": format_micros(time), "CUSTOMER_ID": user,
                "TERMINAL_ID": f"T{rng.randrange(6)}", "TX_AMOUNT": round(rng.choice([20, 30, 400]) * rng.random(), 2),
            }  # fmt: skip
        return {
            "transaction_id": id_, "user_id": user, "timestamp": format_micros(time),
            "amount": round(rng.choice([20, 30, 400]) * rng.random(), 2),
            "device_type": rng.choice(["mobile", "desktop"]), "location": rng.choice(["NYC", "Oslo"]),
            "is_vpn": rng.random() < 0.2, "card_type": "credit",
        }  # fmt: skip

    def batch(self, now: int, records: Sequence[dict[str, Any]]) -> None:
        """Scored at `now`: each record counts no earlier than its entity's last."""
        time, entity = self.contract.timestamp.column, self.contract.entities[0].column
        rows = []
        for record in records:
            self.sequence += self.rng.randrange(1, 4)
            at = parse_timestamp(record[time], "UTC")
            effective = self.last[record[entity]] = max(at, self.last.get(record[entity], at))
            shard = f"shardId-00000000000{int(record[entity][1:]) % 2}"
            rows.append(Row(f"{self.sequence:056d}#{shard}", now, effective, msgspec.Raw(msgspec.json.encode(record))))
            self.archived.append(record)
        account = Account(
            shard, rows[0].position, rows[-1].position, "v", now, self.built_through, len(rows), len(rows), (), (), ()
        )
        # Names tell nothing of the order in which batches counted.
        name = f"archive/{format_day(now)}/{shard}/{self.rng.randrange(10**6)}-{self.sequence}.jsonl.gz"
        self.landing.put(name, encode_archive(account, rows))

    def file(self, name: str, records: Sequence[dict[str, Any]]) -> None:
        label = self.contract.label.column
        lines = [json.dumps(r | ({label: self.rng.randrange(2)} if self.rng.random() < 0.8 else {})) for r in records]
        self.landing.put(f"files/{name}.jsonl", "\n".join(lines).encode())

    def build(self, through: int) -> None:
        record_build(self.landing, through, landed_keys(self.landing))
        self.built_through = through

    def say(self, id_: str, known_at: int) -> None:
        missed_by = self.built_through or 0
        given = Verdict(self.rng.choice([1, 1, 0, -1]), known_at, "ann", missed_by=missed_by)
        self.verdicts.setdefault(id_, []).append(given)


def shop_of(name: str, folder: Path, seed: int, with_files: bool = True) -> Shop:
    """Two weeks: late records, ids that came for two people, files that overlap with each other and the archive."""
    rng = random.Random(seed)
    shop = Shop(load_contract(name), FolderObjects(folder), rng)
    id_column = shop.contract.id.column
    before = [shop.record(f"f{i}", BEGIN - rng.randrange(20 * DAY) // MINUTE * MINUTE) for i in range(200)]
    if with_files:
        shop.file("b", before[:120])
        shop.file("a", [*before[100:], before[3] | {id_column: "f7"}])
    number = 0
    for now in range(BEGIN, END, 5 * HOUR):
        count = rng.randrange(1, 14)
        records = [
            shop.record(f"t{number + i}", now - rng.choice([0, 0, 0, 3 * HOUR, 2 * DAY]) - rng.randrange(3) * HOUR)
            for i in range(count)
        ]
        number += count
        if rng.random() < 0.2:
            # For somebody else, under an id that has been counted.
            records.append(shop.record(rng.choice(shop.archived or records)[id_column], now))
        shop.batch(now, records)
        if shop.contract.lagged_entities and rng.random() < 0.5:
            shop.build(now // HOUR * HOUR)
        if rng.random() < 0.5:
            shop.say(rng.choice(shop.archived)[id_column], now + rng.randrange(3 * DAY))
            shop.say(f"f{rng.randrange(220)}", now)
        if with_files and rng.random() < 0.1:
            some = rng.sample(shop.archived, min(len(shop.archived), 20))
            unseen = [shop.record(f"g{number}-{i}", now - i * HOUR) for i in range(5)]
            shop.file(f"{rng.randrange(1000):04}", [*some, *unseen])
    return shop


def in_memory(shop: Shop) -> Landed:
    return load_history(shop.contract, shop.landing, shop.verdicts, WINDOW[1])


def landed(shop: Shop, scratch: Path, workers: Workers) -> LargeLanding:
    parts = read_history(shop.contract, shop.landing, scratch, workers, silent)
    verdicts = CompactVerdicts.of(shop.verdicts.items(), WINDOW[1])
    return landing_of(shop.contract, parts, workers, None, verdicts, WINDOW[1])


@pytest.mark.parametrize(("seed", "with_files"), [(1, True), (2, True), (3, False)])
@pytest.mark.parametrize("name", ["ecommerce", "cards"])
def test_what_has_landed_gives_the_bytes_of_one_table(
    name: str, seed: int, with_files: bool, threads: Workers, tmp_path: Path
) -> None:
    shop = shop_of(name, tmp_path / "landing", seed, with_files)
    bundle = bundle_of(bundle_files(name))
    whole = in_memory(shop)
    assert whole.duplicates > 50 or not with_files
    expected = PastInMemory.of(whole.table, *WINDOW, bundle)
    write(expected, bundle, tmp_path / "memory")
    with scratch_beside(tmp_path / "disk") as scratch:
        landing = landed(shop, scratch, threads)
        assert (landing.rows, landing.duplicates) == (whole.rows, whole.duplicates)
        assert landing.sources == whole.sources
        told = [(r.source, r.row, r.problems) for r in landing.rejects]
        assert sorted(told) == sorted((r.source, r.row, r.problems) for r in whole.rejects)
        assert len(landing.repeated.undecided) > 0
        past = shuffled(shop.contract, landing, WINDOW, bundle, lambda ids, entity: ids, scratch, threads, silent)
        assert past.shuffle.partitions > 1
        assert past.partitions == expected.partitions
        write(past, bundle, tmp_path / "disk")
        for ours, theirs in zip(
            replace(past, with_features=True).score(past.partitions),
            replace(expected, with_features=True).score(expected.partitions),
            strict=True,
        ):
            assert ours.features is not None
            assert theirs.features is not None
            assert ours.features.tobytes() == theirs.features.tobytes()
            for column in ("label", "known_at", "effective_time", "timestamp", "built_through"):
                mine, other = getattr(ours.table, column), getattr(theirs.table, column)
                assert (mine is None) == (other is None)
                assert mine is None or mine.tolist() == other.tolist()
    assert contents(tmp_path / "disk") == contents(tmp_path / "memory")
    assert len(contents(tmp_path / "disk")) == 8


def test_erased_people_are_one_person_each_whatever_name_their_rows_have(threads: Workers, tmp_path: Path) -> None:
    shop = shop_of("ecommerce", tmp_path / "landing", 4)
    bundle = bundle_of(bundle_files("ecommerce"))
    erased = Erased(shop.contract, b"k" * 32, [Tombstone(keyed_hash(b"k" * 32, "user", "U3"), "user", "U7", 1)])
    whole = with_pseudonyms(in_memory(shop).table, erased)
    write(PastInMemory.of(whole, *WINDOW, bundle), bundle, tmp_path / "memory")
    with scratch_beside(tmp_path / "disk") as scratch:
        landing = landed(shop, scratch, threads)
        rename = partial(pseudonyms, erased=erased)
        write(
            shuffled(shop.contract, landing, WINDOW, bundle, rename, scratch, threads, silent),
            bundle,
            tmp_path / "disk",
        )
    assert contents(tmp_path / "disk") == contents(tmp_path / "memory")
    assert pq.read_table(tmp_path / "disk" / "all.parquet")["user"].to_pylist().count("U3") == 0


def test_what_a_contract_refuses_of_the_archive_is_told_by_position(threads: Workers, tmp_path: Path) -> None:
    shop = shop_of("ecommerce", tmp_path / "landing", 5, with_files=False)
    strict = structs.replace(shop.contract, amount=structs.replace(shop.contract.amount, max=300))
    whole = load_history(strict, shop.landing, {}, WINDOW[1])
    (tmp_path / "scratch").mkdir()
    parts = read_history(strict, shop.landing, tmp_path / "scratch", threads, silent)
    landing = landing_of(strict, parts, threads)
    assert sorted(landing.rejects, key=lambda r: r.row) == sorted(whole.rejects, key=lambda r: r.row)
    assert len(landing.rejects) > 5
    assert landing.rejects[0].raw.startswith("{")
    assert not list((tmp_path / "scratch").glob("batch-*"))


def test_a_damaged_batch_is_named(threads: Workers, tmp_path: Path) -> None:
    shop = shop_of("ecommerce", tmp_path / "landing", 6, with_files=False)
    key = list(shop.landing.list("archive/"))[20]
    shop.landing.put(key, shop.landing.get(key)[:-30])
    with pytest.raises(Tampered, match=rf"^{shop.landing.location}/{key}: an object of the archive is none"):
        read_history(shop.contract, shop.landing, tmp_path, threads, silent)


def test_verdicts_in_columns_are_those_of_the_store(tmp_path: Path) -> None:
    given = {f"t{i}": [Verdict(i % 2, 10 + j, "ann", missed_by=j) for j in range(i % 4)] for i in range(50)}
    compact = CompactVerdicts.of(given.items(), as_of=11)
    found = compact.on(pa.array([f"t{i}" for i in range(60)]))
    assert found == {
        id_: [replace_by(verdict) for verdict in verdicts if verdict.known_at <= 11]
        for id_, verdicts in given.items()
        if verdicts
    }
    assert CompactVerdicts.of([], 11).on(pa.array(["t1"])) == {}


def replace_by(verdict: Verdict) -> Verdict:
    """Nobody asks who it was."""
    return structs.replace(verdict, by="")


def test_a_cluster_that_knows_no_aws_gives_the_bytes_of_one_table(aws: object, unique: str, tmp_path: Path) -> None:
    shop = shop_of("cards", tmp_path / "landing", 7)
    bundle = bundle_of(bundle_files("cards"))
    write(PastInMemory.of(in_memory(shop).table, *WINDOW, bundle), bundle, tmp_path / "memory")
    client("s3").create_bucket(Bucket=unique)
    bucket = open_objects(f"s3://{unique}")
    for key in shop.landing.list():
        bucket.put(key, shop.landing.get(key))
    with cluster(tmp_path) as address, dask_cluster(address) as workers, scratch_beside(tmp_path / "disk") as scratch:
        parts = read_history(shop.contract, bucket, scratch, workers, silent)
        verdicts = CompactVerdicts.of(shop.verdicts.items(), WINDOW[1])
        landing = landing_of(shop.contract, parts, workers, None, verdicts, WINDOW[1])
        past = shuffled(shop.contract, landing, WINDOW, bundle, lambda ids, entity: ids, scratch, workers, silent)
        write(past, bundle, tmp_path / "disk")
    assert contents(tmp_path / "disk") == contents(tmp_path / "memory")


@pytest.mark.parametrize(("seed", "with_files"), [(1, True), (2, False)])
def test_lagged_entities_are_built_as_from_one_table(
    seed: int, with_files: bool, threads: Workers, tmp_path: Path
) -> None:
    shop = shop_of("cards", tmp_path / "landing", seed, with_files)
    through = floor_hour(END)
    whole = load_history(shop.contract, shop.landing, shop.verdicts, EVER).table
    expected = build_lagged(whole, through, through - 5 * HOUR)
    assert len(expected) == 6
    assert any(history.labels for history in expected.values())
    with scratch_beside(tmp_path / "build") as scratch:
        parts = read_history(shop.contract, shop.landing, scratch, threads, silent)
        landing = landing_of(shop.contract, parts, threads, None, CompactVerdicts.of(shop.verdicts.items(), EVER), EVER)
        build = LargeBuild(shop.contract, landing, lambda ids, entity: ids, scratch, threads, silent)
        built = build(through, through - 5 * HOUR)
    assert build.rows == len(whole)
    assert built.keys() == expected.keys()
    assert {key: encode_history(history) for key, history in built.items()} == {
        key: encode_history(history) for key, history in expected.items()
    }

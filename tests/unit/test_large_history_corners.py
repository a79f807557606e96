"""Corners of what has landed that a random search over shops found, or that only one of the two ways had."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fraudline.adapters.backfill.before import DiffTarget, SameFeatures
from fraudline.adapters.large import archive_runs
from fraudline.adapters.large.archive_runs import ArchiveCopies, land_archive
from fraudline.adapters.large.backfill import PastOnDisk, shuffled
from fraudline.adapters.large.days import LargeLanding
from fraudline.adapters.large.landing import read_history
from fraudline.adapters.large.repeated_ids import Copied, RepeatedIds
from fraudline.adapters.large.runs import Run
from fraudline.adapters.large.shuffle import empty, scratch_beside
from fraudline.adapters.large.spill_files import write_batches
from fraudline.adapters.large.workers import Workers
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.backfill.past import PastInMemory
from fraudline.contract import load_contract
from fraudline.durations import DAY, HOUR
from fraudline.errors import BadInput
from tasks.backfilling import score_days
from tests.realtime.bundles import bundle_files
from tests.unit.test_large_backfill import bundle_of, silent
from tests.unit.test_large_history import WINDOW, Shop, in_memory, landed

SHOP = load_contract("ecommerce")
BUNDLE = bundle_of(bundle_files("ecommerce"))


@pytest.fixture
def threads() -> Iterator[Workers]:
    with ThreadPoolExecutor(2) as pool:
        yield Workers(pool, 2)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Nothing has landed yet."""
    return Shop(SHOP, FolderObjects(tmp_path / "landing"), random.Random(1))


def one_table(shop: Shop, window: tuple[int, int] = WINDOW) -> PastInMemory:
    return PastInMemory.of(in_memory(shop).table, *window, BUNDLE)


def on_disk(shop: Shop, scratch: Path, workers: Workers, window: tuple[int, int] = WINDOW) -> PastOnDisk:
    landing = landed(shop, scratch, workers)
    return shuffled(shop.contract, landing, window, BUNDLE, lambda ids, entity: ids, scratch, workers, silent)


def test_a_verdict_on_a_row_of_a_file_tells_when_its_label_was_known(
    shop: Shop, threads: Workers, tmp_path: Path
) -> None:
    shop.file("a", [shop.record(f"f{hour}", WINDOW[0] + hour * HOUR) for hour in range(40)])
    shop.say("f7", WINDOW[0] + DAY)
    expected = one_table(shop)
    with scratch_beside(tmp_path / "disk") as scratch:
        past = on_disk(shop, scratch, threads)
        known = [day.table.known_at.tolist() for day in past.score(past.partitions)]
    assert known == [day.table.known_at.tolist() for day in expected.score(expected.partitions)]
    assert known[0][7] == WINDOW[0] + DAY


def test_a_day_of_nothing_but_ids_that_counted_before_has_no_decisions(
    shop: Shop, threads: Workers, tmp_path: Path
) -> None:
    for day, user in ((0, "U1"), (1, "U2")):
        now = WINDOW[0] + day * DAY
        shop.batch(now, [shop.record("t1", now) | {"user_id": user}])
    with scratch_beside(tmp_path / "disk") as scratch:
        for past in (one_table(shop), on_disk(shop, scratch, threads)):
            diff = DiffTarget(SameFeatures(BUNDLE))
            done = score_days(replace(past, with_features=True), past.partitions, [diff])
            assert [(day.day, day.transactions) for day in done] == [("2026-01-11", 1), ("2026-01-12", 0)]
            assert done[1].alerts == 0


def test_a_unit_is_worked_again_where_a_cluster_has_lost_who_worked_it(shop: Shop, tmp_path: Path) -> None:
    shop.batch(WINDOW[0], [shop.record(f"t{number}", WINDOW[0]) for number in range(5)])
    copies = ArchiveCopies(shop.landing, tmp_path)
    (unit,) = copies.units()
    landed_once = land_archive(SHOP, unit, tmp_path)
    assert land_archive(SHOP, unit, tmp_path) == landed_once
    copies.has_read(landed_once)
    assert not list(tmp_path.glob("batch-*"))


def test_a_worker_that_does_not_see_the_copies_is_told(shop: Shop, tmp_path: Path) -> None:
    shop.batch(WINDOW[0], [shop.record("t1", WINDOW[0])])
    (unit,) = ArchiveCopies(shop.landing, tmp_path).units()
    unit.copies[0].unlink()
    with pytest.raises(BadInput, match=rf"^a worker of the cluster finds no {unit.copies[0]}: let all of them see"):
        land_archive(SHOP, unit, tmp_path)


def test_once_reading_has_failed_nobody_writes_into_the_folder_of_the_next_attempt(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_runs, "RUN_ROWS", 1)
    for number in range(20):
        shop.batch(WINDOW[0], [shop.record(f"t{number}-{i}", WINDOW[0]) for i in range(50)])
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def fails(what: str, done: int, total: int) -> None:
        raise ConnectionError("the server does not take the progress")

    # What is raised is kept, as in the state of a task, with all that its frames hold.
    with ThreadPoolExecutor(2) as pool:
        with pytest.raises(ConnectionError) as raised:
            read_history(SHOP, shop.landing, scratch, Workers(pool, 2), fails)
        empty(scratch)
    assert raised.value.__traceback__ is not None
    assert not list(scratch.iterdir())


def test_files_without_a_valid_row_are_all_told_of(threads: Workers, shop: Shop, tmp_path: Path) -> None:
    for name in "abc":
        shop.file(name, [shop.record("t1", WINDOW[0]) | {"amount": -1}])
    with pytest.raises(BadInput, match=r"files/a\.jsonl and 2 more has no valid transaction among 3 rows"):
        read_history(SHOP, shop.landing, tmp_path, threads, silent)


def test_texts_of_many_runs_are_put_together_run_by_run(tmp_path: Path) -> None:
    texts = pa.RecordBatch.from_pydict({"text": pa.array([f"{number:0100}" for number in range(20_000)])})
    runs = [Run(tmp_path / f"{number}.arrow", 0, (), ()) for number in range(40)]
    for run in runs:
        write_batches(run.texts_path, [texts] * 4)
    nothing = Copied(np.zeros(0, np.int64), np.zeros(0, np.int8), np.zeros(0, np.int64))
    repeated = RepeatedIds(nothing.row, nothing.row, nothing, (), 0)
    before, held = pa.total_allocated_bytes(), list[int]()

    def rename(ids: pa.StringArray, entity: str) -> pa.StringArray:
        held.append(pa.total_allocated_bytes() - before)
        return ids

    found = LargeLanding((), tuple(runs), (), repeated).vocabularies(SHOP, rename)
    assert [len(vocabulary.values) for vocabulary in found] == [20_000] * 4
    assert max(held) < 20 * texts.nbytes

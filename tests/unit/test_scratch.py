"""The folder in which a large backfill works: nobody else's, and a full disk there is a sentence, not a crash."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import count, islice
from pathlib import Path

import pandas as pd
import pytest

from fraudline.adapters.inputs.sources import LocalFile
from fraudline.adapters.large import archive_runs, shuffle
from fraudline.adapters.large import backfill as large_backfill
from fraudline.adapters.large.backfill import is_large_history, shuffled
from fraudline.adapters.large.landing import land_files
from fraudline.adapters.large.shuffle import scratch_beside, temporary_scratch
from fraudline.adapters.large.workers import Workers
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.clock import day_start
from fraudline.contract import load_contract
from fraudline.errors import NotReady, Unavailable
from tests.realtime.bundles import bundle_files
from tests.unit.test_large_backfill import WINDOW, bundle_of, cards, on_disk, shops, silent

CARDS = load_contract("cards")
JANUARY = (day_start(date(2026, 1, 1)), day_start(date(2026, 2, 1)))


@pytest.fixture
def threads() -> Iterator[Workers]:
    with ThreadPoolExecutor(2) as pool:
        yield Workers(pool, 2)


@contextmanager
def open_files(more: int) -> Iterator[None]:
    """Within the block only so many files more may be open."""
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir("/dev/fd")}
    free = (number for number in count() if number not in taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(islice(free, more, None)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file gets more bytes within the block: the kernel's word for it is what a full disk is to whoever writes."""
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))


def test_a_disk_that_is_full_once_all_was_read_is_one_sentence(threads: Workers, tmp_path: Path) -> None:
    bundle, paths = bundle_of(bundle_files("cards")), cards(tmp_path)
    with scratch_beside(tmp_path / "out") as scratch:
        landing = land_files(CARDS, [LocalFile(path) for path in paths], scratch, threads, silent)
        told = rf"^{scratch} cannot be written: File too large$"
        with room(5_000), pytest.raises(Unavailable, match=told):
            shuffled(CARDS, landing, WINDOW, bundle, lambda ids, entity: ids, scratch, threads, silent)


@pytest.mark.parametrize("name", ["ecommerce", "cards"])
def test_a_disk_that_is_full_once_all_was_dealt_out_is_one_sentence(
    name: str, threads: Workers, tmp_path: Path
) -> None:
    paths = shops(tmp_path) if name == "ecommerce" else cards(tmp_path)
    with scratch_beside(tmp_path / "out") as scratch:
        past = on_disk(load_contract(name), paths, bundle_of(bundle_files(name)), scratch, threads)
        told = rf"^{scratch} cannot be written: File too large$"
        with room(1_000), pytest.raises(Unavailable, match=told):
            list(past.score(past.partitions))


def test_a_server_that_is_gone_is_not_told_as_a_full_disk(threads: Workers, tmp_path: Path) -> None:
    def fails(what: str, done: int, total: int) -> None:
        raise ConnectionResetError("the server is gone")

    with scratch_beside(tmp_path / "out") as scratch:
        past = on_disk(CARDS, cards(tmp_path), bundle_of(bundle_files("cards")), scratch, threads)
        with pytest.raises(ConnectionResetError, match="the server is gone"):
            list(replace(past, progress=fails).score(past.partitions))


def test_rows_are_dealt_out_to_no_more_files_than_may_be_open(
    threads: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shuffle, "PARTITION_ROWS", 1)
    path = cards(tmp_path)[0]
    rows = pd.read_parquet(path)
    rows.assign(CUSTOMER_ID=rows.index % 400, TERMINAL_ID=rows.index % 300).to_parquet(path)
    with scratch_beside(tmp_path / "out") as scratch:
        landing = land_files(CARDS, [LocalFile(path)], scratch, threads, silent)
        bundle = bundle_of(bundle_files("cards"))
        with open_files(300):
            past = shuffled(CARDS, landing, JANUARY, bundle, lambda ids, entity: ids, scratch, threads, silent)
        assert past.shuffle.partitions > 1


def test_room_for_scores_and_features_is_taken_before_they_are_written_through_memory(
    threads: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shuffle, "PARTITION_ROWS", 200)
    taken: list[bool] = []
    with scratch_beside(tmp_path / "out") as scratch:

        def look(what: str, done: int, total: int) -> None:
            if what == "Scored":
                file = (scratch / "features").stat()
                taken.append(file.st_blocks * 512 >= file.st_size)

        past = on_disk(CARDS, cards(tmp_path), bundle_of(bundle_files("cards")), scratch, threads)
        assert len(list(replace(past, with_features=True, progress=look).score(past.partitions))) == 5
    # Of the first partition's rows there are some on few of the pages.
    assert taken[0]


def test_another_run_does_not_empty_a_folder_that_is_worked_in(tmp_path: Path) -> None:
    with scratch_beside(tmp_path / "out") as scratch:
        (scratch / "file").touch()
        told = r"^another backfill writes into .*/\.out\.shuffle \(process \d+ on .*\): wait for it to end"
        with pytest.raises(NotReady, match=told), scratch_beside(tmp_path / "out"):
            pass
        assert (scratch / "file").exists()
    assert not list(tmp_path.iterdir())


def test_what_has_landed_is_large_if_its_archive_and_its_files_are_so_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = FolderObjects(tmp_path)
    landing.put("files/a.csv", b"x" * 48 * 60)
    landing.put("archive/2026-01-05/s/1.jsonl.gz", b"x" * archive_runs.BYTES_A_ROW * 60)
    monkeypatch.setattr(large_backfill, "MEMORY_ROWS", 119)
    assert is_large_history(landing)
    monkeypatch.setattr(large_backfill, "MEMORY_ROWS", 120)
    assert not is_large_history(landing)


HOLDING = """
import sys
from fraudline.adapters.large.shuffle import temporary_scratch
with temporary_scratch("fraudline-build-") as folder:
    (folder / "part-0-0.arrow").write_bytes(b"rows")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_temporary_folder_of_a_killed_run_goes_with_the_next_one_and_that_of_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def begun() -> tuple[subprocess.Popen[str], Path]:
        command, pipe = [sys.executable, "-c", HOLDING], subprocess.PIPE
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
        assert process.stdout
        return process, Path(process.stdout.readline().strip())

    (killed, left), (living, used) = begun(), begun()
    killed.kill()
    killed.communicate()
    assert list(left.iterdir())
    with temporary_scratch("fraudline-build-") as folder:
        assert list(folder.iterdir()) == []
        assert not left.exists()
        assert list(used.iterdir())
    living.communicate("")
    assert living.returncode == 0
    assert list(tmp_path.iterdir()) == []

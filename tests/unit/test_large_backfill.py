"""Files worked on disk, in parts and by several workers, give the very bytes that they give in memory."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client

from fraudline.adapters.aws.clients import client
from fraudline.adapters.backfill.output_lock import only_run
from fraudline.adapters.backfill.partitions import LocalFolder, PartitionFile, PartitionFolder, fill
from fraudline.adapters.inputs.files import load_transactions
from fraudline.adapters.inputs.originals import with_originals
from fraudline.adapters.inputs.sources import LocalFile, found_files
from fraudline.adapters.large import backfill as large_backfill
from fraudline.adapters.large import file_runs, shuffle
from fraudline.adapters.large import landing as large_landing
from fraudline.adapters.large import workers as workers_module
from fraudline.adapters.large.backfill import PastOnDisk, shuffled
from fraudline.adapters.large.landing import land_files
from fraudline.adapters.large.shuffle import scratch_beside
from fraudline.adapters.large.workers import Workers, dask_cluster, processes
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.backfill.past import Past, PastInMemory
from fraudline.clock import day_start
from fraudline.contract import Contract, load_contract
from fraudline.errors import BadInput, NotReady, Unavailable
from fraudline.model.bundle import Bundle, load_bundle
from tests.realtime.bundles import bundle_files, tree_files, version_of
from tests.unit.retrained import frame

WINDOW = (day_start(date(2026, 1, 12)), day_start(date(2026, 1, 17)))
ROOT = Path(__file__).parents[2]


def silent(what: str, done: int, total: int) -> None:
    """Nobody listens."""


def bundle_of(files: dict[str, bytes]) -> Bundle:
    return load_bundle(files.__getitem__, version_of(files))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that a few thousand rows are many runs and partitions, where the work stays in this process."""
    monkeypatch.setattr(shuffle, "PARTITION_ROWS", 700)
    monkeypatch.setattr(file_runs, "RUN_ROWS", 300)
    monkeypatch.setattr(large_landing, "ROWS_AT_ONCE", 1000)


@pytest.fixture
def threads() -> Iterator[Workers]:
    with ThreadPoolExecutor(2) as pool:
        yield Workers(pool, 2)


def shops(folder: Path, endings: Sequence[str] = ("parquet", "parquet", "parquet")) -> list[Path]:
    """Three files, not in the order of time, with ids that come again in the same file and in others."""
    rows = frame()
    again = rows.iloc[[5, 700, 900]].copy()
    conflicting = rows.iloc[[6, 1200]].assign(amount=1.25)
    bad = rows.iloc[[40, 41]].assign(transaction_id=["bad-1", "bad-2"], device_type="fax")
    parts = [rows.iloc[900:], pd.concat([rows.iloc[:500], again, bad]), pd.concat([rows.iloc[500:900], conflicting])]
    paths = [folder / f"{name}.{ending}" for name, ending in zip("abc", endings, strict=True)]
    for path, part in zip(paths, parts, strict=True):
        shuffled_part = part.sample(frac=1.0, random_state=1)
        if path.suffix == ".parquet":
            shuffled_part.to_parquet(path, row_group_size=250)
        elif path.suffix == ".csv":
            shuffled_part.to_csv(path, index=False)
        else:
            shuffled_part.to_json(path, orient="records", lines=True, date_format="iso")
    return paths


def cards(folder: Path) -> list[Path]:
    """Cards at terminals, some of which are used for fraud, many at the same second."""
    random = np.random.default_rng(3)
    rows, users = 4000, random.integers(0, 40, 4000)
    seconds = np.sort(random.integers(0, 40 * 86_400 // 600, rows)) * 600
    fraud = (users % 7 == 0) & (random.random(rows) < 0.3)
    data = pd.DataFrame(
        {
            "TRANSACTION_ID": np.arange(rows),
            "TX_DATETIME": pd.Timestamp("2025-12-15") + pd.to_timedelta(seconds, unit="s"),
            "CUSTOMER_ID": users,
            "TERMINAL_ID": random.integers(0, 30, rows),
            "TX_AMOUNT": np.round(random.gamma(2.0, 30.0, rows) * np.where(fraud & (users % 2 == 0), 6, 1), 2),
            "TX_FRAUD": fraud.astype(int),
        }
    )
    paths = [folder / "1.parquet", folder / "2.parquet"]
    data.iloc[:2500].to_parquet(paths[0], row_group_size=400)
    data.iloc[2500:].to_parquet(paths[1], row_group_size=400)
    return paths


def in_memory(contract: Contract, paths: list[Path], bundle: Bundle) -> PastInMemory:
    return PastInMemory.of(load_transactions(contract, [str(path) for path in paths]).table, *WINDOW, bundle)


def on_disk(contract: Contract, paths: list[Path], bundle: Bundle, scratch: Path, workers: Workers) -> PastOnDisk:
    landing = land_files(contract, [LocalFile(path) for path in paths], scratch, workers, silent)
    return shuffled(contract, landing, WINDOW, bundle, lambda ids, entity: ids, scratch, workers, silent)


def write(past: Past, bundle: Bundle, out: Path) -> None:
    targets = [
        PartitionFolder(LocalFolder(out / "days"), bundle.contract.name, bundle.version),
        PartitionFile(out / "all.parquet"),
    ]
    fill(targets, past.score(past.partitions))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shops_in_every_format(folder: Path) -> list[Path]:
    return shops(folder, ("parquet", "jsonl", "csv"))


@pytest.mark.parametrize(
    ("name", "made"), [("ecommerce", shops), ("ecommerce", shops_in_every_format), ("cards", cards)]
)
def test_runs_partitions_and_joins_give_the_bytes_of_one_table(
    name: str, made: Callable[[Path], list[Path]], threads: Workers, tmp_path: Path
) -> None:
    contract, bundle = load_contract(name), bundle_of(bundle_files(name))
    (tmp_path / "in").mkdir()
    paths = made(tmp_path / "in")
    write(in_memory(contract, paths, bundle), bundle, tmp_path / "memory")
    with scratch_beside(tmp_path / "disk") as scratch:
        past = on_disk(contract, paths, bundle, scratch, threads)
        assert past.shuffle.partitions > 1
        write(past, bundle, tmp_path / "disk")
    assert contents(tmp_path / "disk") == contents(tmp_path / "memory")
    assert len(contents(tmp_path / "disk")) == 7


def test_repeated_ids_and_refused_rows_are_those_of_one_table(threads: Workers, tmp_path: Path) -> None:
    contract, paths = load_contract("ecommerce"), shops(tmp_path)
    whole = load_transactions(contract, [str(path) for path in paths])
    with scratch_beside(tmp_path / "out") as scratch:
        landing = land_files(contract, [LocalFile(path) for path in paths], scratch, threads, silent)
    assert (landing.rows, landing.duplicates) == (whole.rows, whole.duplicates)
    assert whole.duplicates == 3
    told = [(reject.source, reject.row, reject.problems) for reject in landing.rejects]
    assert told == sorted((reject.source, reject.row, reject.problems) for reject in whole.rejects)
    assert len(told) == 4


def test_boosted_trees_and_features_travel_to_other_processes(tmp_path: Path) -> None:
    contract, bundle = load_contract("ecommerce"), bundle_of(tree_files())
    (tmp_path / "in").mkdir()
    paths = shops(tmp_path / "in")
    whole = replace(in_memory(contract, paths, bundle), with_features=True)
    expected = list(whole.score(whole.partitions))
    assert expected
    with scratch_beside(tmp_path / "disk") as scratch, processes(pytest.fail) as workers:
        past = replace(on_disk(contract, paths, bundle, scratch, workers), with_features=True)
        for ours, theirs in zip(past.score(past.partitions), expected, strict=True):
            assert ours.decisions.equals(theirs.decisions)
            assert ours.features is not None
            assert theirs.features is not None
            assert ours.features.tobytes() == theirs.features.tobytes()
            assert ours.table.label.tolist() == theirs.table.label.tolist()


def test_only_the_days_that_are_missing_are_scored(threads: Workers, tmp_path: Path) -> None:
    contract, bundle = load_contract("cards"), bundle_of(bundle_files("cards"))
    (tmp_path / "in").mkdir()
    paths = cards(tmp_path / "in")
    write(in_memory(contract, paths, bundle), bundle, tmp_path / "memory")
    shutil.copytree(tmp_path / "memory", tmp_path / "disk")
    for day in ("2026-01-13", "2026-01-15"):
        (tmp_path / "disk" / "days" / f"{day}.parquet").unlink()
    folder = PartitionFolder(LocalFolder(tmp_path / "disk" / "days"), contract.name, bundle.version)
    with scratch_beside(tmp_path / "disk") as scratch:
        past = on_disk(contract, paths, bundle, scratch, threads)
        missing = folder.missing(past.partitions)
        assert [part.day for part in missing] == ["2026-01-13", "2026-01-15"]
        fill([folder], past.score(missing))
        assert folder.missing(past.partitions) == []
    assert contents(tmp_path / "disk") == contents(tmp_path / "memory")


# From a bucket


@pytest.fixture
def bucket(aws: object, unique: str) -> str:
    client("s3").create_bucket(Bucket=unique)
    return unique


def uploaded(paths: Sequence[Path], bucket: str) -> str:
    """The same files as objects, beside one of no format: their prefix."""
    objects = open_objects(f"s3://{bucket}")
    for path in paths:
        objects.put(f"history/{path.name}", path.read_bytes())
    objects.put("history/README.md", b"Card payments")
    return f"s3://{bucket}/history/"


@pytest.mark.parametrize(
    ("name", "made"), [("ecommerce", shops), ("ecommerce", shops_in_every_format), ("cards", cards)]
)
def test_a_bucket_gives_the_bytes_and_the_refused_rows_of_one_table_and_of_files_here(
    name: str, made: Callable[[Path], list[Path]], threads: Workers, bucket: str, tmp_path: Path
) -> None:
    contract, bundle = load_contract(name), bundle_of(bundle_files(name))
    (tmp_path / "in").mkdir()
    paths = made(tmp_path / "in")
    write(in_memory(contract, paths, bundle), bundle, tmp_path / "memory")
    place = uploaded(paths, bucket)
    whole = load_transactions(contract, [place])
    with scratch_beside(tmp_path / "disk") as scratch:
        landing = land_files(contract, list(found_files([place])), scratch, threads, silent)
        rejects = with_originals(landing.rejects, scratch)
        assert not [path for path in scratch.iterdir() if path.suffix not in (".arrow", ".texts", ".npy")]
        past = shuffled(contract, landing, WINDOW, bundle, lambda ids, entity: ids, scratch, threads, silent)
        write(past, bundle, tmp_path / "disk")
    assert contents(tmp_path / "disk") == contents(tmp_path / "memory")
    assert landing.sources == whole.sources
    assert {source.name for source in landing.sources} == {f"{place}{path.name}" for path in paths}
    assert sorted(rejects, key=lambda r: (r.source, r.row)) == sorted(whole.rejects, key=lambda r: (r.source, r.row))


def test_of_many_objects_few_are_copied_at_a_time(threads: Workers, bucket: str, tmp_path: Path) -> None:
    rows = frame()
    paths = [tmp_path / f"{number:02}.csv" for number in range(20)]
    for number, path in enumerate(paths):
        rows.iloc[number * 50 : (number + 1) * 50].to_csv(path, index=False)
    files, copies = list(found_files([uploaded(paths, bucket)])), list[int]()
    (tmp_path / "scratch").mkdir()

    def look(what: str, done: int, total: int) -> None:
        copies.append(len(list((tmp_path / "scratch").glob("copy-*"))))

    land_files(load_contract("ecommerce"), files, tmp_path / "scratch", threads, look)
    assert len(copies) == 20
    assert max(copies) <= 2 * threads.count
    assert list((tmp_path / "scratch").glob("copy-*")) == []


def test_an_object_without_rows_is_nothing_to_work_and_leaves_no_copy(
    threads: Workers, bucket: str, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.parquet", tmp_path / "b.csv"]
    pq.ParquetWriter(paths[0], pa.Schema.from_pandas(frame(), preserve_index=False)).close()
    assert pq.read_metadata(paths[0]).num_row_groups == 0
    frame().to_csv(paths[1], index=False)
    files = list(found_files([uploaded(paths, bucket)]))
    landing = land_files(load_contract("ecommerce"), files, tmp_path, threads, silent)
    assert [source.rows for source in landing.sources] == [0, len(frame())]
    assert list(tmp_path.glob("copy-*")) == []


def test_an_object_with_other_columns_or_without_its_end_is_named_as_one_and_gone_ones_too(
    threads: Workers, bucket: str, tmp_path: Path
) -> None:
    contract, paths = load_contract("ecommerce"), shops(tmp_path)
    pd.read_parquet(paths[1]).rename(columns={"amount": "price"}).to_parquet(paths[1])
    place = uploaded(paths, bucket)
    with pytest.raises(BadInput, match=rf"^{place}b\.parquet lacks column 'amount' of contract 'ecommerce'"):
        land_files(contract, list(found_files([place])), tmp_path, threads, silent)
    objects = open_objects(f"s3://{bucket}")
    objects.put("history/b.parquet", paths[0].read_bytes()[:-100])
    with pytest.raises(BadInput, match=rf"^{place}b\.parquet cannot be read: "):
        land_files(contract, list(found_files([place])), tmp_path, threads, silent)
    found = list(found_files([place]))
    objects.delete("history/b.parquet")
    with pytest.raises(NotReady, match=rf"^there is no 'history/b\.parquet' in s3://{bucket}$"):
        land_files(contract, found, tmp_path, threads, silent)


def test_what_is_large_is_told_by_sizes_before_anything_is_read(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = open_objects(f"s3://{bucket}")
    objects.put("a.csv", b"x" * 4800)
    objects.put("b.parquet", b"x" * 1200)
    monkeypatch.setattr(large_backfill, "MEMORY_ROWS", 199)
    assert large_backfill.is_large(list(found_files([f"s3://{bucket}"])))
    monkeypatch.setattr(large_backfill, "MEMORY_ROWS", 200)
    assert not large_backfill.is_large(list(found_files([f"s3://{bucket}"])))


# On a cluster


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[str]:
    """A scheduler and workers of one thread each, as processes on 127.0.0.1; the scheduler's address."""
    told = folder / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "distributed.cli"]
    here = ["--host", "127.0.0.1", "--scheduler-file", str(told)]
    commands = [[dask[0], "-m", "distributed.cli.dask_scheduler", *here, "--port", "0", "--no-dashboard"]]
    one = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
    commands += [[dask[0], "-m", "distributed.cli.dask_worker", "--scheduler-file", str(told), *one]] * workers
    started = [subprocess.Popen(commands[0], **quiet)]  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 120
        while not told.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        started += [subprocess.Popen(command, **quiet) for command in commands[1:]]  # type: ignore[call-overload]
        address = str(json.loads(told.read_text())["address"])
        with Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)
        yield address
    finally:
        # A worker that is asked to end first says goodbye to its scheduler, which may have gone by then.
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def test_a_cluster_gives_the_bytes_of_this_machine_from_files_and_from_a_bucket(bucket: str, tmp_path: Path) -> None:
    contract, bundle = load_contract("cards"), bundle_of(bundle_files("cards"))
    (tmp_path / "in").mkdir()
    paths = cards(tmp_path / "in")
    write(in_memory(contract, paths, bundle), bundle, tmp_path / "memory")
    with cluster(tmp_path) as address, dask_cluster(address) as workers:
        assert workers.count == 2
        with scratch_beside(tmp_path / "disk") as scratch:
            write(on_disk(contract, paths, bundle, scratch, workers), bundle, tmp_path / "disk")
        with scratch_beside(tmp_path / "from-bucket") as scratch:
            # The workers know no AWS: they see the copies.
            landing = land_files(contract, list(found_files([uploaded(paths, bucket)])), scratch, workers, silent)
            past = shuffled(contract, landing, WINDOW, bundle, lambda ids, entity: ids, scratch, workers, silent)
            write(past, bundle, tmp_path / "from-bucket")
    assert contents(tmp_path / "disk") == contents(tmp_path / "memory")
    assert contents(tmp_path / "from-bucket") == contents(tmp_path / "memory")


def test_a_cluster_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "DASK_SECONDS", 1)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(Unavailable, match=f"no Dask scheduler answers at {address}"), dask_cluster(address):
            pass


@pytest.mark.parametrize("address", ["nonsense://x", "tcp://", ""])
def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(Unavailable, match="no Dask scheduler answers at"), dask_cluster(address):
        pass


def test_without_dask_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadInput, match=r"pip install 'fraudline\[dask\]'"), dask_cluster("tcp://127.0.0.1:1"):
        pass


# What is refused, and what breaks


def test_a_file_with_other_columns_is_named_before_anything_is_read(threads: Workers, tmp_path: Path) -> None:
    paths = shops(tmp_path)
    pd.read_parquet(paths[1]).rename(columns={"amount": "price"}).to_parquet(paths[1])
    with pytest.raises(BadInput, match=r"b\.parquet lacks column 'amount' of contract 'ecommerce'"):
        on_disk(load_contract("ecommerce"), paths, bundle_of(bundle_files()), tmp_path, threads)
    assert list(tmp_path.glob("*.arrow")) == []


def test_a_file_that_is_damaged_in_its_middle_is_named(threads: Workers, tmp_path: Path) -> None:
    paths = shops(tmp_path)
    data = bytearray(paths[1].read_bytes())
    middle = len(data) // 3
    data[middle : middle + 2000] = b"\xff" * 2000
    paths[1].write_bytes(data)
    with pytest.raises(BadInput, match=r"b\.parquet cannot be read: "):
        on_disk(load_contract("ecommerce"), paths, bundle_of(bundle_files()), tmp_path, threads)


def test_a_file_without_its_end_is_named(threads: Workers, tmp_path: Path) -> None:
    paths = shops(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"c\.parquet cannot be read: "):
        on_disk(load_contract("ecommerce"), paths, bundle_of(bundle_files()), tmp_path, threads)


def test_a_window_before_the_first_row_says_what_the_input_spans(threads: Workers, tmp_path: Path) -> None:
    contract, paths = load_contract("ecommerce"), shops(tmp_path)
    landing = land_files(contract, [LocalFile(path) for path in paths], tmp_path, threads, silent)
    window = (day_start(date(2020, 1, 1)), day_start(date(2020, 2, 1)))
    with pytest.raises(BadInput) as refused:
        shuffled(
            contract, landing, window, bundle_of(bundle_files()), lambda ids, entity: ids, tmp_path, threads, silent
        )
    assert str(refused.value) == (
        "no transactions from 2020-01-01 up to 2020-02-01: the input spans 2026-01-05 to 2026-01-24"
    )


def test_files_without_a_valid_row_say_what_is_wrong_with_them(threads: Workers, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame().head(20).assign(amount=-1.0).to_parquet(path)
    with pytest.raises(BadInput, match=r"no valid transaction among 20 rows, most often for amount_negative \(20\)"):
        land_files(load_contract("ecommerce"), [LocalFile(path)], tmp_path, threads, silent)


FULL = """
import resource, sys
from datetime import date
from pathlib import Path

if __name__ == "__main__":
    from flows.backfill import BackfillRequest, backfill
    from fraudline.adapters.large import backfill as large_backfill

    large_backfill.MEMORY_ROWS = 0
    folder, size = Path(sys.argv[1]), int(sys.argv[2])
    # The kernel's word for no more room in a file: what a full disk is to whoever writes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    request = BackfillRequest(
        contract="ecommerce", transactions=[sys.argv[4]], start=date(2026, 1, 12), end=date(2026, 1, 17),
        model=sys.argv[3], models=str(folder / "models"), quarantine=str(folder / "refused"), out=str(folder / "out"),
    )
    try:
        print(backfill.fn(request))
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with transactions and a model: `in` and `models`."""
    (tmp_path / "in").mkdir()
    shops(tmp_path / "in")
    files = bundle_files("ecommerce")
    Registry(open_objects(str(tmp_path / "models")), "ecommerce").publish(version_of(files), files)
    (tmp_path / "full.py").write_text(FULL)
    return tmp_path


def command_of(shop: Path, size: int, place: str) -> list[str]:
    version = version_of(bundle_files("ecommerce"))
    return [sys.executable, str(shop / "full.py"), str(shop), str(size), version, place]


def runs_with_room(shop: Path, size: int, place: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = command_of(shop, size, place)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, shop: Path) -> str:
    """Where the shop's transactions lie: in its folder, or in a bucket."""
    if request.param == "folder":
        return str(shop / "in")
    return uploaded(sorted((shop / "in").iterdir()), request.getfixturevalue("bucket"))


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(shop: Path, place: str) -> None:
    assert "days=5" in runs_with_room(shop, 2**40, place)
    whole = contents(shop / "out")
    (shop / "out" / "2026-01-14.parquet").unlink()

    told = runs_with_room(shop, 20_000, place)
    assert told == f"Unavailable {shop / '.out.shuffle'} cannot be written: File too large"
    assert sorted(contents(shop / "out")) == sorted(set(whole) - {"2026-01-14.parquet"})
    assert not list(shop.glob(".out*"))

    assert "days=1, days_done_before=4" in runs_with_room(shop, 2**40, place)
    assert contents(shop / "out") == whole
    assert not list(shop.glob(".out*"))


def test_a_run_that_was_killed_does_not_stand_in_the_way_of_the_next(shop: Path, place: str) -> None:
    command = command_of(shop, 2**40, place)
    killed = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: any(shop.glob(".out.shuffle/*.arrow")))
    told = rf"another backfill writes into .*out \(process {killed.pid} on "
    with pytest.raises(NotReady, match=told), only_run(shop / "out"):
        pass
    killed.kill()
    killed.communicate()
    assert (shop / ".out.shuffle").exists()
    assert "days=5" in runs_with_room(shop, 2**40, place)
    assert not list(shop.glob(".out*"))
    after_the_kill = contents(shop / "out")
    shutil.rmtree(shop / "out")
    assert "days=5" in runs_with_room(shop, 2**40, str(shop / "in"))
    assert contents(shop / "out") == after_the_kill


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@dataclass(frozen=True)
class DyingOnce:
    """A task that kills its process the first time, when its work is done and nobody has heard of it."""

    function: Callable[..., object]
    killed: Path

    def __call__(self, *task: object) -> object:
        done = self.function(*task)
        if not self.killed.exists():
            self.killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return done


def test_a_worker_that_is_killed_in_any_pass_costs_no_byte(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    contract, bundle = load_contract("cards"), bundle_of(bundle_files("cards"))
    for folder in ("in", "killed"):
        (tmp_path / folder).mkdir()
    paths = cards(tmp_path / "in")
    write(in_memory(contract, paths, bundle), bundle, tmp_path / "memory")
    told: list[str] = []
    with scratch_beside(tmp_path / "disk") as scratch, processes(told.append) as workers:
        results = workers.results
        monkeypatch.setattr(
            workers,
            "results",
            lambda function, tasks: results(DyingOnce(function, tmp_path / "killed" / function.__name__), tasks),
        )
        write(on_disk(contract, paths, bundle, scratch, workers), bundle, tmp_path / "disk")
    passes = {"land", "find_repeated", "_explained", "_lagged", "_score"}
    assert contents(tmp_path / "killed").keys() == passes
    assert len(told) == len(passes)
    assert told[-1] == "A worker process was killed, most often for want of memory: going on with 1 at a time"
    assert contents(tmp_path / "disk") == contents(tmp_path / "memory")


def killing() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_that_no_worker_outlives_is_told_and_what_comes_after_it_is_done() -> None:
    with processes(print) as workers:
        with pytest.raises(Unavailable, match="a worker process was killed, and then another one that worked alone"):
            list(workers.results(killing, [()]))
        assert sorted(workers.results(abs, [(-number,) for number in range(5)])) == [0, 1, 2, 3, 4]

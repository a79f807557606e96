"""A backfill gives each day what its transactions would have scored then, once, however often it is stopped."""

import subprocess
import sys
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudline.adapters.backfill.partitions import MANIFEST, LocalFolder, PartitionFile, PartitionFolder, fill
from fraudline.adapters.inputs.files import load_transactions
from fraudline.backfill import past as backfilling
from fraudline.backfill.fingerprints import Fingerprint
from fraudline.backfill.past import Partition, partitions, score_partitions
from fraudline.clock import day_start
from fraudline.contract import load_contract
from fraudline.durations import DAY
from fraudline.errors import BadInput, Unavailable
from fraudline.features.online import OnlineFeatures
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.transactions.table import TransactionTable, from_transactions, join_statements
from tests.realtime.bundles import bundle_files, version_of
from tests.unit.retrained import frame

START, END = date(2026, 1, 12), date(2026, 1, 17)
CONTRACT = load_contract("ecommerce")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    files = dict(bundle_files("ecommerce"))
    return load_bundle(files.__getitem__, version_of(files))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("in") / "transactions.csv"
    frame().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def table(source: Path) -> TransactionTable:
    return load_transactions(CONTRACT, [str(source)]).table


def days(table: TransactionTable, start: date = START, end: date = END) -> list[Partition]:
    return partitions(table, day_start(start), day_start(end))


def run(table: TransactionTable, bundle: Bundle, folder: Path, stop_after: int | None = None) -> list[str]:
    """Score what is missing, as the flow does; the days that were written."""
    target = PartitionFolder(LocalFolder(folder), CONTRACT.name, bundle.version)
    missing = target.missing(days(table))
    written = []
    for day in score_partitions(table, missing, bundle):
        if stop_after is not None and len(written) == stop_after:
            break
        target.write(day)
        written.append(day.part.day)
    return written


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


DAYS = ["2026-01-12", "2026-01-13", "2026-01-14", "2026-01-15", "2026-01-16"]


def test_each_day_of_the_window_is_a_partition(table: TransactionTable) -> None:
    parts = days(table)
    assert [part.day for part in parts] == DAYS
    assert all(a.end == b.begin for a, b in pairwise(parts))
    for part in parts:
        inside = table.timestamp[part.begin : part.end]
        assert (inside // DAY * DAY == day_start(date.fromisoformat(part.day))).all()
    assert parts[0].begin == int((table.timestamp < day_start(START)).sum())


def test_a_folder_and_a_file_hold_the_same_decisions(table: TransactionTable, bundle: Bundle, tmp_path: Path) -> None:
    run(table, bundle, tmp_path / "days")
    fill([PartitionFile(tmp_path / "all.parquet")], score_partitions(table, days(table), bundle))
    parts = [pq.read_table(tmp_path / "days" / f"{day}.parquet") for day in DAYS]
    assert pa.concat_tables(parts).equals(pq.read_table(tmp_path / "all.parquet"))


def test_the_output_says_what_was_decided_on_every_transaction_of_the_window(
    table: TransactionTable, bundle: Bundle
) -> None:
    decisions = pa.concat_tables([day.decisions for day in score_partitions(table, days(table), bundle)])
    inside = (table.timestamp >= day_start(START)) & (table.timestamp < day_start(END))
    assert decisions["transaction_id"].to_pylist() == table.take(inside).ids.to_pylist()
    assert set(decisions["model_version"].to_pylist()) == {bundle.version}
    flagged = np.array(decisions["is_fraud"].to_pylist())
    assert (flagged == (np.array(decisions["score"].to_pylist()) >= bundle.threshold)).all()
    assert 0 < flagged.sum() < len(flagged)


def test_a_day_scores_as_the_online_code_would_have_scored_it(table: TransactionTable, bundle: Bundle) -> None:
    online, histories, expected = OnlineFeatures(CONTRACT), {}, {}
    for transaction in table.transactions():
        history = histories.setdefault(transaction.entities[0], online.new_history())
        computed = online.features(transaction, history)
        online.count(history, transaction, computed.effective_time)
        expected[transaction.id] = bundle.scorer.score(computed.features)
    scored = [day.decisions for day in score_partitions(table, days(table), bundle)]
    assert [decisions.num_rows > 0 for decisions in scored] == [True] * len(DAYS)
    for decisions in scored:
        for id_, score in zip(decisions["transaction_id"].to_pylist(), decisions["score"].to_pylist(), strict=True):
            assert score == expected[id_]


def test_one_day_alone_scores_as_it_does_among_others(table: TransactionTable, bundle: Bundle) -> None:
    together = dict(zip(DAYS, score_partitions(table, days(table), bundle), strict=True))
    for day in DAYS[::2]:
        (part,) = [part for part in days(table) if part.day == day]
        (alone,) = score_partitions(table, [part], bundle)
        assert alone.decisions.equals(together[day].decisions)


@pytest.mark.parametrize("rows", [1, 150])
def test_however_many_days_are_scored_at_once_they_score_the_same(
    rows: int, table: TransactionTable, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = list(score_partitions(table, days(table), bundle, with_features=True))
    assert len(together) == len(DAYS)
    monkeypatch.setattr(backfilling, "SCORED_ROWS", rows)
    for some, one in zip(score_partitions(table, days(table), bundle, with_features=True), together, strict=True):
        assert some.decisions.equals(one.decisions)
        assert some.features is not None
        assert one.features is not None
        assert some.features.tobytes() == one.features.tobytes()


def test_a_second_run_has_nothing_to_do(table: TransactionTable, bundle: Bundle, tmp_path: Path) -> None:
    assert run(table, bundle, tmp_path) == DAYS
    before = contents(tmp_path)
    assert run(table, bundle, tmp_path) == []
    assert contents(tmp_path) == before


def test_a_run_that_was_stopped_goes_on_where_it_was(table: TransactionTable, bundle: Bundle, tmp_path: Path) -> None:
    run(table, bundle, tmp_path / "whole")
    assert run(table, bundle, tmp_path / "stopped", stop_after=2) == DAYS[:2]
    assert run(table, bundle, tmp_path / "stopped") == DAYS[2:]
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


KILLED = """
import os, signal, sys
from pathlib import Path
from fraudline.adapters.backfill import partitions
from tests.unit.test_backfilling import CONTRACT, load_transactions, run, bundle_files, load_bundle, version_of

write, written = partitions.write_whole, []

def dying(path, data):
    written.append(path)
    if len(written) == int(sys.argv[3]):
        if sys.argv[4] == "torn":
            (path.parent / ".torn.partial").write_bytes(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, data)

partitions.write_whole = dying
files = dict(bundle_files("ecommerce"))
bundle = load_bundle(files.__getitem__, version_of(files))
run(load_transactions(CONTRACT, [sys.argv[1]]).table, bundle, Path(sys.argv[2]))
"""


@pytest.mark.parametrize(("write", "how"), [(4, "torn"), (5, "between")], ids=["before a manifest", "between days"])
def test_a_run_that_was_killed_leaves_nothing_half_written_and_goes_on(
    source: Path, table: TransactionTable, bundle: Bundle, tmp_path: Path, write: int, how: str
) -> None:
    # Each day is two writes: its decisions, then the manifest.
    command = [sys.executable, "-c", KILLED, str(source), str(tmp_path / "killed"), str(write), how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    for path in (tmp_path / "killed").glob("*.parquet"):
        pq.read_table(path)
    listed = msgspec.json.decode((tmp_path / "killed" / MANIFEST).read_bytes())["partitions"]
    assert sorted(listed) == DAYS[: (write - 1) // 2]
    assert run(table, bundle, tmp_path / "killed") == DAYS[(write - 1) // 2 :]
    run(table, bundle, tmp_path / "whole")
    visible = {name: data for name, data in contents(tmp_path / "killed").items() if not name.startswith(".")}
    assert visible == contents(tmp_path / "whole")


def test_a_day_whose_file_was_removed_is_done_again(table: TransactionTable, bundle: Bundle, tmp_path: Path) -> None:
    run(table, bundle, tmp_path)
    before = contents(tmp_path)
    (tmp_path / "2026-01-14.parquet").unlink()
    assert run(table, bundle, tmp_path) == ["2026-01-14"]
    assert contents(tmp_path) == before


@pytest.mark.parametrize("day", ["2026-01-08", "2026-01-14", "2026-01-16", "2026-01-20"])
@pytest.mark.parametrize("column", ["amount", "label"])
def test_changed_input_does_that_day_and_later_ones_again(
    table: TransactionTable, bundle: Bundle, tmp_path: Path, day: str, column: str
) -> None:
    run(table, bundle, tmp_path)
    row = int(np.searchsorted(table.timestamp, day_start(date.fromisoformat(day)))) + 3
    values = getattr(table, column).copy()
    values[row] = values[row] + 1 if column == "amount" else 1 - values[row]
    assert run(replace(table, **{column: values}), bundle, tmp_path) == [d for d in DAYS if d >= day]


def test_what_builds_and_people_knew_of_a_row_is_part_of_its_input(table: TransactionTable) -> None:
    plain = [part.fingerprint for part in days(table)]
    missed = np.zeros(len(table), dtype=np.int64)
    late = replace(table, missed_by=missed + 1)
    said = replace(table, said=table.statements())
    longer = join_statements([table.statements(), table.statements().take(np.array([0]))])
    told = [[part.fingerprint for part in days(other)] for other in (late, replace(table, said=longer))]
    assert len({tuple(prints) for prints in (plain, *told)}) == 3
    # The same in other words.
    assert [part.fingerprint for part in days(said)] == plain
    # However the rows are cut.
    whole, pieces = Fingerprint(), Fingerprint()
    codes = [entity.codes for entity in said.entities]
    for cut in (slice(0, 7), slice(7, None)):
        last = pieces.of(said.take(cut), [column[cut] for column in codes])
    assert last == whole.of(said, codes)


def test_a_wider_window_keeps_the_days_it_has(table: TransactionTable, bundle: Bundle, tmp_path: Path) -> None:
    run(table, bundle, tmp_path)
    folder = PartitionFolder(LocalFolder(tmp_path), CONTRACT.name, bundle.version)
    wider = days(table, date(2026, 1, 10), date(2026, 1, 18))
    assert [part.day for part in folder.missing(wider)] == ["2026-01-10", "2026-01-11", "2026-01-17"]


def test_a_row_more_before_the_window_does_all_its_days_again(table: TransactionTable) -> None:
    fewer = table.take(slice(1, None))
    assert not {part.fingerprint for part in days(table)} & {part.fingerprint for part in days(fewer)}


# What is refused


def test_a_window_without_transactions_says_what_the_input_spans(table: TransactionTable) -> None:
    for start, end in ((date(2025, 1, 1), date(2025, 1, 2)), (date(2027, 1, 1), date(2027, 1, 2))):
        with pytest.raises(BadInput) as refused:
            days(table, start, end)
        assert str(refused.value) == (
            f"no transactions from {start} up to {end}: the input spans 2026-01-05 to 2026-01-24"
        )


@pytest.mark.parametrize(("start", "end"), [(START, START), (END, START)])
def test_a_window_that_ends_before_it_starts_has_no_days(table: TransactionTable, start: date, end: date) -> None:
    with pytest.raises(BadInput, match="no transactions from"):
        days(table, start, end)


def test_an_input_without_any_transaction_is_refused() -> None:
    with pytest.raises(BadInput, match="there are no transactions to score"):
        days(from_transactions(CONTRACT, []))


def test_another_versions_folder_is_not_written_into(table: TransactionTable, bundle: Bundle, tmp_path: Path) -> None:
    run(table, bundle, tmp_path)
    for contract, version in ((CONTRACT.name, "2026-01-01-abc"), ("cards", bundle.version)):
        with pytest.raises(BadInput, match="name another folder for this one"):
            PartitionFolder(LocalFolder(tmp_path), contract, version)


def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(BadInput, match=r"out is a file: name a folder, or a file that ends in \.parquet"):
        PartitionFolder(LocalFolder(tmp_path / "out"), "ecommerce", "v")


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[1]"])
def test_a_damaged_manifest_is_refused_with_the_remedy(tmp_path: Path, data: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(data)
    with pytest.raises(BadInput, match=r"is damaged .* remove the folder and run the backfill again"):
        PartitionFolder(LocalFolder(tmp_path), "ecommerce", "v")


def test_a_place_that_cannot_be_written_leaves_nothing(table: TransactionTable, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("x")
    scored = score_partitions(table, days(table)[:1], bundle)
    with pytest.raises(Unavailable, match="cannot be written"):
        fill([PartitionFile(tmp_path / "in the way" / "out.parquet")], scored)
    assert [path.name for path in tmp_path.iterdir()] == ["in the way"]


def test_an_id_that_counted_for_two_entities_is_history_of_both_and_decided_on_once(
    table: TransactionTable, bundle: Bundle
) -> None:
    """As the stream may have archived it (docs/exactly-once.md): decisions go by id."""
    ids, part = table.ids.to_pylist(), days(table)[1]
    ids[part.begin + 3] = ids[part.begin]
    ids[part.end] = ids[part.begin + 1]
    twice = replace(table, ids=pa.array(ids, pa.string()))
    scored, usual = (
        pa.concat_tables([day.decisions for day in score_partitions(one, days(one), bundle)]) for one in (twice, table)
    )
    assert len(set(scored["transaction_id"].to_pylist())) == len(scored) == len(usual) - 2
    kept = np.delete(np.arange(len(usual)), [row - days(table)[0].begin for row in (part.begin + 3, part.end)])
    assert scored.drop_columns("transaction_id").equals(usual.drop_columns("transaction_id").take(pa.array(kept)))

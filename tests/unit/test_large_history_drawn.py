"""Whatever the contract and whatever lands: in parts on disk it gives what one table gives, down to the bits."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.adapters.archive import reading as archive
from fraudline.adapters.archive.builds import record_build
from fraudline.adapters.archive.history import landed_keys, load_history
from fraudline.adapters.archive.reading import EVER
from fraudline.adapters.large import archive_runs, compact_verdicts, file_runs, runs, shuffle
from fraudline.adapters.large import landing as large_landing
from fraudline.adapters.large.backfill import shuffled
from fraudline.adapters.large.compact_verdicts import CompactVerdicts
from fraudline.adapters.large.landing import landing_of, read_history
from fraudline.adapters.large.shuffle import scratch_beside
from fraudline.adapters.large.workers import Workers
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.archive import Account, Row, encode_archive
from fraudline.backfill.past import Past, PastInMemory
from fraudline.contract import Contract
from fraudline.durations import DAY, floor_hour
from fraudline.errors import BadInput
from fraudline.features.definition import feature_set
from fraudline.labels import Verdict
from fraudline.model.scoring import Calibration, Curve, LinearModel, LinearScorer, Scorer
from fraudline.transactions.cells import to_record
from fraudline.transactions.transaction import Transaction
from tests.parity.contracts import GAPS, Draw, contracts, draws, transactions
from tests.unit.test_large_backfill import silent

SHARD = "shardId-000000000000"


class Place(msgspec.Struct, frozen=True):
    """Where a transaction lands (in files, the archive, or both), how late, and what happens after it."""

    origins: tuple[str, ...]
    late: int
    # Its id is that of so many transactions before.
    same_as: int
    ends_batch: bool
    build: bool
    verdict: int | None


places = st.builds(
    Place,
    origins=st.sampled_from([("a",), ("b",), ("archive",), ("archive",), ("a", "archive"), ("a", "b", "archive")]),
    late=st.sampled_from([0, 0, 0, 3, 5, 8]),
    same_as=st.sampled_from([0, 0, 0, 0, 1, 3]),
    ends_batch=st.booleans(),
    build=st.booleans(),
    verdict=st.sampled_from([None, None, None, 1, 0, -1]),
)


@dataclass(frozen=True)
class Version:
    """What scoring needs of a version: any curves will do."""

    contract: Contract
    version: str = "drawn"
    threshold: float = 0.5

    @property
    def scorer(self) -> Scorer:
        names = feature_set(self.contract).names
        curves = tuple(Curve(name, (0.0, 50.0), (0.0, 0.0, 0.1), (0.0, 0.002, 0.0)) for name in names)
        return LinearScorer(LinearModel(-1.0, curves, Calibration(), (0.0,) * len(curves)))


@dataclass
class Deployment:
    """What lands in the order it lands."""

    contract: Contract
    landing: FolderObjects
    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
    _waiting: dict[str, list[Transaction]] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)
    _built: int | None = None
    _number: int = 0

    def take(self, transaction: Transaction, place: Place, now: int) -> None:
        for origin in place.origins:
            self._waiting.setdefault(origin, []).append(transaction)
        if place.ends_batch:
            self.land(now)
        if place.build and self.contract.lagged_entities and floor_hour(now) > (self._built or 0):
            self._built = floor_hour(now)
            record_build(self.landing, self._built, landed_keys(self.landing))
        if place.verdict is not None:
            given = Verdict(place.verdict, now, "ann", missed_by=self._built or 0)
            self.verdicts.setdefault(transaction.id, []).append(given)

    def land(self, now: int) -> None:
        """All that waits, even if it is nothing."""
        for origin in ("a", "b"):
            lines = [json.dumps(self._record(t) | self._label(t)) for t in self._waiting.pop(origin, [])]
            if lines:
                self._number += 1
                self.landing.put(f"files/{origin}{self._number:04}.jsonl", "\n".join(lines).encode())
        rows = [self._row(transaction, now) for transaction in self._waiting.pop("archive", [])]
        account = Account(SHARD, "", "", "v", now, self._built, len(rows), len(rows), (), (), ())
        self._number += 1
        self.landing.put(f"archive/2026-03-07/{SHARD}/{self._number:04}.jsonl.gz", encode_archive(account, rows))

    def _row(self, transaction: Transaction, now: int) -> Row:
        self._number += 1
        entity = transaction.entities[0]
        effective = self._last[entity] = max(transaction.timestamp, self._last.get(entity, 0))
        record = msgspec.Raw(json.dumps(self._record(transaction)).encode())
        return Row(f"{self._number:056}#{SHARD}", now, effective, record)

    def _record(self, transaction: Transaction) -> dict[str, Any]:
        return to_record(self.contract, transaction)

    def _label(self, transaction: Transaction) -> dict[str, Any]:
        return {self.contract.label.column: transaction.label}


def deployment(contract: Contract, drawn: Sequence[tuple[Draw, Place]], folder: Path) -> Deployment:
    found = Deployment(contract, FolderObjects(folder))
    made = transactions(contract, [draw for draw, _ in drawn])
    for at, (transaction, (_, place)) in enumerate(zip(made, drawn, strict=True)):
        came = msgspec.structs.replace(
            transaction, id=made[max(at - place.same_as, 0)].id, timestamp=transaction.timestamp - GAPS[place.late]
        )
        found.take(came, place, transaction.timestamp)
    found.land(made[-1].timestamp)
    return found


@contextmanager
def cut(size: int, hashes: int) -> Iterator[None]:
    """Runs, units and partitions of so many rows, and no more different hashes of ids than that."""
    real = runs.hashes_of

    def few(ids: Any) -> Any:
        return real(ids) % np.uint64(hashes)

    sizes = [
        (file_runs, "RUN_ROWS"), (archive_runs, "RUN_ROWS"), (archive, "_ROWS"), (large_landing, "ROWS_AT_ONCE"),
        (shuffle, "PARTITION_ROWS"), (compact_verdicts, "_IDS_AT_ONCE"),
    ]  # fmt: skip
    with ExitStack() as stack:
        for module, name in sizes:
            stack.enter_context(patch.object(module, name, size))
        for module in (runs, compact_verdicts):
            stack.enter_context(patch.object(module, "hashes_of", few))
        yield


def told(past: Past) -> list[object]:
    """All that a past gives of its days."""
    return [
        (
            day.part,
            day.decisions.to_pydict(),
            np.asarray(day.features).tobytes(),
            day.table.label.tolist(),
            day.table.known_at.tolist(),
            day.table.effective_time.tolist(),
            None if day.table.built_through is None else day.table.built_through.tolist(),
        )
        for day in past.score(past.partitions)
    ]


def outcome(landed: Any) -> list[object]:
    """What became of all rows."""
    rejects = sorted((reject.source, reject.row, reject.problems) for reject in landed.rejects)
    return [landed.rows, landed.duplicates, landed.sources, rejects]


@settings(max_examples=40, deadline=None)
@given(
    contract=contracts(),
    drawn=st.lists(st.tuples(draws(1).map(lambda some: some[0]), places), min_size=1, max_size=30),
    skipped=st.integers(0, 3),
    left_out=st.integers(0, 1),
    size=st.sampled_from([1, 2, 7, 1000]),
    hashes=st.sampled_from([1, 3, 2**63]),
)
def test_parts_on_disk_give_what_one_table_gives(
    contract: Contract, drawn: list[tuple[Draw, Place]], skipped: int, left_out: int, size: int, hashes: int
) -> None:
    with tempfile.TemporaryDirectory() as name, cut(size, hashes), ThreadPoolExecutor(2) as pool:
        found = deployment(contract, drawn, Path(name) / "landing")
        whole = load_history(contract, found.landing, found.verdicts, EVER)
        days, workers, version = whole.table.effective_time // DAY, Workers(pool, 2), Version(contract)
        window = (int(days[0] + skipped) * DAY, int(days[-1] + 1 - left_out) * DAY)
        with scratch_beside(Path(name) / "out") as scratch:
            parts = read_history(contract, found.landing, scratch, workers, silent)
            verdicts = CompactVerdicts.of(found.verdicts.items(), EVER)
            landing = landing_of(contract, parts, workers, None, verdicts, EVER)
            assert outcome(landing) == outcome(whole)
            work = partial(shuffled, contract, landing, window, version, lambda ids, entity: ids, scratch, workers)
            if not ((days * DAY >= window[0]) & (days * DAY < window[1])).any():
                with pytest.raises(BadInput, match=r"^no transactions from .*: the input spans"):
                    work(silent)
                return
            expected = PastInMemory.of(whole.table, *window, version)
            assert told(replace(work(silent), with_features=True)) == told(replace(expected, with_features=True))

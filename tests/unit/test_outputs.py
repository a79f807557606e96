"""Where a backfill's days go: to each output what it lacks, to one run at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fraudline.backfill.past import Partition, ScoredDay
from fraudline.contract import load_contract
from fraudline.errors import NotReady
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.transactions.table import from_transactions
from tasks.backfill_outputs import Everything, Outputs, outputs, planned, scratch_for
from tests.realtime.bundles import bundle_files, version_of

CONTRACT = load_contract("ecommerce")
PARTS = [Partition(f"2026-01-0{number}", 0, 0, "") for number in range(1, 5)]


def scored(part: Partition) -> ScoredDay:
    return ScoredDay(part, from_transactions(CONTRACT, []), pa.table({}))


class Lacking:
    """An output that has all but these days."""

    def __init__(self, *numbers: int) -> None:
        self._days = {PARTS[number].day for number in numbers}

    def missing(self, parts: Sequence[Partition]) -> list[Partition]:
        return [part for part in parts if part.day in self._days]


class Noting:
    """An output that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def write(self, day: ScoredDay) -> None:
        self.told.append(day.part.day)

    def close(self, complete: bool) -> None:
        self.told.append(complete)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    files = bundle_files("ecommerce")
    return load_bundle(files.__getitem__, version_of(files))


def test_what_any_output_lacks_is_done() -> None:
    assert Outputs((), [Lacking(2), Lacking(0, 2)]).missing(PARTS) == [PARTS[0], PARTS[2]]
    assert Outputs((), [Lacking()]).missing(PARTS) == []
    assert Outputs((), [Lacking(1), Everything()]).missing(PARTS) == PARTS


@pytest.mark.parametrize("complete", [True, False])
def test_beside_a_comparison_outputs_are_given_the_days_to_be_done_and_no_others(complete: bool) -> None:
    own, other = Noting(), Noting()
    targets = Outputs([own], []).beside(other, PARTS[1:3])
    for target in targets:
        for part in PARTS:
            target.write(scored(part))
        target.close(complete)
    assert own.told == [PARTS[1].day, PARTS[2].day, complete]
    assert other.told == [*(part.day for part in PARTS), complete]


@pytest.mark.parametrize("out", ["days", "all.parquet"])
def test_two_runs_do_not_write_into_one_place_at_a_time(out: str, tmp_path: Path, bundle: Bundle) -> None:
    place = str(tmp_path / out)
    with outputs(place, None, CONTRACT, bundle):
        with (
            pytest.raises(NotReady, match=f"another backfill writes into .*{out}"),
            outputs(place, None, CONTRACT, bundle),
        ):
            pass
        # To look is no harm.
        assert planned(place, None, CONTRACT, bundle).missing(PARTS) == PARTS
    with outputs(place, None, CONTRACT, bundle) as ours:
        assert ours.missing(PARTS) == PARTS


def test_a_large_backfill_works_beside_its_output_or_in_a_folder_called_as_that_is() -> None:
    where: list[tuple[Any, Any, str]] = [
        ("out/april", "april", "out/april"),
        ("s3://reports/backfills/v1", None, "out/backfill-s3-reports-backfills-v1"),
        ("s3://reports/backfills/v1", "april", "out/backfill-april"),
        (None, "april", "out/backfill-april"),
    ]
    assert [str(scratch_for(out, name)) for out, name, _ in where] == [path for _, _, path in where]

"""What a backfill is held against: the decisions of record, another backfill's files, or another version's scores."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudline.adapters.archive.landing import PREFIX
from fraudline.adapters.archive.reading import read_archive
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.backfill.partitions import MANIFEST, Done, Manifest, Place, day_key, digest, read_manifest
from fraudline.adapters.storage.objects import NotFound, Objects
from fraudline.adapters.tables.decisions import Decisions
from fraudline.backfill.comparing import COLUMNS, compare
from fraudline.backfill.diffs import Diff
from fraudline.backfill.past import ScoredDay, decisions
from fraudline.builds import NOTHING_BUILT
from fraudline.clock import format_day, parse_timestamp
from fraudline.contract import Contract
from fraudline.decision import Decision
from fraudline.durations import DAY
from fraudline.errors import BadInput, Tampered
from fraudline.model.bundle import Bundle
from fraudline.model.matrix import score_matrix

READ_SECONDS = 300.0
_SCHEMA = pa.schema([("transaction_id", pa.string()), ("score", pa.float64()), ("is_fraud", pa.int8()),
                     ("model_version", pa.string())])  # fmt: skip


class Before(Protocol):
    """Decisions of one side, a day at a time, in time order."""

    @property
    def name(self) -> str:
        """What they are, in words."""
        ...

    def of_day(self, day: ScoredDay) -> pa.Table:
        """Those on transactions of this day, with `comparing.COLUMNS`; ones of no interest to it included."""
        ...


class DiffTarget:
    """A target that keeps nothing of the days but how they compare."""

    def __init__(self, before: Before) -> None:
        self.before = before
        self.diff = Diff()

    def write(self, day: ScoredDay) -> None:
        self.diff += compare(day.part.day, day.table, self.before.of_day(day), day.decisions)

    def close(self, complete: bool) -> None:
        """Nothing is held open."""


class Days:
    """The decisions of a backfill with one file a day, in a folder or a bucket; those of a day that it has finished."""

    def __init__(self, place: Place, contract: Contract) -> None:
        self.name = f"the decisions in {place.location}"
        self._place = place
        self._contract = contract
        _manifest(place, contract)

    def of_day(self, day: ScoredDay) -> pa.Table:
        # Asked anew each day: a run may be writing there.
        done = _manifest(self._place, self._contract).partitions.get(day.part.day)
        if done is None:
            return _SCHEMA.empty_table()
        key = day_key(day.part.day)
        return _read(pa.BufferReader(self._checked(key, done)), f"{self._place.location}/{key}")

    def _checked(self, key: str, done: Done) -> bytes:
        """`Tampered` if it is not what the manifest says; that of an earlier release says nothing of it."""
        try:
            data = self._place.get(key)
        except NotFound:
            raise self._tampered(key, "is missing") from None
        if done.digest and digest(data) != done.digest:
            raise self._tampered(key, f"is not what {MANIFEST} says: it was changed, or somebody was erased in it")
        return data

    def _tampered(self, key: str, how: str) -> Tampered:
        return Tampered(
            f"{self._place.location}/{key} {how}; run that backfill again, which makes the day anew, or compare with"
            " another one"
        )


class OneFile:
    """The decisions of a backfill in one file of this machine."""

    def __init__(self, path: Path) -> None:
        self.name = f"the decisions in {path}"
        self._path = path
        _check_columns(path, str(path))

    def of_day(self, day: ScoredDay) -> pa.Table:
        return _read(self._path, str(self._path), _of_day(day.part.day))


def _read(source: Path | pa.BufferReader, name: str, filters: pc.Expression | None = None) -> pa.Table:
    _check_columns(source, name)
    try:
        return pq.read_table(source, filters=filters)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(name, error) from error


def _check_columns(source: Path | pa.BufferReader, name: str) -> None:
    try:
        names = pq.read_schema(source).names
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(name, error) from error
    if missing := [column for column in (*COLUMNS, "timestamp") if column not in names]:
        raise BadInput(f"{name} lacks column {missing[0]!r}: compare with what `fraudline backfill` wrote")


def _of_day(day: str) -> pc.Expression:
    start = parse_timestamp(f"{day}T00:00:00Z", "UTC")
    bounds = [pa.scalar(time, pa.timestamp("us", tz="UTC")) for time in (start, start + DAY)]
    return (pc.field("timestamp") >= bounds[0]) & (pc.field("timestamp") < bounds[1])


def _unreadable(name: str, error: Exception) -> BadInput:
    return BadInput(f"{name} cannot be read to compare with: {str(error).splitlines()[0]}")


def _manifest(place: Place, contract: Contract) -> Manifest:
    manifest = read_manifest(place)
    if manifest is None:
        raise BadInput(
            f"{place.location} has no {MANIFEST}: compare with the output of a backfill, a version, or record"
        )
    if manifest.contract != contract.name:
        raise BadInput(
            f"{place.location} holds a backfill of contract {manifest.contract!r}, not of {contract.name!r}:"
            " compare with one of the same contract"
        )
    return manifest


class Record:
    """The decisions of record: what the stream decided, looked up by the transactions' ids.

    Which transactions it decided on besides, the archive tells: it holds each under the day on which it came.
    """

    name = "the decisions of record"

    def __init__(self, decisions: Decisions, landing: Objects, contract: Contract, first_day: str) -> None:
        self._decisions = decisions
        self._archived = _archived_ids(landing, contract, first_day)

    def of_day(self, day: ScoredDay) -> pa.Table:
        archived = self._archived.get(day.part.day, pa.array([], pa.string()))
        ids = pc.unique(pa.concat_arrays([day.table.ids.cast(pa.string()), archived])).to_pylist()
        found = self._decisions.read(ids, within(READ_SECONDS))
        return _table(list(found.values()))


def _archived_ids(landing: Objects, contract: Contract, first_day: str) -> dict[str, pa.StringArray]:
    """By the day on which they counted, the ids of transactions that came on `first_day` or later."""
    found: dict[str, list[pa.StringArray]] = {}
    for arrival in _days_of_arrival(landing):
        if arrival < first_day:
            continue
        table = read_archive(landing, contract, f"{arrival}/", NOTHING_BUILT).table
        day = table.effective_time // DAY
        for number in np.unique(day).tolist():
            found.setdefault(format_day(number * DAY), []).append(table.ids.filter(pa.array(day == number)))
    return {day: pa.concat_arrays(ids) for day, ids in found.items()}


def _days_of_arrival(landing: Objects) -> Iterator[str]:
    last = ""
    for key in landing.list(PREFIX):
        day = key.removeprefix(PREFIX).partition("/")[0]
        if day != last:
            yield day
        last = day


def _table(rows: list[Decision]) -> pa.Table:
    columns = {
        "transaction_id": [row.transaction_id for row in rows],
        "score": [row.score for row in rows],
        "is_fraud": [int(row.is_fraud) for row in rows],
        "model_version": [row.model_version for row in rows],
    }
    return pa.table(columns, _SCHEMA)


class SameFeatures:
    """What another version makes of the very features that the backfill's makes its scores of."""

    def __init__(self, bundle: Bundle) -> None:
        self.name = f"version {bundle.version}"
        self._bundle = bundle

    def of_day(self, day: ScoredDay) -> pa.Table:
        if day.features is None:
            raise ValueError("versions cannot be compared without features")
        return decisions(day.table, score_matrix(self._bundle.scorer, np.asarray(day.features)), self._bundle)


class SecondPass:
    """What a version with other features makes of the same transactions: its own backfill, read beside the first."""

    def __init__(self, bundle: Bundle, days: Iterator[ScoredDay]) -> None:
        self.name = f"version {bundle.version}, of other features"
        self._days = days
        self._ahead: ScoredDay | None = None

    def of_day(self, day: ScoredDay) -> pa.Table:
        while self._ahead is None or self._ahead.part.day < day.part.day:
            self._ahead = next(self._days, None)
            if self._ahead is None:
                return _SCHEMA.empty_table()
        return self._ahead.decisions if self._ahead.part.day == day.part.day else _SCHEMA.empty_table()

"""Input larger than memory that lies in sorted runs: its days put together, one at a time, as their rows counted.

What `history.load_history` and `files.read_transactions` make one table of, a `LargeLanding` gives day by day, with the
same labels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.adapters.archive.history import labelled
from fraudline.adapters.large.compact_verdicts import NO_VERDICTS, CompactVerdicts
from fraudline.adapters.large.repeated_ids import RepeatedIds, are_among
from fraudline.adapters.large.runs import FILES, Run, counted_order, firsts_of
from fraudline.adapters.large.stream_runs import counted, has_no_time
from fraudline.backfill.spilling import ORDER, from_numbers, with_order
from fraudline.backfill.vocabulary import Vocabulary, vocabulary
from fraudline.contract import Contract
from fraudline.labels import with_verdicts
from fraudline.transactions.landed import RejectedRow, Source
from fraudline.transactions.table import Codes, Integers, TransactionTable

# Ids and the name of their entity to ids under which erased people stay.
Rename = Callable[[pa.StringArray, str], pa.StringArray]


@dataclass(frozen=True)
class LargeLanding:
    """All input in sorted runs, and what becomes of its ids; `missed_by` is told by source, if there are builds."""

    sources: tuple[Source, ...]
    runs: tuple[Run, ...]
    rejects: tuple[RejectedRow, ...]
    repeated: RepeatedIds
    missed_by: Integers | None = None
    verdicts: CompactVerdicts = NO_VERDICTS
    as_of: int = 0

    @property
    def rows(self) -> int:
        return sum(source.rows for source in self.sources)

    @property
    def duplicates(self) -> int:
        return self.repeated.duplicates

    @property
    def recorded(self) -> bool:
        """Whether a stream has counted some of the rows."""
        return any(run.origin != FILES for run in self.runs)

    def days(self) -> list[int]:
        """All days (since the epoch) on which rows count."""
        return sorted({day for run in self.runs for day in run.days})

    def vocabularies(self, contract: Contract, rename: Rename) -> list[Vocabulary]:
        """The texts of all runs: by entity, then by category."""
        entities = len(contract.entities)
        named = [vocabulary(self._names(i, entity.name, rename)) for i, entity in enumerate(contract.entities)]
        categories = range(entities, entities + len(contract.categories))
        return named + [vocabulary(run.text(column) for run in self.runs) for column in categories]

    def _names(self, column: int, entity: str, rename: Rename) -> Iterator[pa.StringArray]:
        """Run by run: those of all runs together may be as many as there are rows."""
        return (rename(run.text(column), entity) for run in self.runs)

    def counted(self, entities: Vocabulary) -> "LargeLanding":
        """The same once what the stream keeps has counted after all else; entities are told by their numbers."""
        if not any(map(has_no_time, self.runs)):
            return self
        last, runs = self._last_times(entities), list[Run]()
        for run, numbers in zip(self.runs, entities.numbers, strict=True):
            if has_no_time(run):
                (day,) = run.days
                batch = run.day(day)
                run = counted(run, numbers[batch["text_0"]], self._is_dropped(self._numbers(run, batch)), last)
            runs.append(run)
        return replace(self, runs=tuple(runs))

    def _last_times(self, entities: Vocabulary) -> Integers:
        """By entity, when its last transaction counted."""
        last = np.full(len(entities.values), np.iinfo(np.int64).min)
        for run, numbers in zip(self.runs, entities.numbers, strict=True):
            for day in () if has_no_time(run) else run.days:
                batch = run.day(day)
                kept = ~self._is_dropped(self._numbers(run, batch))
                time = batch["timestamp" if run.origin == FILES else "effective_time"].to_numpy()
                np.maximum.at(last, numbers[batch["text_0"]][kept], time[kept])
        return last

    def day(self, contract: Contract, texts: Sequence[Vocabulary], day: int) -> TransactionTable:
        """The transactions of a day in the order they count, with all labels, texts numbered in their vocabularies."""
        found = [(number, run) for number, run in enumerate(self.runs) if day in run.days]
        runs, batches = [run for _, run in found], [run.day(day) for _, run in found]
        if self.recorded:
            built = bool(contract.lagged_entities)
            batches = [with_order(b, built) if run.origin == FILES else b for run, b in zip(runs, batches, strict=True)]
        numbers = [number for number, _ in found]
        table = from_numbers(contract, batches, [_numbered(i, t, numbers, batches) for i, t in enumerate(texts)])
        shifted = [self._numbers(run, batch) for run, batch in zip(runs, batches, strict=True)]
        table = replace(table, source_row=np.concatenate(shifted))
        order = self._order(table, runs, batches)
        return self._labelled(table.take(order[~self._is_dropped(table.source_row[order])]))

    def _order(self, table: TransactionTable, runs: Sequence[Run], batches: Sequence[pa.RecordBatch]) -> Integers:
        if len(runs) == 1:
            return np.arange(len(table))
        if not self.recorded:
            return counted_order(table.timestamp, table.ids)
        origin = np.repeat([run.origin for run in runs], list(map(len, batches)))
        return counted_order(table.effective_time, pa.chunked_array([batch[ORDER] for batch in batches]), origin)

    def _labelled(self, table: TransactionTable) -> TransactionTable:
        if self.missed_by is not None:
            table = replace(table, missed_by=self._missed_by(table.source_row))
        at, copied = self.repeated.copied.of(table.source_row)
        if len(at):
            missed_by = None if self.missed_by is None else self._missed_by(copied.source_row)
            table = labelled(table, at, copied.label, missed_by)
        return with_verdicts(table, self.verdicts.on(table.ids), self.as_of)

    def _missed_by(self, rows: Integers) -> Integers:
        assert self.missed_by is not None
        return self.missed_by[np.searchsorted(self._firsts, rows, side="right") - 1]

    def _is_dropped(self, rows: Integers) -> npt.NDArray[np.bool_]:
        return are_among(rows, self.repeated.dropped)

    def _numbers(self, run: Run, batch: pa.RecordBatch) -> Integers:
        """The rows' numbers in all input."""
        numbers: Integers = batch["source_row"].to_numpy() + self._firsts[run.source]
        return numbers

    @cached_property
    def _firsts(self) -> Integers:
        return firsts_of(self.sources)


def _numbered(column: int, texts: Vocabulary, runs: Sequence[int], batches: Sequence[pa.RecordBatch]) -> Codes:
    pairs = zip(runs, batches, strict=True)
    return Codes(np.concatenate([texts.numbers[run][batch[f"text_{column}"]] for run, batch in pairs]), texts.values)

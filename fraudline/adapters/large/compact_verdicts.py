"""The label store in columns: people may have a verdict on every transaction, and all of them are held at once."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudline.adapters.large.runs import Hashes, hashes_of
from fraudline.labels import Verdict
from fraudline.transactions.table import Integers

_IDS_AT_ONCE = 100_000


@dataclass(frozen=True)
class CompactVerdicts:
    """Verdicts in the order of their ids' hashes, those on one id as they were given; who gave them is not kept."""

    hashes: Hashes
    ids: pa.ChunkedArray
    labels: npt.NDArray[np.int8]
    known_at: Integers
    missed_by: Integers

    @staticmethod
    def of(verdicts: Iterable[tuple[str, Sequence[Verdict]]], as_of: int) -> "CompactVerdicts":
        """Those known by `as_of` (microseconds)."""
        chunks, ids = list[pa.StringArray](), list[str]()
        labels, known_at, missed_by = array("b"), array("q"), array("q")
        for id_, given in verdicts:
            for verdict in given:
                if verdict.known_at <= as_of:
                    ids.append(id_)
                    labels.append(verdict.label)
                    known_at.append(verdict.known_at)
                    missed_by.append(verdict.missed_by)
            if len(ids) >= _IDS_AT_ONCE:
                chunks.append(pa.array(ids, pa.string()))
                ids = []
        chunks.append(pa.array(ids, pa.string()))
        hashes = np.concatenate([hashes_of(chunk) for chunk in chunks])
        order = np.argsort(hashes, kind="stable")
        return CompactVerdicts(
            hashes[order],
            pa.chunked_array(chunks).take(pa.array(order)),
            np.array(labels, np.int8)[order],
            np.array(known_at, np.int64)[order],
            np.array(missed_by, np.int64)[order],
        )

    def on(self, ids: pa.StringArray) -> dict[str, list[Verdict]]:
        """The verdicts on these transactions, as far as there are any."""
        if not len(self.hashes):
            return {}
        hashes = hashes_of(ids)
        first = np.searchsorted(self.hashes, hashes)
        known = np.flatnonzero(self.hashes[np.minimum(first, len(self.hashes) - 1)] == hashes)
        last = np.searchsorted(self.hashes, hashes[known], side="right")
        asked = ids.take(pa.array(known)).to_pylist()
        found: dict[str, list[Verdict]] = {}
        for id_, begin, end in zip(asked, first[known].tolist(), last.tolist(), strict=True):
            given = [self._verdict(at) for at in range(begin, end) if self.ids[at].as_py() == id_]
            if given:
                found[id_] = given
        return found

    def _verdict(self, at: int) -> Verdict:
        return Verdict(int(self.labels[at]), int(self.known_at[at]), "", missed_by=int(self.missed_by[at]))


NO_VERDICTS = CompactVerdicts.of([], 0)

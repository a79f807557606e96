"""Texts as numbers across tables that were read apart: each text of a column has one, wherever it stands."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Vocabulary:
    """Text t of part p is `values[numbers[p][t]]`; no value comes twice."""

    values: pa.StringArray
    numbers: list[Numbers]


def vocabulary(parts: Iterable[pa.StringArray]) -> Vocabulary:
    """The vocabulary of the texts of many parts; those of one part may come again in it.

    >>> words = vocabulary([pa.array(["b", "a"]), pa.array(["c", "b", "b"])])
    >>> words.values.to_pylist(), [numbers.tolist() for numbers in words.numbers]
    (['b', 'a', 'c'], [[0, 1], [2, 0, 0]])
    """
    values, numbers, waiting, size = pa.array([], pa.string()), list[Numbers](), list[pa.StringArray](), 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        # Whatever is known is gone through again with each merge: not before as many have come to it.
        if size >= len(values):
            values, merged = _merged(values, waiting)
            numbers += merged
            waiting, size = [], 0
    values, merged = _merged(values, waiting)
    return Vocabulary(values, numbers + merged)


def _merged(values: pa.StringArray, parts: list[pa.StringArray]) -> tuple[pa.StringArray, list[Numbers]]:
    """The values with what the parts add to them, and each part's numbers among them."""
    chunks = [pa.DictionaryArray.from_arrays(np.arange(len(part), dtype=np.int32), part) for part in (values, *parts)]
    known, *merged = pa.chunked_array(chunks).unify_dictionaries().chunks
    return known.dictionary, [chunk.indices.to_numpy() for chunk in merged]


class Appearance:
    """Numbers of a vocabulary of `size` values, given out anew in the order in which they appear in rows."""

    def __init__(self, size: int) -> None:
        self._number = np.full(size, -1, np.int32)
        self._appeared = 0

    def of(self, numbers: Numbers) -> Numbers:
        """The next rows' numbers by appearance in all rows so far."""
        new = pa.array(numbers[self._number[numbers] < 0]).dictionary_encode().dictionary.to_numpy()
        self._number[new] = np.arange(self._appeared, self._appeared + len(new))
        self._appeared += len(new)
        return self._number[numbers]

    def numbers(self) -> npt.NDArray[np.int64]:
        """The vocabulary's numbers in the order in which they appeared."""
        known = np.flatnonzero(self._number >= 0)
        return known[np.argsort(self._number[known])]

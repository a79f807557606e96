"""JSON of many rows, made column by column: each kernel call does a step for all rows, and no row is built as a dict.

A row is described by a dict like the one it would be, with columns where rows differ.
"""

import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# Text that every row has, or each row's own.
Piece: TypeAlias = "str | pa.StringArray"


@dataclass(frozen=True)
class Column:
    """The JSON of a value that differs from row to row, in pieces to be joined."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Where:
    """A member that only some rows have; it must not be an object's first."""

    rows: npt.NDArray[np.bool_]
    value: Any


def json_rows(row: Mapping[str, Any]) -> list[msgspec.Raw]:
    """The JSON of each row of at least one column. Some thousand at a time: Arrow's texts end at 2 GiB.

    >>> [bytes(row) for row in json_rows({"v": 1, "id": quoted(pa.array(["a", "b"]))})]
    [b'{"v":1,"id":"a"}', b'{"v":1,"id":"b"}']
    """
    texts = pc.binary_join_element_wise(*_merged(_pieces(row)), "")
    return [msgspec.Raw(text) for text in texts.to_pylist()]


def quoted(texts: pa.StringArray) -> Column:
    """Strings, whatever they hold."""
    return Column((pa.array([msgspec.json.encode(text) for text in texts.to_pylist()], pa.string()),))


def plain(texts: pa.StringArray) -> Column:
    """Strings that hold nothing to escape, such as numbers."""
    return Column(('"', texts, '"'))


def booleans(values: npt.NDArray[np.bool_]) -> Column:
    return Column((pc.if_else(pa.array(values), "true", "false"),))


def times(micros: npt.NDArray[np.int64]) -> Column:
    """Each as `fraudline.clock.format_micros` writes it."""
    texts = pa.array(micros).cast(pa.timestamp("us")).cast(pa.string())
    return Column(('"', pc.replace_substring(texts, " ", "T"), 'Z"'))


def base64_rows(rows: npt.NDArray[np.uint8]) -> Column:
    """Each row of bytes in base64; all are encoded at once, filled up to whole groups of three bytes."""
    count, size = rows.shape
    spare = -size % 3
    width = (size + spare) // 3 * 4
    text = bytearray(binascii.b2a_base64(np.pad(rows, ((0, 0), (0, spare))).data, newline=False))
    np.frombuffer(text, np.uint8).reshape(count, width)[:, width - spare :] = ord("=")
    ends = np.arange(0, len(text) + 1, width, dtype=np.int32)
    return plain(pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(text)))


def _pieces(value: Any) -> Iterator[Piece]:
    if isinstance(value, Column):
        yield from value.pieces
    elif isinstance(value, Mapping):
        for number, (name, member) in enumerate(value.items()):
            yield from _member(f'{"," if number else "{"}"{name}":', member)
        yield "}"
    else:
        yield msgspec.json.encode(value).decode()


def _member(name: str, value: Any) -> Iterator[Piece]:
    if isinstance(value, Where):
        text = pc.binary_join_element_wise(name, *_pieces(value.value), "")
        yield pc.if_else(pa.array(value.rows), text, "")
    else:
        yield name
        yield from _pieces(value)


def _merged(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The same with neighbouring constants as one: each piece is a step for every row."""
    for is_constant, group in groupby(pieces, lambda piece: isinstance(piece, str)):
        if is_constant:
            yield "".join(group)
        else:
            yield from group

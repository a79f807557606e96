"""CSV in which a quote that nothing closes ends with its line.

To a reader of CSV such a quote opens a cell that goes on to the next quote or to the end of the file, and with it go
all rows between, good ones too. So before anything is parsed, a quote at the start of a cell must have its end: one
that is followed by a comma, a line's end or the file's, at most a megabyte away. Where it has none it is blotted out by
a NUL, which no id and no category may hold: the row is refused alone, or kept where nobody reads that cell.
"""

import io
import re
from collections.abc import Iterator
from typing import IO

BLOT = b"\0"
# Arrow reads no longer cell.
MAX_CELL = 2**20
_BLOCK = 2**20
_ENDS = (bytearray(b","), bytearray(b"\r"), bytearray(b"\n"), bytearray())
_CELL = rb'(?:"(?:[^"]|""){0,%d}+"|[^",\r\n][^,\r\n]*+|)' % MAX_CELL
# Whole rows without a fault, however many lines they have.
_SOUND = re.compile(rb"(?:(?>" + _CELL + rb"(?:," + _CELL + rb")*+[\r\n]))*+")
_LINE_END = re.compile(rb"[\r\n]")


def without_stray_quotes(stream: IO[bytes]) -> io.BufferedReader:
    """The same bytes from here on, as many, stray quotes blotted out."""
    return io.BufferedReader(_Chunks(whole_rows(stream)), _BLOCK)


def is_closed(row: str) -> bool:
    """Whether a row by itself leaves no quote open."""
    data = row.encode("utf-8", "surrogatepass")
    return without_stray_quotes(io.BytesIO(data)).read() == data


def whole_rows(stream: IO[bytes]) -> Iterator[bytes]:
    """The same, some rows at a time, none of them in two parts."""
    data, final = bytearray(), False
    while not final:
        block = stream.read(_BLOCK)
        final = not block
        data += block
        end = _judged(data, final) if b'"' in data else len(data) if final else data.rfind(b"\n") + 1
        yield bytes(data[:end])
        del data[:end]


def _judged(data: bytearray, final: bool) -> int:
    """Up to where the rows are judged; `data` begins with a row."""
    at = 0
    while at < len(data):
        at = _SOUND.match(data, at).end()  # type: ignore[union-attr] # no rows match, too
        end = _row_end(data, at, final)
        if end is None:
            break
        at = end
    return at


def _row_end(data: bytearray, begin: int, final: bool) -> int | None:
    """Where the row that begins here ends, its stray quotes blotted out; None if only what follows can tell."""
    at = begin
    while True:
        line_end = _LINE_END.search(data, at)
        if line_end is None and not final:
            return None
        stop = line_end.start() if line_end else len(data)
        opened = _left_open(data, at, stop)
        if opened is None:
            return min(stop + 1, len(data))
        closed = _closing(data, opened + 1, opened + MAX_CELL)
        if not final and (closed is None or closed + 1 == len(data)) and len(data) < opened + MAX_CELL:
            return None
        if closed is not None and data[closed + 1 : closed + 2] in _ENDS:
            at = closed + 1
        else:
            data[opened : opened + 1] = BLOT
            at = opened + 1


def _left_open(data: bytearray, at: int, stop: int) -> int | None:
    """The quote that opens a cell and has no end before `stop`."""
    while True:
        closed = _closing(data, at + 1, stop) if data[at : at + 1] == b'"' else at
        if closed is None:
            return at
        comma = data.find(b",", closed, stop)
        if comma < 0:
            return None
        at = comma + 1


def _closing(data: bytearray, at: int, stop: int) -> int | None:
    """The first quote that is not doubled."""
    while (quote := data.find(b'"', at, stop)) >= 0:
        if data[quote + 1 : quote + 2] != b'"':
            return quote
        at = quote + 2
    return None


class _Chunks(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

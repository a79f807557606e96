"""CSV is read a piece at a time, as if it were one, and by nobody but who asks for it."""

import io
import threading

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.adapters.inputs.csv_reading import csv_options, csv_tables
from fraudline.transactions import quotes

HEADER = b"x,y\n"


class Watched(io.BytesIO):
    """A file that knows which threads read it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.readers: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        self.readers.add(threading.get_ident())
        return super().read(size)


def test_a_file_is_read_by_who_asks_for_it_and_no_further() -> None:
    """Arrow's own stream reads ahead in another thread: at the process's end that one hung, or aborted it."""
    file = Watched(HEADER + b"1,2\n" * 2**20)
    first = next(csv_tables(HEADER, file, print))
    assert file.readers == {threading.get_ident()}
    assert 0 < len(first) < 2**19
    assert file.tell() < 2**21


def test_a_byte_that_is_no_utf8_is_said_by_who_asks_for_it() -> None:
    file = Watched(HEADER + b"1,2\n" * 2**19 + b"\xe9,2\n" + b"1,2\n" * 2**19)
    with pytest.raises(pa.ArrowInvalid, match="invalid UTF8"):
        list(csv_tables(HEADER, file, print))
    assert file.readers == {threading.get_ident()}


@settings(max_examples=200, deadline=None)
@given(body=st.text('ab,"\n\r ', max_size=80), block=st.integers(1, 40))
def test_pieces_are_read_as_the_whole_is(body: str, block: int) -> None:
    data, torn, whole_torn = f"x,y\n{body}".encode(), [], []
    options = csv_options(HEADER, lambda row: whole_torn.append((row.number, row.text)))
    sound = quotes.without_stray_quotes(io.BytesIO(data)).read()
    one_thread = pa.csv.ReadOptions(use_threads=False)
    whole = pa.csv.read_csv(io.BytesIO(sound), read_options=one_thread, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quotes, "_BLOCK", block)
        tables = list(csv_tables(HEADER, io.BytesIO(data), lambda row: torn.append((row.number, row.text))))
    assert pa.concat_tables(tables).to_pylist() == whole.to_pylist()
    assert torn == whole_torn
    assert {tuple(table.column_names) for table in tables} == {("x", "y")}

"""A quote that nothing closes takes its own row along, and no other."""

import csv
import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fraudline.adapters.inputs.files import load_transactions
from fraudline.transactions import quotes
from fraudline.transactions.quotes import BLOT, without_stray_quotes
from tests.unit.test_files import COLUMNS, SHOP, line
from tests.unit.test_files import csv as csv_file

cells = st.text(st.sampled_from('ab",\n\r é'), max_size=8)
tables = st.lists(st.lists(cells, min_size=1, max_size=4), max_size=12)


class Drip(io.BytesIO):
    """Gives a few bytes at a time, so that every border falls everywhere."""

    size = 1

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.size)


def blotted(data: bytes, size: int = 2**20) -> bytes:
    stream = Drip(data)
    stream.size = size
    return without_stray_quotes(stream).read()


@given(tables, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.integers(1, 20), st.sampled_from(["\n", "\r\n"]))
def test_sound_csv_stays_as_it_is(table: list[list[str]], quoting: int, size: int, end: str) -> None:
    written = io.StringIO()
    csv.writer(written, quoting=quoting, lineterminator=end).writerows(table)  # type: ignore[arg-type]
    data = written.getvalue().encode()
    assert blotted(data, size) == data
    assert blotted(data.rstrip(b"\n"), size) == data.rstrip(b"\n")


@given(st.integers(0, 39), st.integers(0, 3), st.integers(1, 50), st.booleans())
def test_a_stray_quote_is_blotted_out_wherever_it_stands(row: int, column: int, size: int, quoted: bool) -> None:
    rows = [[f"r{n}c{m}" for m in range(4)] for n in range(40)]
    whole = [",".join(f'"{cell}"' if quoted and n % 3 else cell for cell in cells) for n, cells in enumerate(rows)]
    stray = [*rows[row][:column], f'"{rows[row][column]}', *rows[row][column + 1 :]]
    whole[row] = ",".join(stray)
    data = "\n".join(whole).encode()
    assert blotted(data, size) == data.replace(whole[row].encode(), whole[row].replace('"', "\0").encode())


def test_a_quote_within_a_cell_is_a_letter() -> None:
    data = b'a,5" screen,b\nc,"d",6" screen\n'
    assert blotted(data) == data


def test_the_rows_after_a_stray_quote_are_read(tmp_path: Path) -> None:
    """One in an id, one in a cell that nobody reads, one in the last cell, and a cell of two lines after them."""
    rows = [line(number, minute=number % 60) + ",note" for number in range(3000)]
    rows[10] = '"' + rows[10]
    rows[20] = rows[20].replace(",note", ',"note')
    rows[30] = rows[30].replace(",0,note", ',"0,note')
    rows[2000] = rows[2000].replace(",note", ',"two\nlines"')
    path = tmp_path / "t.csv"
    path.write_bytes(csv_file(*rows, header=COLUMNS + ",note"))
    landed = load_transactions(SHOP, [str(path)])
    assert (landed.rows, len(landed.table)) == (3000, 2998)
    assert [(reject.row, reject.raw) for reject in landed.rejects] == [(10, rows[10]), (30, rows[30])]


def test_a_cell_that_is_too_long_to_read_is_no_cell() -> None:
    data = b'a,"b\n' + b"c,d\n" * (quotes.MAX_CELL // 4) + b'e,f"\n'
    assert blotted(data) == data.replace(b'"b', BLOT + b"b")

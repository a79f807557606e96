"""CSV as Arrow reads it: every cell as the text it is, rows of another width left out and told.

A megabyte at a time, for Arrow's own stream of a file reads ahead in a thread that calls Python. Whoever left it in the
middle, for a column that is missing or a byte that is no UTF-8, ended while that thread still asked for the
interpreter: the process hung or was aborted.
"""

import io
from collections.abc import Callable, Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv

from fraudline.transactions.cells import MISSING_CELLS
from fraudline.transactions.quotes import whole_rows

# Arrow numbers the header 1 and leaves out blank lines.
FIRST_ROW = 2
_LARGEST_BLOCK = 2**31 - 1


def csv_tables(header: bytes, stream: IO[bytes], tear: Callable[[pa.csv.InvalidRow], object]) -> Iterator[pa.Table]:
    """Rows from the stream's beginning, of which `header` is the first line; at least one table, all with its columns.

    Stray quotes end with their line; torn rows are told to `tear` by their numbers, in order.
    """
    torn: list[pa.csv.InvalidRow] = []
    options, names, done = csv_options(header, torn.append), None, 0
    for rows in whole_rows(stream):
        if rows.strip(b"\r\n"):
            # With threads Arrow does not say which rows are torn; without, it takes half the CPU.
            how = pa.csv.ReadOptions(
                use_threads=False, column_names=names, block_size=min(len(rows) + 1, _LARGEST_BLOCK)
            )
            table = pa.csv.read_csv(pa.BufferReader(rows), read_options=how, **options)
            for row in torn:
                tear(row._replace(number=row.number + done))
            done += len(table) + len(torn) + (names is None)
            names = table.column_names
            torn.clear()
            yield table


def csv_options(header: bytes, tear: Callable[[pa.csv.InvalidRow], object]) -> dict[str, Any]:
    """How Arrow shall read CSV: cells as the texts they are, rows of another width left out and given to `tear`."""
    names = pa.csv.read_csv(io.BytesIO(header)).column_names

    def skip(row: pa.csv.InvalidRow) -> str:
        tear(row)
        return "skip"

    return {
        "parse_options": pa.csv.ParseOptions(invalid_row_handler=skip, newlines_in_values=True),
        "convert_options": pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=True,
            null_values=list(MISSING_CELLS),
        ),
    }

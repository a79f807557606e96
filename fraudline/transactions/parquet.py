"""Parquet within bounds: a file of kilobytes may hold what unpacks to terabytes.

A text that repeats is stored once and a run of numbers as its length. So texts are read as the dictionaries that they
are stored as, what they would unpack to is added up batch by batch, and only what fits is unpacked.
"""

from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudline.errors import BadInput

# What fits the memory we promise.
MAX_BYTES = 4 * 2**30
# Of what is read a batch at a time.
MAX_BATCH_BYTES = 2**29
_BATCH = 8192
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}


def open_parquet(stream: IO[bytes], source: str) -> pq.ParquetFile:
    """The file, its texts as dictionaries; `BadInput` if its numbers alone are too many."""
    file = pq.ParquetFile(stream)
    size = sum(_claimed(file, group, column) for group, column in _chunks(file))
    if size > MAX_BYTES:
        raise too_large(source, size)
    return open_packed(stream)


def open_packed(stream: IO[bytes]) -> pq.ParquetFile:
    """The file, its texts as dictionaries."""
    stream.seek(0)
    schema = pq.ParquetFile(stream).schema
    leaves = [schema.column(index) for index in range(len(schema))]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY" and leaf.logical_type.type != "DECIMAL"]
    stream.seek(0)
    return pq.ParquetFile(stream, read_dictionary=texts)


def read_columns(file: pq.ParquetFile, source: str, names: Sequence[str]) -> pa.Table:
    """These columns as their plain types; `BadInput` before they take too much memory."""
    size, parts = 0, []
    for batch in file.iter_batches(batch_size=_BATCH, columns=list(names)):
        size += unpacked_bytes(batch)
        if size > MAX_BYTES:
            raise too_large(source, size)
        parts.append(_unpacked(batch))
    return pa.Table.from_batches(parts) if parts else _unpacked(file.schema_arrow.empty_table().select(list(names)))


def unpacked_batches(
    file: pq.ParquetFile, source: str, rows: int, groups: Sequence[int], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """These row groups' columns as their plain types, so many rows at a time; `BadInput` where a batch is too large."""
    for batch in file.iter_batches(rows, list(groups), list(names), use_threads=False):
        size = unpacked_bytes(batch)
        if size > MAX_BATCH_BYTES:
            raise too_large(source, size, MAX_BATCH_BYTES)
        yield _unpacked(batch)


def batches(file: pq.ParquetFile) -> Iterator[tuple[int, pa.RecordBatch]]:
    """All columns, still packed, some rows at a time: the number of the first, and the rows."""
    first = 0
    for batch in file.iter_batches(batch_size=_BATCH):
        yield first, batch
        first += batch.num_rows


def unpacked_bytes(batch: pa.RecordBatch) -> int:
    """What a batch takes once its dictionaries are unpacked."""
    return sum(_bytes(column) for column in batch.columns)


def too_large(source: str, size: int, most: int = MAX_BYTES) -> BadInput:
    return BadInput(f"{source} unpacks to {size} bytes or more, {most} are allowed: split it")


def _chunks(file: pq.ParquetFile) -> Iterator[tuple[int, int]]:
    yield from ((group, column) for group in range(file.num_row_groups) for column in range(len(file.schema)))


def _claimed(file: pq.ParquetFile, group: int, column: int) -> int:
    """Bytes of a column's numbers, or of its references to texts."""
    leaf = file.schema.column(column)
    chunk = file.metadata.row_group(group).column(column)
    return int(chunk.num_values) * int(_WIDTHS.get(leaf.physical_type, leaf.length))


def _bytes(array: pa.Array) -> int:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _bytes_of_references(array)
    if pa.types.is_struct(kind):
        return sum(map(_bytes, array.flatten()))
    if pa.types.is_map(kind):
        return _bytes(array.keys) + _bytes(array.items)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _bytes(array.flatten())
    return int(array.nbytes)


def _bytes_of_references(array: pa.DictionaryArray) -> int:
    kind = array.type.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)):
        return int(array.nbytes)
    lengths = pc.binary_length(array.dictionary).cast(pa.int64()).take(array.indices)
    return int(array.indices.nbytes) + int(pc.sum(lengths).as_py() or 0)


def _unpacked(batch: pa.RecordBatch | pa.Table) -> pa.RecordBatch | pa.Table:
    kinds = [f.with_type(f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in batch.schema]
    return batch.cast(pa.schema(kinds))

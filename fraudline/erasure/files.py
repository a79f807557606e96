"""Erased ids in whole files, by the format that a name's ending tells, and in tables: rows stay, the ids are others."""

import base64
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudline.archive import gunzip
from fraudline.erasure.people import Erased, found_in
from fraudline.errors import BadInput, FraudlineError
from fraudline.transactions.parquet import open_parquet, read_columns
from fraudline.transactions.table import Codes, TransactionTable, encode

# That of `fraudline.archive`, so that an archive object stays what another attempt at its batch would write.
_COMPRESSION = 1
# A refused record's bytes in the quarantine.
_ENCODED = re.compile(r'"data": ?"([A-Za-z0-9+/]+={0,2})"')


def rewritten(name: str, data: bytes, erased: Erased) -> bytes:
    """The file without erased ids: the very same bytes if it holds none."""
    with _readable(name):
        return _handler(name)(data, erased)


def tells_of(name: str, data: bytes, id_: str) -> bool:
    """Whether a file, unpacked, still holds a (distinctive) id."""
    with _readable(name):
        return any(found_in(text, id_) for text in (name, *_texts(name, data)))


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Nobody knows whom a file tells of that cannot be read: it is for people to repair or to remove."""
    try:
        yield
    except FraudlineError as error:
        raise type(error)(f"{name}: {error}") from error
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        sentence = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(
            f"{name} cannot be searched for ids ({sentence}): repair or remove it, then run it again"
        ) from error


def with_pseudonyms(table: TransactionTable, erased: Erased) -> TransactionTable:
    """The table with erased people under their pseudonyms; rows under the one and the other name are of one person."""
    if not erased:
        return table
    pairs = zip(table.contract.entities, table.entities, strict=True)
    return replace(table, entities=tuple(_renamed(codes, entity.name, erased) for entity, codes in pairs))


def _renamed(codes: Codes, entity: str, erased: Erased) -> Codes:
    renamed = pseudonyms(codes.values, entity, erased)
    if renamed is codes.values:
        return codes
    new = encode(renamed)
    return Codes(new.codes[codes.codes], new.values)


def pseudonyms(ids: pa.StringArray, entity: str, erased: Erased) -> pa.StringArray:
    """The ids, those of erased people replaced: the very same array where there are none."""
    if not erased:
        return ids
    known = ids.to_pylist()
    renamed = [erased.of(entity, id_) or id_ for id_ in known]
    return ids if renamed == known else pa.array(renamed, pa.string())


def _handler(name: str) -> Callable[[bytes, Erased], bytes]:
    handlers = {
        ".jsonl.gz": _gzipped, ".jsonl": _lines, ".ndjson": _lines, ".json": _json, ".csv": _csv, ".parquet": _parquet,
        ".html": _text, ".md": _text, ".txt": _text,
    }  # fmt: skip
    return next((handler for ending, handler in handlers.items() if name.lower().endswith(ending)), _untouched)


def _untouched(data: bytes, erased: Erased) -> bytes:
    """Pictures and models hold no rows of people; what does after all, the search at the end finds."""
    return data


def _gzipped(data: bytes, erased: Erased) -> bytes:
    lines = gunzip(data)
    changed = _lines(lines, erased)
    return data if changed == lines else gzip.compress(changed, compresslevel=_COMPRESSION, mtime=0)


def _lines(data: bytes, erased: Erased) -> bytes:
    return b"\n".join(_json(line, erased) if line.strip() else line for line in data.split(b"\n"))


def _json(data: bytes, erased: Erased) -> bytes:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _text(data, erased)
    changed = erased.value(value)
    return data if changed == value else msgspec.json.encode(changed)


def _text(data: bytes, erased: Erased) -> bytes:
    text = data.decode("utf-8", "surrogateescape")
    changed = erased.text(text)
    return data if changed == text else changed.encode("utf-8", "surrogateescape")


def _csv(data: bytes, erased: Erased) -> bytes:
    """Cells of every row, torn ones too, by their column; the ends of lines stay as they are."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error:
        return _text(data, erased)
    header = rows[0] if rows else []
    names = [*header, *[""] * max((len(row) - len(header) for row in rows), default=0)]
    changed = [[erased.cell(cell, name) for cell, name in zip(row, names, strict=False)] for row in rows]
    if changed == rows:
        return data
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n" if "\r\n" in text else "\n").writerows(changed)
    return out.getvalue().encode("utf-8", "surrogateescape")


def _parquet(data: bytes, erased: Erased) -> bytes:
    table = changed = _whole(data)
    for index, field in enumerate(table.schema):
        column = _column(table.column(index), field.name, erased)
        if column is not None:
            changed = changed.set_column(index, field.name, column)
    if changed is table:
        return data
    sink = pa.BufferOutputStream()
    # What pandas noted of its types is no longer so where numbers have become texts.
    pq.write_table(changed.replace_schema_metadata(None), sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _whole(data: bytes) -> pa.Table:
    file = open_parquet(io.BytesIO(data), "it")
    return read_columns(file, "it", file.schema_arrow.names)


def _column(column: pa.ChunkedArray, name: str, erased: Erased) -> pa.Array | None:
    """The column with other ids, as texts; None if there is nothing to replace."""
    if not (_is_text(column.type) or pa.types.is_integer(column.type)):
        return None
    texts = column.cast(pa.string()).combine_chunks()
    encoded = texts.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    changed = [erased.cell(value, name) for value in values]
    if changed == values or (pa.types.is_integer(column.type) and not erased.is_entity(name)):
        return None
    return pa.array(changed, pa.string()).take(encoded.indices)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _texts(name: str, data: bytes) -> Iterator[str]:
    """What a file says, in all the forms in which it may say it."""
    if name.lower().endswith(".gz"):
        data = gunzip(data)
    if name.lower().endswith(".parquet"):
        table = _whole(data)
        for column in table.columns:
            if _is_text(column.type) or pa.types.is_integer(column.type):
                yield "\n".join(filter(None, pc.unique(column.cast(pa.string())).to_pylist()))
    text = data.decode("utf-8", "surrogateescape")
    yield text
    yield from (base64.b64decode(encoded).decode("utf-8", "surrogateescape") for encoded in _ENCODED.findall(text))

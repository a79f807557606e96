"""Erased people: whose ids are replaced by which random ones, told by keyed hashes so that nobody can read them here.

A tombstone is a person's HMAC-SHA256 and pseudonym. Whoever holds the key and meets an id can say whether it is an
erased one; from the tombstone alone nobody can tell who it was. docs/erasure.md is the argument.
"""

import base64
import csv
import hashlib
import hmac
import io
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from fraudline.contract import Contract
from fraudline.stream import Batch, Record

PREFIX = "erased-"
# Ids remembered with their answer, so that each costs one HMAC.
_REMEMBERED = 1 << 17
_QUOTED = re.compile(r'(?<=")[^"\\]{1,128}(?=")')
_WORD = re.compile(r"[\w.@+-]+")
_PART = re.compile(r"\w+")
# Shorter digits are amounts and dates, shorter words are words.
_LONG_NUMBER = 8
_LONG_WORD = 6


class Tombstone(msgspec.Struct, frozen=True):
    """An erased id of an entity: `person` is its keyed hash (hex), `erased_at` microseconds since the epoch."""

    person: str
    entity: str
    pseudonym: str
    erased_at: int


def keyed_hash(key: bytes, entity: str, id_: str) -> str:
    """HMAC-SHA256 of an entity's id, in hex."""
    return hmac.digest(key, f"{entity}\0{id_}".encode("utf-8", "surrogateescape"), "sha256").hex()


def is_distinctive(id_: str) -> bool:
    """Whether a text that holds this id as a word tells of nothing else; a short number may be any number.

    >>> [is_distinctive(id_) for id_ in ("U17", "4539148803436467", "17", "ann", "ann@example.org")]
    [True, True, False, False, True]
    """
    if id_.isdigit():
        return len(id_) >= _LONG_NUMBER
    return len(id_) >= _LONG_WORD or (len(id_) > 1 and any(char.isdigit() for char in id_))


class Erased:
    """The ids of erased people and their pseudonyms, in everything that may hold them.

    `known` are ids (of the entity they belong to) that are searched for as they are, besides what hashes find.
    """

    def __init__(
        self,
        contract: Contract,
        key: bytes,
        tombstones: Iterable[Tombstone],
        known: Collection[tuple[str, str]] = (),
    ) -> None:
        self._key = key
        self._found = {(t.entity, t.person): t.pseudonym for t in tombstones}
        self.pseudonyms = frozenset(self._found.values())
        self._entities = sorted({entity for entity, _ in self._found})
        self._partition = contract.partition_entity.name
        lagged = {e.name: e.column for e in contract.lagged_entities if e.name in self._entities}
        self._lagged = msgspec.json.Decoder(_ids_of(lagged)) if lagged else None
        # In files an entity goes by its column, in decisions and backfills by its name.
        self._columns = {part: e.name for e in contract.entities for part in (e.column, e.name)}
        self.of = lru_cache(_REMEMBERED)(self._of)
        self._known = {id_: self._of(entity, id_) or "" for entity, id_ in known}

    def __bool__(self) -> bool:
        return bool(self._found)

    def _of(self, entity: str, id_: str) -> str | None:
        return self._found.get((entity, keyed_hash(self._key, entity, id_)))

    def digest(self, old: bytes) -> bytes:
        """What stands for a digest of values that nobody has any more: eight bytes that confirm no guess of them."""
        return hmac.digest(self._key, old, hashlib.sha256)[:8]

    def is_entity(self, column: str) -> bool:
        """Whether a column holds an entity's ids."""
        return column in self._columns

    # The stream

    def batch(self, batch: Batch) -> Batch:
        """The batch as it is done: records of erased people under their pseudonyms. Doing so twice changes nothing."""
        if not self._found:
            return batch
        return msgspec.structs.replace(batch, records=tuple(map(self._record, batch.records)))

    def refused(self, batch: Batch, positions: Collection[str]) -> Batch:
        """The batch as its refused records are kept: what cannot be read is searched word by word."""
        if not self._found:
            return batch
        records = [self._searched(r) if r.position in positions else r for r in batch.records]
        return msgspec.structs.replace(batch, records=tuple(records))

    def _record(self, record: Record) -> Record:
        """One that cannot be read is refused, and searched as such."""
        is_theirs = self.of(self._partition, record.partition_key) is not None or self._names_later(record.data)
        return self._searched(record) if is_theirs else record

    def _names_later(self, data: bytes) -> bool:
        """Whether a record is of an erased lagged entity; its ids alone are decoded."""
        if self._lagged is None:
            return False
        try:
            ids = msgspec.structs.asdict(self._lagged.decode(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return any(self.of(entity, str(id_)) is not None for entity, id_ in ids.items())

    def _searched(self, record: Record) -> Record:
        key = self.of(self._partition, record.partition_key)
        return msgspec.structs.replace(
            record,
            data=self.raw(record.data, record.partition_key),
            partition_key=key or record.partition_key,
            placed_by=record.placed_by or record.partition_key,
        )

    # Values and texts

    def raw(self, data: bytes, partition_key: str = "") -> bytes:
        """A record's bytes, by its columns if it is a JSON object, else word by word; the same if there is nothing."""
        try:
            record = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = None
        if isinstance(record, dict) and (replaced := self.value(record)) != record:
            return msgspec.json.encode(replaced)
        text = data.decode("utf-8", "surrogateescape")
        replaced_text = self.text(text)
        if pseudonym := self.of(self._partition, partition_key):
            replaced_text = _whole(partition_key).sub(pseudonym, replaced_text)
        return data if replaced_text == text else replaced_text.encode("utf-8", "surrogateescape")

    def value(self, value: Any, column: str = "") -> Any:
        """A JSON value; DynamoDB's typed values and a quarantine's encoded bytes are such, too."""
        if isinstance(value, dict):
            if "partition_key" in value and "data" in value:
                value = self._reject(value)
            if value.get("header") and isinstance(value.get("raw"), str):
                value = {**value, "raw": self._csv_row(value["header"], value["raw"])}
            # DynamoDB's {"S": text} is a value of the attribute it stands in.
            return {name: self.value(part, column if name in ("S", "N") else name) for name, part in value.items()}
        if isinstance(value, list):
            return [self.value(part, column) for part in value]
        if isinstance(value, str):
            return self.cell(value, column)
        if type(value) is int and column in self._columns:
            return self.of(self._columns[column], str(value)) or value
        return value

    def cell(self, text: str, column: str) -> str:
        """A text of a column: an id, a key made of one, a row's raw content or words."""
        if column in self._columns and (pseudonym := self.of(self._columns[column], text)):
            return pseudonym
        if column == "entity":
            return self.key(text)
        if column == "raw":
            return self.raw(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
        return self.text(text)

    def key(self, key: str) -> str:
        """A key such as `user#U1` or, of a profile, `user#U1#0f3a`."""
        entity, _, rest = key.partition("#")
        if pseudonym := self.of(entity, rest):
            return f"{entity}#{pseudonym}"
        id_, _, generation = rest.rpartition("#")
        pseudonym = self.of(entity, id_)
        return f"{entity}#{pseudonym}#{generation}" if pseudonym else key

    def text(self, text: str) -> str:
        """Words of a text that are distinctive ids; the whole text if it is one."""
        for id_, pseudonym in self._known.items():
            if id_ in text and is_distinctive(id_):
                text = _anywhere(id_).sub(pseudonym, text)
        if whole := self._any(text):
            return whole
        text = _QUOTED.sub(lambda found: self._any(found[0]) or found[0], text)
        return _WORD.sub(lambda found: self._any(found[0]) or self._parts(found[0]), text)

    def _parts(self, word: str) -> str:
        return _PART.sub(lambda found: self._any(found[0]) or found[0], word)

    def _any(self, word: str) -> str | None:
        if not is_distinctive(word):
            return None
        return next((found for entity in self._entities if (found := self.of(entity, word))), None)

    def _csv_row(self, header: str, raw: str) -> str:
        """A refused row of a CSV file, its cells by their columns."""
        try:
            names, cells = next(csv.reader([header])), next(csv.reader([raw]))
        except (csv.Error, StopIteration):
            return raw
        changed = [self.cell(cell, name) for cell, name in zip(cells, names, strict=False)] + cells[len(names) :]
        if changed == cells:
            return raw
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(changed)
        return line.getvalue()

    def _reject(self, reject: dict[str, Any]) -> dict[str, Any]:
        """A refused record of the stream, its bytes in base64."""
        key = str(reject["partition_key"])
        data = self.raw(base64.b64decode(str(reject["data"])), key)
        pseudonym = self.of(self._partition, key)
        return {**reject, "partition_key": pseudonym or key, "data": base64.b64encode(data).decode()}


def _ids_of(columns: Mapping[str, str]) -> type[msgspec.Struct]:
    """Of a record the ids in some columns, by the entities they are of."""
    fields: list[tuple[str, Any, Any]] = [(entity, str | int | None, None) for entity in columns]
    return msgspec.defstruct("Ids", fields, rename=dict(columns))


def nobody(contract: Contract) -> Erased:
    """Nobody is erased."""
    return Erased(contract, b"", ())


def found_in(text: str, id_: str) -> bool:
    """Whether a text still tells of a person: the id anywhere if it is distinctive, else nowhere one could say."""
    return is_distinctive(id_) and _anywhere(id_).search(text) is not None


@lru_cache(64)
def _anywhere(id_: str) -> re.Pattern[str]:
    """The id, unless it is only the middle of a longer word or number."""
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(id_)}(?![A-Za-z0-9])")


@lru_cache(64)
def _whole(id_: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(id_)}(?!\w)")

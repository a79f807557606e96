"""JSON made column by column is what msgspec makes of each row."""

import base64
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from fraudline.clock import format_micros, to_micros
from fraudline.transactions.json_columns import Column, Where, base64_rows, booleans, json_rows, plain, quoted, times

T = TypeVar("T")


def several(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[list[T]]:
    return st.lists(strategy, min_size=1, max_size=20)


def rows_of(row: dict[str, Any]) -> list[bytes]:
    return [bytes(made) for made in json_rows(row)]


def values(column: Column) -> list[object]:
    return [msgspec.json.decode(row)["v"] for row in rows_of({"v": column})]


@given(several(st.text(st.characters(codec="utf-8"))))
def test_any_text_is_quoted(texts: list[str]) -> None:
    assert values(quoted(pa.array(texts, pa.string()))) == texts


@given(several(st.datetimes()))
def test_times_are_written_as_everywhere(moments: list[datetime]) -> None:
    micros = [to_micros(moment.replace(tzinfo=UTC)) for moment in moments]
    assert values(times(np.array(micros))) == [format_micros(time) for time in micros]


@given(st.integers(1, 40).flatmap(lambda size: several(st.binary(min_size=size, max_size=size))))
def test_bytes_of_any_number_are_base64(rows: list[bytes]) -> None:
    column = base64_rows(np.array([list(row) for row in rows], np.uint8))
    assert values(column) == [base64.b64encode(row).decode() for row in rows]


@given(several(st.booleans()))
def test_booleans_are_json(flags: list[bool]) -> None:
    assert values(booleans(np.array(flags))) == flags


def test_rows_are_written_as_their_dicts_would_be() -> None:
    a_row = {"all": {"S": 'the "same"', "none": []}, "own": {"N": plain(pa.array(["1", "2"]))}}
    assert rows_of(a_row) == [
        msgspec.json.encode({"all": {"S": 'the "same"', "none": []}, "own": {"N": number}}) for number in ("1", "2")
    ]


def test_a_member_can_be_some_rows_alone() -> None:
    a_row = {"v": 1, "own": Where(np.array([True, False]), {"N": plain(pa.array(["1", "2"]))}), "last": None}
    assert rows_of(a_row) == [b'{"v":1,"own":{"N":"1"},"last":null}', b'{"v":1,"last":null}']

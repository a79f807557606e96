"""Texts read apart are numbered together, as one dictionary of all of them would number them."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from fraudline.backfill.vocabulary import Appearance, vocabulary

WORDS = st.lists(st.sampled_from(["", "a", "b", "ä", "a\nb", "0", "00", *map(str, range(40))]), max_size=30)


@given(st.lists(WORDS, max_size=12))
def test_every_text_has_one_number_in_the_order_in_which_texts_come(parts: list[list[str]]) -> None:
    found = vocabulary(pa.array(part, pa.string()) for part in parts)
    assert found.values.to_pylist() == list(dict.fromkeys(text for part in parts for text in part))
    told = [found.values.take(pa.array(numbers)).to_pylist() for numbers in found.numbers]
    assert told == parts


@given(st.lists(st.lists(st.integers(0, 9), max_size=20), max_size=6))
def test_numbers_are_given_out_as_they_appear_however_rows_are_cut(parts: list[list[int]]) -> None:
    appearance = Appearance(10)
    new = [number for part in parts for number in appearance.of(np.array(part, np.int32)).tolist()]
    rows = [number for part in parts for number in part]
    order = list(dict.fromkeys(rows))
    assert new == [order.index(number) for number in rows]

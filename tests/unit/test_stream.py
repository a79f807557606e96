"""Positions of records and the keys that a shard owns, at their very edges."""

import hashlib

import pytest

from fraudline.errors import BadInput
from fraudline.stream import SEQUENCE_DIGITS, Shard, position_of


def test_a_shard_owns_the_first_and_the_last_of_its_hash_keys_and_none_beside_them() -> None:
    at = int.from_bytes(hashlib.md5(b"U1", usedforsecurity=False).digest(), "big")
    assert Shard("s", at, at).owns("U1")
    assert not Shard("s", at + 1, 2**128 - 1).owns("U1")
    assert not Shard("s", 0, at - 1).owns("U1")


def test_the_sequence_numbers_that_kinesis_gives_are_positions_and_longer_ones_would_not_sort() -> None:
    sequence = "49590338271490256608559692538361571095921575989136588898"
    assert len(sequence) == SEQUENCE_DIGITS
    assert position_of(sequence, "s") == f"{sequence}#s"
    with pytest.raises(BadInput, match="over 56 digits: widen positions"):
        position_of(f"{sequence}0", "s")

"""Objects are fetched into files without those who are erased, as they are read and written without them."""

import json
from pathlib import Path

import pytest

from fraudline.adapters.storage.guarded import Guarded
from fraudline.adapters.storage.objects import FolderObjects, NotFound
from fraudline.contract import load_contract
from fraudline.erasure.people import Erased, Tombstone, keyed_hash, nobody

KEY = b"a key of thirty-two bytes or more"
CONTRACT = load_contract("ecommerce")
LINE = b'{"transaction_id": "T1", "user_id": "U17", "amount": 12.5}\n'


@pytest.fixture
def store(tmp_path: Path) -> FolderObjects:
    objects = FolderObjects(tmp_path / "store")
    objects.put("a.jsonl", LINE)
    return objects


def test_who_is_erased_is_in_no_copy(store: FolderObjects, tmp_path: Path) -> None:
    people = Erased(CONTRACT, KEY, [Tombstone(keyed_hash(KEY, "user", "U17"), "user", "erased-1", 0)])
    guarded = Guarded(store, lambda: people)
    guarded.fetch("a.jsonl", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == guarded.get("a.jsonl")
    assert json.loads((tmp_path / "copy").read_bytes()) == {**json.loads(LINE), "user_id": "erased-1"}
    assert list(guarded.sizes()) == [("a.jsonl", len(LINE))]


def test_where_nobody_is_erased_the_copy_is_the_object(store: FolderObjects, tmp_path: Path) -> None:
    Guarded(store, lambda: nobody(CONTRACT)).fetch("a.jsonl", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == LINE
    with pytest.raises(NotFound, match=r"there is no 'b\.jsonl'"):
        Guarded(store, lambda: nobody(CONTRACT)).fetch("b.jsonl", tmp_path / "copy")

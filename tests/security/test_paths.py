"""A name from outside stays a name: no key, version, contract or link leads out of the folder it belongs to."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fraudline.adapters.inputs.files import read_transactions
from fraudline.adapters.inputs.quarantine import BatchQuarantine
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.adapters.stream.quarantine import Quarantine
from fraudline.contract import contract_from, load_contract
from fraudline.errors import BadInput, FraudlineError, Tampered
from fraudline.stream import Shard

SHOP = load_contract("ecommerce")
SECRET = b"secret"
NAMES = ["../other", "..", "a/../../other", "/etc/passwd", "a\\..\\b", ".hidden", "a\x00b", "", "a/b"]


@pytest.fixture
def store(tmp_path: Path) -> FolderObjects:
    """A folder with a neighbour that must not be read or written."""
    (tmp_path / "other").write_bytes(SECRET)
    return FolderObjects(tmp_path / "store")


@pytest.mark.parametrize("name", NAMES)
def test_a_version_leads_nowhere_else(name: str, store: FolderObjects, tmp_path: Path) -> None:
    registry = Registry(store, "ecommerce")
    with pytest.raises(BadInput):
        registry.publish(name, {"manifest.json": b"{}"})
    with pytest.raises(BadInput):
        registry.publish("2026-01-01-aaaa", {"manifest.json": b"{}", name: b""})
    with pytest.raises(BadInput):
        registry.read(name)
    with pytest.raises(BadInput):
        registry.append("promote", name, "", {}, "me", datetime(2026, 1, 1, tzinfo=UTC))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other"]


@pytest.mark.parametrize("name", NAMES)
def test_a_contracts_name_which_is_a_folder_of_the_registry_leads_nowhere_else(name: str) -> None:
    with pytest.raises(BadInput):
        contract_from({**SHOP.to_json(), "name": name}, "poisoned.toml")


@pytest.mark.parametrize("name", NAMES)
def test_a_key_of_the_quarantine_leads_nowhere_else(name: str, store: FolderObjects) -> None:
    for key in (name, f"quarantine/{name}.jsonl", f"excluded/training/{name}.jsonl", f"stream/{name}.jsonl"):
        for quarantine in (BatchQuarantine(store), Quarantine(store)):
            with pytest.raises(FraudlineError):
                quarantine.show(key)


@pytest.mark.parametrize("name", ["../../etc", "..", "a\nb"])
def test_a_shard_whose_name_is_a_path_names_no_object(name: str, store: FolderObjects) -> None:
    with pytest.raises(BadInput, match="is not a key of an object"):
        store.put_new(f"archive/2026-01-01/{Shard(name, 0, 9).id}/1-2.jsonl.gz", b"")


def test_a_link_below_a_store_is_not_followed(store: FolderObjects, tmp_path: Path) -> None:
    store.put("a/b", b"mine")
    (tmp_path / "store" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "store" / "out").symlink_to(tmp_path)
    for key in ("link", "out/other", "out/new"):
        for attempt in (
            store.get,
            store.exists,
            store.delete,
            lambda k: store.put(k, b""),
            lambda k: store.put_new(k, b""),
        ):
            with pytest.raises(BadInput, match="is a symbolic link, which may lead out"):
                attempt(key)
    assert list(store.list()) == ["a/b"]
    assert (tmp_path / "other").read_bytes() == SECRET


def test_links_in_a_circle_end_no_listing(store: FolderObjects, tmp_path: Path) -> None:
    store.put("a/b", b"mine")
    for name in ("x", "y", "z"):
        (tmp_path / "store" / "a" / name).symlink_to(tmp_path / "store")
    assert list(store.list()) == ["a/b"]


def test_the_store_itself_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "models").symlink_to(tmp_path / "disk")
    FolderObjects(tmp_path / "models").put("a/b", b"1")
    assert (tmp_path / "disk" / "a" / "b").read_bytes() == b"1"


def test_pipes_and_devices_are_no_files_of_transactions(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    (tmp_path / "z.csv").symlink_to("/dev/zero")
    for location in (tmp_path, tmp_path / "t.csv", tmp_path / "z.csv"):
        with pytest.raises(BadInput, match=r"holds no \.csv, \.jsonl or \.parquet file"):
            read_transactions(SHOP, [str(location)])


def test_a_gap_in_the_history_is_told(store: FolderObjects) -> None:
    """An entry is never deleted: whoever takes one out would make an older version champion again."""
    registry = Registry(store, "ecommerce")
    for version in ("2026-01-01-aaaa", "2026-01-02-bbbb", "2026-01-03-cccc"):
        registry.publish(version, {"manifest.json": b"{}"})
        registry.promote(version, "better", {}, "me", datetime(2026, 1, 1, tzinfo=UTC))
    store.delete("ecommerce/history/00000002.json")
    with pytest.raises(Tampered, match=r"lacks entry 2: somebody has taken it"):
        Registry(store, "ecommerce").champion()

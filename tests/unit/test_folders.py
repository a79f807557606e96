"""A folder of files is the same history as the same keys in a bucket."""

from pathlib import Path

import pytest

from fraudline.adapters.inputs.files import load_transactions
from fraudline.adapters.inputs.sources import found_files
from fraudline.contract import load_contract

HEADER = "transaction_id,user_id,timestamp,amount,device_type,location,is_vpn,card_type,is_fraud"
ROW = "T1,U1,2026-01-05T10:00:00Z,{amount},mobile,Rome,0,debit,0"
# In the order in which they are read; the last two are hidden.
KEYS = ("a-b/1.csv", "a.csv", "a/1.csv", "a/2/1.csv", "a0.csv")
HIDDEN = (".hidden.csv", "a/.ipynb_checkpoints/1-checkpoint.csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every file has another amount for the same transaction."""
    for number, key in enumerate((*KEYS, *HIDDEN), start=1):
        file = tmp_path / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{HEADER}\n{ROW.format(amount=number)}\n")
    return tmp_path


def test_a_folder_is_read_in_the_order_of_its_keys_without_hidden_files(folder: Path) -> None:
    assert [file.name for file in found_files([str(folder)])] == [f"{folder}/{key}" for key in KEYS]
    assert [file.name for file in found_files([f"{folder}/"])] == [f"{folder}/{key}" for key in KEYS]


def test_the_first_copy_in_the_order_of_keys_stands(folder: Path) -> None:
    landed = load_transactions(load_contract("ecommerce"), [str(folder)])
    assert landed.table.amount.tolist() == [100]
    assert [reject.reason for reject in landed.rejects] == ["conflicting_id"] * 4

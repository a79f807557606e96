"""`fraudline forget` as a person types it: the id never on the screen, nothing without a yes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.settings import Settings
from tests.privacy.shop import KEY

PROGRAM = Path(sys.executable).with_name("fraudline")
USER = "U-somebody-0001"
FILE = f"transaction_id,user_id\nT1,{USER}\nT2,U-another\n"


@pytest.fixture
def landed(resources: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FRAUDLINE_ERASURE_KEY", KEY)
    client("s3").put_object(Bucket=resources.landing_bucket, Key="files/t.csv", Body=FILE.encode())
    return resources


def forget(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, "forget", *arguments], input=typed, capture_output=True, text=True)


def file_of(settings: Settings) -> str:
    return client("s3").get_object(Bucket=settings.landing_bucket, Key="files/t.csv")["Body"].read().decode()


def test_an_id_from_standard_input_is_replaced_and_told_nowhere(landed: Settings) -> None:
    done = forget("-", "--yes", "--json", typed=f"{USER}\n")
    assert done.returncode == 0, done.stderr
    assert USER not in done.stdout + done.stderr + file_of(landed)
    assert "U-another" in file_of(landed)
    told = json.loads(done.stdout)
    assert {store["store"]: store["changed"] for store in told["stores"]}[f"s3://{landed.landing_bucket}"] == 1
    assert told["receipt"].startswith(f"s3://{landed.reports_bucket}/erasures/")

    again = forget(USER, "--yes")
    assert again.returncode == 0, again.stderr
    assert "Nothing was kept under this id" in again.stdout
    assert forget("--again").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((USER,), "nothing was changed: erasing cannot be taken back"),
        ((), "no id: name it, or give -"),
        (("-", "--yes"), "the id is empty"),
        ((USER, "--yes", "--entity", "terminal"), "has no entity 'terminal'"),
        ((USER, "--yes", "--folder", "nowhere"), "there is no folder nowhere"),
        ((USER, "--yes", "--again"), "--again names nobody"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(
    landed: Settings, arguments: tuple[str, ...], said: str
) -> None:
    done = forget(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert file_of(landed) == FILE


def test_without_the_key_nobody_is_erased(landed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAUDLINE_ERASURE_KEY")
    done = forget(USER, "--yes")
    assert done.returncode in (2, 3)
    assert "FRAUDLINE_ERASURE_KEY" in done.stderr
    assert file_of(landed) == FILE


def test_a_file_that_cannot_be_searched_is_named(landed: Settings) -> None:
    client("s3").put_object(Bucket=landed.landing_bucket, Key="files/torn.parquet", Body=b"PAR1, and no more")
    done = forget(USER, "--yes")
    assert done.returncode == 2
    assert "fraudline: files/torn.parquet cannot be searched for ids" in done.stderr.splitlines()[-1]

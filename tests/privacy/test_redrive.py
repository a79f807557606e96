"""Refused rows of files, corrected by somebody who kept a copy from before the erasure, and redriven."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fraudline.adapters.storage.objects import open_objects
from fraudline.settings import Settings
from tests.privacy.shop import record
from tests.privacy.test_beside_the_stream import forget

PROGRAM = Path(sys.executable).with_name("fraudline")
USER, OTHER = "U-somebody-0001", "U-another-0002"
KEY = "quarantine/run.jsonl"


def line(number: int, user: str, device: str) -> str:
    raw = json.dumps({**record(user, number, device_type=device), "timestamp": "2026-01-10T10:00:00Z"})
    problems = [{"field": "device_type", "code": "unknown_value", "message": "is unknown"}]
    return json.dumps({"source": "t.jsonl", "row": number, "raw": raw, "problems": problems, "header": ""})


@pytest.mark.parametrize("is_swept", [True, False])
def test_a_redrive_brings_no_erased_id_back(resources: Settings, key: None, is_swept: bool) -> None:
    files = open_objects(f"s3://{resources.quarantine_bucket}/files")
    users = [USER, OTHER]
    rows = "\n".join(line(number, user, "watch") for number, user in enumerate(users)).encode()
    files.put(KEY, rows)
    pseudonym = forget(resources, id_=USER)
    corrected = "\n".join(line(number, user, "mobile") for number, user in enumerate(users)).encode()
    files.put("corrections/run.jsonl", corrected)
    if not is_swept:
        # A bucket that was copied back.
        files.put(KEY, rows)

    at = ("--at", files.location)
    done = subprocess.run([PROGRAM, "quarantine", "redrive", KEY, *at, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["returned"] == len(users)
    shown = subprocess.run([PROGRAM, "quarantine", "show", KEY, *at, "--json"], capture_output=True, text=True)
    assert USER not in shown.stdout
    written = {name: files.get(name).decode() for name in files.list() if name.startswith(("attempts/", "redriven/"))}
    assert len(written) == 2
    for text in written.values():
        assert USER not in text
        assert pseudonym in text
        assert OTHER in text

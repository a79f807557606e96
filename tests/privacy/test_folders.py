"""Copies in folders: also what a killed process was writing there, which no key tells of."""

import signal
import subprocess
import sys
from pathlib import Path

from fraudline.adapters.erasure.stores import Folder, Swept
from fraudline.adapters.storage.disk import partial_beside
from fraudline.adapters.storage.objects import open_objects
from fraudline.contract import load_contract
from fraudline.erasure.people import Erased

DYING = """
import os, signal, sys
from fraudline.adapters.storage.objects import open_objects
os.replace = lambda partial, path: os.kill(os.getpid(), signal.SIGKILL)
open_objects(sys.argv[1]).put("refused/rows.jsonl", b'{"user_id": "U1"}')
"""


def test_what_a_killed_process_was_writing_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.rglob(".*.partial")
    assert b"U1" in left.read_bytes()
    folder = Folder(open_objects(str(tmp_path)))
    nobody = Erased(load_contract("ecommerce"), b"k" * 32, [])
    with partial_beside(tmp_path / "refused" / "more.jsonl") as living:
        assert folder.sweep(nobody) == Swept(0, 1)
        assert list(tmp_path.rglob(".*.partial")) == [living]
    assert folder.sweep(nobody) == Swept(0, 0)

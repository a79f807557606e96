"""Copies in folders: also what a killed process was writing there, which no key tells of."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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
        assert list(folder.tells_of("U1")) == []
        living.write_bytes(b'{"user_id": "U1"}')
        assert list(folder.tells_of("U1")) == [str(living)]
    assert folder.sweep(nobody) == Swept(0, 0)


def test_what_another_user_left_stays_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a folder that several share: the kernel lets nobody else remove it."""
    theirs = tmp_path / ".theirs.partial"
    theirs.write_bytes(b'{"user_id": "U1"}')
    monkeypatch.setattr(os, "unlink", _forbidden)
    folder = Folder(open_objects(str(tmp_path)))
    assert folder.sweep(Erased(load_contract("ecommerce"), b"k" * 32, [])) == Swept(0, 0)
    assert list(folder.tells_of("U1")) == [str(theirs)]


def _forbidden(path: Path, **_: object) -> None:
    raise PermissionError(errno.EPERM, "not permitted", str(path))

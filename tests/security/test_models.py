"""Model files are data: what is in a bundle is checked before it is used, and no path runs code of it."""

import pickle
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.cli import models
from fraudline.errors import Tampered
from fraudline.model.bundle import MANIFEST, PIPELINE, Manifest, load_bundle, read_manifest, read_verified, seal
from fraudline.realtime.lines import score_lines
from tests.docs.reading import ROOT
from tests.realtime.bundles import bundle_files, population, version_of


class Payload:
    """What `pickle` and so `joblib` run when they load it."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)


def sealed_with(**files: bytes) -> dict[str, bytes]:
    """A version that is consistent in itself, with these files: its maker is the attacker."""
    whole = bundle_files()
    manifest = msgspec.json.decode(whole[MANIFEST], type=Manifest)
    rest = {name: data for name, data in whole.items() if name != MANIFEST}
    return seal(manifest, {**rest, **files})[1]


def test_a_payload_in_a_pickled_pipeline_is_never_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    payload = pickle.dumps(Payload(mark))
    files = sealed_with(**{PIPELINE: payload})
    version = version_of(files)
    registry = Registry(FolderObjects(tmp_path / "models"), "ecommerce")
    registry.publish(version, files)
    models._verify(registry, version)
    read = registry.read(version).__getitem__
    bundle = load_bundle(read, version)
    assert read_verified(read, read_manifest(read, version), PIPELINE) == payload
    record = msgspec.json.encode(population()[0])
    assert [answer["status"] for answer in score_lines(bundle, [record])] == [200]
    assert not mark.exists()
    pickle.loads(payload)
    assert mark.exists(), "the payload is one"


def test_no_code_of_ours_loads_what_could_run_code() -> None:
    loaders = r"joblib\.load|pickle\.loads?|cloudpickle|marshal\.loads?|yaml\.(unsafe_)?load\(|torch\.load|\beval\("
    found = subprocess.run(
        ["grep", "-rnE", loaders, "--include=*.py", "fraudline", "tasks", "flows", "expectations", "infra"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""


@pytest.mark.parametrize("name", sorted(bundle_files()))
def test_a_changed_byte_in_any_file_of_a_version_is_refused_before_it_is_used(name: str) -> None:
    files = dict(bundle_files())
    version = version_of(files)
    changed = files | {name: files[name][:-2] + bytes([files[name][-2] ^ 1]) + files[name][-1:]}
    with pytest.raises(Tampered, match=version):
        read_verified(changed.__getitem__, read_manifest(changed.__getitem__, version), name)
    if name != PIPELINE:  # which nothing loads
        with pytest.raises(Tampered, match=version):
            load_bundle(changed.__getitem__, version)

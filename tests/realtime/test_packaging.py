"""The function's zip: equal to the byte, complete for an interpreter that has nothing else, and nothing heavy in it."""

import json
import marshal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fraudline.errors import BadInput, Tampered
from fraudline.model.bundle import load_bundle
from fraudline.realtime import packaging
from fraudline.realtime.lines import score_lines
from fraudline.realtime.packaging import PackageReport, package_lambda
from tests.realtime.bundles import Files, tree_files, version_of, write_version
from tests.realtime.events import a_transaction

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
MIB = 2**20
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from fraudline.realtime.handler import handler
print(json.dumps(handler(json.loads(sys.argv[2]), None)))
"""


@pytest.fixture(scope="module")
def report(packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> PackageReport:
    return package_lambda(tmp_path_factory.mktemp("zip") / "function.zip", HERE, bundle=packaged)


@pytest.fixture
def unpacked(report: PackageReport, tmp_path: Path) -> Path:
    with zipfile.ZipFile(report.path) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def ask(folder: Path) -> "subprocess.CompletedProcess[str]":
    """The packaged function's answer on an interpreter without site-packages or environment."""
    command = [sys.executable, "-I", "-S", "-c", ASK, str(folder), json.dumps({"transaction_data": a_transaction()})]
    # Nobody listens there: without profiles in time it answers without history.
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "FRAUDLINE_PROFILE_DEADLINE_MS": "1000"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_equal_parts_give_equal_bytes(report: PackageReport, packaged: Path, tmp_path: Path) -> None:
    again = package_lambda(tmp_path / "again.zip", HERE, bundle=packaged)
    assert again.sha256 == report.sha256
    assert again.path.read_bytes() == report.path.read_bytes()


def test_an_interpreter_that_has_nothing_else_answers_from_the_package(unpacked: Path, files: Files) -> None:
    done = ask(unpacked)
    assert done.returncode == 0, done.stderr
    answer = json.loads(json.loads(done.stdout.splitlines()[-1])["body"])
    assert (answer["model_version"], answer["profile"]) == (version_of(files), "missing")


def test_a_package_that_lacks_a_library_fails_there(unpacked: Path) -> None:
    for path in (unpacked / "msgspec").glob("*.py"):
        path.unlink()
    assert "msgspec" in ask(unpacked).stderr


def test_a_linear_package_is_small_and_holds_nothing_heavy(report: PackageReport) -> None:
    names = zipfile.ZipFile(report.path).namelist()
    assert report.bytes <= 1 * MIB
    assert {name.split("/")[0] for name in names} == {
        "fraudline", "packaged_model", "msgspec", f"msgspec-{report.libraries['msgspec']}.dist-info",
    }  # fmt: skip
    assert "packaged_model/model.joblib" not in names
    assert not [name for name in names if name.startswith(("fraudline/training/", "fraudline/cli/"))]


def test_every_source_comes_compiled_and_names_where_lambda_puts_it(report: PackageReport) -> None:
    archive = zipfile.ZipFile(report.path)
    sources = [name for name in archive.namelist() if name.endswith(".py")]
    tag = sys.implementation.cache_tag
    assert report.not_compiled is None
    for name in sources:
        folder, _, file = name.rpartition("/")
        code = archive.read(f"{folder}/__pycache__/{file.removesuffix('.py')}.{tag}.pyc")
        assert code[4:8] == b"\x01\0\0\0"  # by hash, unchecked: whatever the file's time
        assert marshal.loads(code[16:]).co_filename == f"/var/task/{name}"


@pytest.mark.parametrize(
    ("python", "arch", "library"),
    [
        ("3.11", "arm64", "msgspec/_core.cpython-311-aarch64-linux-gnu.so"),
        ("3.12", "x86_64", "msgspec/_core.cpython-312-x86_64-linux-gnu.so"),
        ("3.13", "arm64", "msgspec/_core.cpython-313-aarch64-linux-gnu.so"),
    ],
)
def test_another_target_gets_its_own_wheels(tmp_path: Path, python: str, arch: str, library: str) -> None:
    report = package_lambda(tmp_path / "function.zip", python, arch)
    assert library in zipfile.ZipFile(report.path).namelist()
    assert report.model_version is None


def test_a_target_whose_interpreter_is_not_at_hand_is_packaged_without_bytecode_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaging, "_interpreter", lambda python: None)
    report = package_lambda(tmp_path / "function.zip", "3.13")
    assert "python3.13" in str(report.not_compiled)
    assert not any(name.endswith(".pyc") for name in zipfile.ZipFile(report.path).namelist())


def test_a_placeholder_of_a_version_manager_is_no_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placeholder = tmp_path / "python3.13"
    placeholder.write_text("#!/bin/sh\nexit 127\n")
    placeholder.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert packaging._interpreter("3.13") is None


class Overtaken(dict[str, bytes]):
    """Parts of a package; before the first of them is written, another run to the same file begins and ends."""

    def __init__(self, out: Path, other: dict[str, bytes], own: dict[str, bytes]) -> None:
        super().__init__(own)
        self._others = [(out, other)]

    def __getitem__(self, name: str) -> bytes:
        if self._others:
            packaging._write(*self._others.pop())
        return super().__getitem__(name)


def test_of_two_runs_to_one_file_each_writes_its_own_and_the_last_one_stands_whole(tmp_path: Path) -> None:
    out, own = tmp_path / "function.zip", {"a.py": b"one = 1", "b.py": b"two = 2"}
    data = packaging._write(out, Overtaken(out, {"a.py": b"three = 3"}, own))
    with zipfile.ZipFile(out) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == own
    assert out.read_bytes() == data
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(("python", "arch"), [("3.10", "x86_64"), ("3.11", "riscv")])
def test_a_target_that_lambda_does_not_have_is_refused(tmp_path: Path, python: str, arch: str) -> None:
    with pytest.raises(BadInput, match="choose"):
        package_lambda(tmp_path / "function.zip", python, arch)
    assert not list(tmp_path.iterdir())


def test_a_version_that_was_tampered_with_is_not_packaged(tmp_path: Path, files: Files) -> None:
    folder = write_version({**files, "golden.jsonl": files["golden.jsonl"] + b" "}, tmp_path / "model")
    with pytest.raises(Tampered):
        package_lambda(tmp_path / "function.zip", bundle=folder)
    assert not (tmp_path / "function.zip").exists()


@pytest.mark.parametrize("manifest", [b"", b"[]", b'{"version": "\xff"}', b'{"version": 1}'])
def test_a_version_whose_manifest_is_damaged_is_not_packaged(tmp_path: Path, files: Files, manifest: bytes) -> None:
    folder = write_version({**files, "manifest.json": manifest}, tmp_path / "model")
    with pytest.raises(Tampered, match=r"manifest\.json is damaged \(.*\); do not use it"):
        package_lambda(tmp_path / "function.zip", bundle=folder)


def test_a_folder_that_is_no_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no model version"):
        package_lambda(tmp_path / "function.zip", bundle=tmp_path)


@pytest.mark.long
def test_a_package_with_boosted_trees_stays_below_forty_mebibytes_and_answers(tmp_path: Path) -> None:
    files = tree_files()
    folder = write_version(files, tmp_path / "model")
    report = package_lambda(tmp_path / "function.zip", HERE, bundle=folder)
    with zipfile.ZipFile(report.path) as archive:
        archive.extractall(tmp_path / "package")
    done = ask(tmp_path / "package")
    assert report.bytes <= 40 * MIB
    assert set(report.libraries) == {"msgspec", "numpy", "onnxruntime"}
    assert done.returncode == 0, done.stderr
    answer = json.loads(json.loads(done.stdout.splitlines()[-1])["body"])
    (ours,) = score_lines(load_bundle(files.__getitem__, version_of(files)), [json.dumps(a_transaction())])
    assert answer["fraud_probability"].hex() == ours["fraud_probability"].hex()

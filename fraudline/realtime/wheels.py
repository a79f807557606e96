"""The libraries of a package: wheels for another interpreter and processor, of the locked version and checked hash."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from fraudline.errors import BadInput, NotReady, Unavailable

LOCK = Path(__file__).parents[2] / "requirements" / "dev.txt"
# What glibc the function's operating system has (Amazon Linux 2023: 2.34), newest first.
_GLIBC = ("2_34", "2_28", "2_27", "2_24", "2_17")
# Tests, headers, tools, and ONNX Runtime's library for C, of which its Python module holds a copy.
_LEFT_OUT = re.compile(
    r"(^|/)(tests?|testing|__pycache__|include|distutils|f2py|transformers|tools|quantization|datasets)/"
    r"|\.(pyi|h|a|pxd|pyx)$|/libonnxruntime\.so[^/]*$"
)


class Wheel:
    """One library as it goes into the package."""

    def __init__(self, path: Path) -> None:
        self.name, self.version = path.name.split("-")[:2]
        self._path = path

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path and content of everything that is needed to run; licences stay."""
        with zipfile.ZipFile(self._path) as archive:
            for name in archive.namelist():
                if not name.endswith("/") and not _LEFT_OUT.search(name):
                    yield name, archive.read(name)


def download(names: Sequence[str], python: str, arch: str, folder: Path) -> list[Wheel]:
    """The locked wheels of libraries for a Python version ("3.11") and processor ("x86_64", "arm64")."""
    machine = {"x86_64": "x86_64", "arm64": "aarch64"}[arch]
    platforms = [f"--platform=manylinux_{glibc}_{machine}" for glibc in _GLIBC]
    with TemporaryDirectory() as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text("".join(_locked(name) for name in names))
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *platforms]
        command += ["--requirement", str(requirements), "--dest", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        raise Unavailable(f"no wheels for Python {python} on {arch}: {last}")
    return sorted(map(Wheel, folder.glob("*.whl")), key=lambda wheel: wheel.name)


def _locked(name: str) -> str:
    """A library's lines in the lock file: its version and the hashes of all its files."""
    if not LOCK.is_file():
        raise NotReady(f"{LOCK.name} is missing: package the function from a checkout of the repository")
    match = re.search(rf"^{re.escape(name)}==.*?(?=^\S|\Z)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    if not match:
        raise BadInput(f"{name} is not in requirements/{LOCK.name}: run `make lock`")
    return match[0]

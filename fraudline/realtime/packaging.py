"""`fraudline package-lambda`: the function as a zip, equal to the byte whenever it is made of equal parts.

It holds the handler and what it imports, msgspec for the target, and a model version if one is to be baked in; numpy
and ONNX Runtime only where boosted trees are to be scored. AWS access is the standard library's (`aws.py`).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fraudline.errors import BadInput, NotReady, Unavailable
from fraudline.model.bundle import GOLDEN, GRAPH, MANIFEST, SCORER, Bundle, load_bundle
from fraudline.realtime.model import PACKAGED_MODEL, Packaged
from fraudline.realtime.sources import function_sources
from fraudline.realtime.wheels import Wheel, download

PYTHONS = ("3.11", "3.12", "3.13")
ARCHITECTURES = ("x86_64", "arm64")
_LINEAR = ("msgspec",)
_TREES = (*_LINEAR, "numpy", "onnxruntime")
# The oldest time a zip can tell; a true one would make every zip another.
_TIME = (1980, 1, 1, 0, 0, 0)
# Where Lambda unpacks: the paths that compiled code names in errors.
_TASK_ROOT = "/var/task"

Parts = dict[str, bytes]


@dataclass(frozen=True)
class PackageReport:
    """What was made. `compiled` is None, or why the package holds no bytecode."""

    path: Path
    bytes: int
    sha256: str
    python: str
    arch: str
    libraries: dict[str, str]
    model_version: str | None
    not_compiled: str | None


def package_lambda(
    out: Path, python: str = "3.11", arch: str = "x86_64", bundle: Path | None = None, trees: bool = False
) -> PackageReport:
    """Write the function's zip to `out`.

    `bundle` is a version's folder to bake in, else the function loads one from the registry; `trees` adds what a
    champion of boosted trees needs, as a baked one does by itself. On an error nothing is written.
    """
    if python not in PYTHONS or arch not in ARCHITECTURES:
        raise BadInput(f"no package for Python {python} on {arch}: choose of {PYTHONS} and {ARCHITECTURES}")
    model = _verified(bundle) if bundle else None
    needs_trees = trees or (model is not None and model.manifest.kind == "trees")
    with TemporaryDirectory() as scratch:
        wheels = download(_TREES if needs_trees else _LINEAR, python, arch, Path(scratch))
        parts = {**function_sources(), **_library_files(wheels)}
    compiled, reason = _compiled(parts, python)
    data_files = _model_files(bundle, model) if bundle and model else {}
    data = _write(out, {**parts, **compiled, **data_files})
    return PackageReport(
        path=out,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        python=python,
        arch=arch,
        libraries={wheel.name: wheel.version for wheel in wheels},
        model_version=model.version if model else None,
        not_compiled=reason,
    )


def _verified(folder: Path) -> Bundle:
    if not (folder / MANIFEST).is_file():
        raise BadInput(f"{str(folder)!r} is no model version: it has no {MANIFEST}")
    source = Packaged(folder)
    version = source.wanted()
    return load_bundle(source.files(version), version)


def _model_files(folder: Path, model: Bundle) -> Parts:
    """What the function reads of a version: not the pickled pipeline, nor what is for people."""
    names = (MANIFEST, SCORER, GOLDEN, *((GRAPH,) if model.manifest.kind == "trees" else ()))
    return {f"{PACKAGED_MODEL.name}/{name}": (folder / name).read_bytes() for name in names}


def _library_files(wheels: list[Wheel]) -> Parts:
    return {name: data for wheel in wheels for name, data in wheel.files()}


def _compiled(parts: Parts, python: str) -> tuple[Parts, str | None]:
    """Bytecode of all sources, which Lambda's read-only disk could not keep; or why there is none."""
    interpreter = _interpreter(python)
    if interpreter is None:
        return {}, f"no python{python} is at hand: every cold start will compile the sources"
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name, data in parts.items():
            if name.endswith(".py"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(data)
        # Unchecked: a zip's times say nothing.
        command = [interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        command += ["-s", scratch, "-p", _TASK_ROOT, scratch]
        # The fixed seed lays sets out alike.
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, env=environment, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotReady(f"python{python} cannot compile the package: {done.stdout.strip()[:500]}")
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.pyc")}, None


def _interpreter(python: str) -> str | None:
    """An interpreter of this version: ours, or one on the path that runs."""
    candidates = [sys.executable] if python == f"{sys.version_info[0]}.{sys.version_info[1]}" else []
    if found := shutil.which(f"python{python}"):
        candidates.append(found)
    return next((candidate for candidate in candidates if _runs(candidate, python)), None)


def _runs(candidate: str, python: str) -> bool:
    """Whether it is that version; a version manager's placeholder may be none."""
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([candidate, "-I", "-c", show], capture_output=True, text=True, check=False)
    return done.stdout.strip() == python


def _write(out: Path, parts: Parts) -> bytes:
    """The zip, whole or not at all; a run beside this one writes elsewhere until its own is whole."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent, prefix=".") as own:
            partial = Path(own) / "partial"
            with zipfile.ZipFile(partial, "w") as archive:
                for name in sorted(parts):
                    entry = zipfile.ZipInfo(name, _TIME)
                    entry.create_system = 3
                    entry.external_attr = (0o755 if ".so" in Path(name).suffixes else 0o644) << 16
                    archive.writestr(entry, parts[name], zipfile.ZIP_DEFLATED, 9)
            data = partial.read_bytes()
            partial.replace(out)
    except OSError as error:
        raise Unavailable(f"{out} cannot be written: {error.strerror or error}; name another file") from error
    return data

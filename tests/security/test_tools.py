"""What tools for security find in our code, and what is known of what it stands on."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.reading import ROOT

CODE = ("fraudline", "flows", "tasks", "expectations", "infra")
LOCKED = ("requirements/dev.txt", "requirements/emulator.txt", "infra/docker/requirements.txt")
PROBE = "idna"  # of every list here


def bandit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bandit", "--quiet", "--configfile", "pyproject.toml", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_bandit_finds_nothing() -> None:
    done = bandit("--recursive", *CODE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_bandit_would_find_a_shell_a_pickle_and_an_eval(tmp_path: Path) -> None:
    path = tmp_path / "mistakes.py"
    path.write_text(
        "import os\nimport pickle\n\n\ndef f(x):\n    os.system('ls ' + x)\n    pickle.loads(x)\n    return eval(x)\n"
    )
    done = bandit("--format", "json", path)
    assert {found["test_id"] for found in json.loads(done.stdout)["results"]} >= {"B605", "B301", "B307"}


def test_what_bandit_is_told_to_overlook_is_one_kind_of_finding_each() -> None:
    told = [
        (path, line)
        for folder in CODE
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if "nosec" in line
    ]
    assert told
    assert [(path, line) for path, line in told if not re.search(r"# nosec B\d{3}", line)] == []


def pip_audit(requirements: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    command += ["--format", "json", "--timeout", "20", "--requirement", str(requirements)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)


@pytest.fixture(scope="session")
def vulnerability_service(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One package is asked about; where nobody answers, not two hundred."""
    line = re.search(rf"^{PROBE}==\S+", (ROOT / LOCKED[0]).read_text(), re.MULTILINE)
    assert line
    probe = tmp_path_factory.mktemp("probe") / "requirements.txt"
    probe.write_text(line[0] + "\n")
    done = pip_audit(probe)
    told = json.loads(done.stdout)["dependencies"][0].get("skip_reason") if done.stdout else done.stderr.strip()[-200:]
    if told:
        pytest.skip(f"NO VULNERABILITIES ARE LOOKED UP HERE, no service tells them: {told}")


@pytest.mark.parametrize("requirements", LOCKED)
def test_no_vulnerability_is_known_in_what_is_locked(requirements: str, vulnerability_service: None) -> None:
    done = pip_audit(ROOT / requirements)
    told = json.loads(done.stdout)["dependencies"]
    vulnerable = {f"{d['name']} {d['version']}": [v["id"] for v in d["vulns"]] for d in told if d.get("vulns")}
    assert vulnerable == {}, "update them: make lock"
    assert len(told) > 10


def test_an_audit_that_learns_nothing_of_a_package_fails_in_ci_too(tmp_path: Path) -> None:
    """No service knows this package: one that does not answer is no better."""
    unknown = tmp_path / "requirements.txt"
    unknown.write_text(f"fraudline-is-on-no-index==1.0 --hash=sha256:{64 * '0'}\n")
    (options,) = re.findall(r"pip-audit (.*) --requirement \$\$file \|\| exit 1;", (ROOT / "Makefile").read_text())
    command = [sys.executable, "-m", "pip_audit", *options.split(), "--timeout", "20", "--requirement", str(unknown)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=500).returncode != 0
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "audit.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1] == {"run": "make audit"}
    assert not job.get("continue-on-error")
    assert workflow[True]["schedule"], "YAML reads on: as true"


def test_every_locked_package_is_pinned_by_hash() -> None:
    for requirements in LOCKED:
        text = (ROOT / requirements).read_text()
        pins = re.findall(r"^[a-z0-9][\w.\[\]-]*==", text, re.MULTILINE | re.IGNORECASE)
        hashed = re.findall(r"^[a-z0-9][^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE | re.IGNORECASE)
        assert len(pins) == len(hashed) > 10, requirements

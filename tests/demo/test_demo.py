"""The demo, end to end: as `make demo` runs it, on somebody's file and on made transactions."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.demo.shop_csv import write_shop
from tests.support.command import PROGRAM, Finished, Person

MINUTES = 60


@pytest.mark.timeout(15 * MINUTES)
def test_the_demo_passes_on_a_file_it_did_not_make(person: Person, still_running: Callable[[], list[str]]) -> None:
    rows = write_shop(person.folder / "shop.csv")
    done = person.runs("demo", "--data", "shop.csv", "--out", "out/demo", "--json")
    summary = checked(done, person.folder / "out" / "demo")
    assert summary["history"]["rows_in"] + summary["rows_in"] > rows
    assert summary["history"]["reasons"]["torn_row"] == 1
    assert {"timestamp_malformed", "amount_not_a_number"} < set(summary["history"]["reasons"])
    assert {"not_json", "not_an_object", "id_missing"} <= set(summary["reasons"])
    assert summary["duplicates"] > 0
    assert summary["frauds_caught"] > 0
    assert still_running() == []


@pytest.mark.long
@pytest.mark.timeout(15 * MINUTES)
def test_the_demo_passes_on_what_it_makes(person: Person, still_running: Callable[[], list[str]]) -> None:
    summary = checked(person.runs("demo", "--out", "out/demo", "--json"), person.folder / "out" / "demo")
    assert len(summary["reasons"]) >= 8
    assert summary["alerts"] > 0
    assert 0 < summary["frauds"] < 0.05 * summary["scored"]
    assert_readme_shows(summary)
    assert still_running() == []


@pytest.mark.timeout(5 * MINUTES)
def test_ctrl_c_stops_the_demo_and_everything_it_has_started(
    person: Person, still_running: Callable[[], list[str]]
) -> None:
    with subprocess.Popen(
        [PROGRAM, "demo"], cwd=person.folder, env=person.environment, stderr=subprocess.PIPE, text=True
    ) as process:
        stack = person.folder / "out" / "demo" / "stack"
        _wait_for(lambda: (stack / "prefect.log").exists() and (stack / "prefect.log").stat().st_size > 0)
        assert len(still_running()) > 1
        process.send_signal(signal.SIGINT)
        told = process.stderr.read() if process.stderr else ""
    assert process.returncode == 130
    assert told.splitlines()[-1].startswith("fraudline: stopped")
    assert "Traceback" not in told
    assert still_running() == []


def checked(done: Finished, out: Path) -> dict[str, Any]:
    """The summary of a demo that passed, with all that a summary has."""
    summary = done.json
    assert summary == json.loads((out / "summary.json").read_text())
    failed = [check for check in summary["checks"] if not check["ok"]]
    assert failed == []
    assert all(set(check) == {"name", "ok", "detail"} for check in summary["checks"])
    assert summary["rows_in"] == summary["scored"] + summary["quarantined"] + summary["duplicates"]
    assert summary["quarantined"] == sum(summary["reasons"].values())
    assert set(summary["candidates"]) >= {"logistic", "logistic_smote"}
    assert summary["alerts"] >= 0
    assert sum(summary["seconds"].values()) > 0
    for place in summary["reports"].values():
        assert (out.parents[1] / place).exists(), place
    return summary


def assert_readme_shows(summary: dict[str, Any]) -> None:
    """The README's picture of the demo is what it prints; figures of models may differ a little between processors."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = readme[readme.index("<!-- demo -->") : readme.index("<!-- /demo -->")]
    for name in ("rows_in", "scored", "quarantined", "duplicates", "frauds"):
        assert re.search(rf"^ {name.replace('_', ' ')} +{summary[name]:,}$", shown, re.MULTILINE), name
    for name, figure in summary["candidates"].items():
        told = re.search(rf"^ {name} +([\d.]+)$", shown, re.MULTILINE)
        assert told is not None, name
        assert float(told[1]) == pytest.approx(figure, abs=0.02), name
    told_checks = re.findall(r"^ ✓  (.+?)  +\S", shown, re.MULTILINE)
    assert told_checks == [check["name"] for check in summary["checks"]]


def _wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"it did not come to that within {seconds} s")

"""The notebook runs from top to bottom as it is, and what it tells is what was committed."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.reading import ROOT

PATH = ROOT / "docs" / "fraud_detection_prototype.ipynb"
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
# Other processors round sums otherwise in the last bits, and a tree may split elsewhere for it.
TOLERANCE = 0.05


def told(notebook: Any) -> list[str]:
    """What cells say: their sentences and tables, in order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    texts = [output.get("data", {}) for output in outputs if "data" in output]
    return [data.get("text/markdown") or data.get("text/html", "") for data in texts if "image/png" not in data]


def figures(text: str) -> list[float]:
    visible = re.sub(r"<style.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL)
    return [float(number.replace(",", "")) for number in NUMBER.findall(visible)]


@pytest.fixture(scope="module")
def committed() -> Any:
    return nbformat.read(PATH, as_version=4)  # type: ignore[no-untyped-call]


def test_the_notebook_is_small_and_was_run_in_order(committed: Any) -> None:
    assert PATH.stat().st_size < 1_000_000
    counts = [cell.execution_count for cell in committed.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    kinds = [output.output_type for cell in committed.cells for output in cell.get("outputs", ())]
    assert "error" not in kinds
    assert "stream" not in kinds, "warnings are for whoever runs it, not for readers"
    assert str(committed).count("image/png") >= 6


def test_sentences_that_are_not_computed_hold_no_figures(committed: Any) -> None:
    """But for the numbers of a list, of days in a sentence about the method, and an amount in an example."""
    prose = " ".join(cell.source for cell in committed.cells if cell.cell_type == "markdown")
    assert prose
    assert re.findall(r"\d\.\d\d+|\d%", prose) == []


def test_the_notebook_runs_and_says_what_is_committed(committed: Any, tmp_path: Path) -> None:
    again = nbformat.from_dict(committed)  # type: ignore[no-untyped-call]
    for cell in again.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    kernel = {"metadata": {"path": str(tmp_path)}}
    for cell in again.cells[:2]:
        cell.source = cell.source.replace("Path.cwd()", f"Path({str(PATH.parent)!r})")
    NotebookClient(again, timeout=500, kernel_name="python3", resources=kernel).execute()
    before, after = told(committed), told(again)
    assert len(before) == len(after) > 8
    for old, new in zip(before, after, strict=True):
        assert figures(new) == pytest.approx(figures(old), rel=TOLERANCE, abs=0.02), new
    assert "**0** differ in any bit" in after[-1]

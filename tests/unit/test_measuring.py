"""Candidates are measured side by side, from simple to complex, and none any more once one has failed."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from fraudline.errors import BadInput
from fraudline.training.candidates import CANDIDATES, Candidate
from tasks import training

(LOGISTIC, SMOTE, TREES) = CANDIDATES
AGAIN = replace(TREES, name="trees again")
NOTHING: Any = None


def test_results_come_from_simple_to_complex_whoever_is_done_first(monkeypatch: pytest.MonkeyPatch) -> None:
    trees_done = threading.Event()

    def measure(candidate: Candidate, *_: object) -> Any:
        if candidate.kind == "linear":
            assert trees_done.wait(30), "the two kinds are measured one after the other"
        else:
            trees_done.set()
        return candidate.name

    monkeypatch.setattr(training, "measure", measure)
    measured: Any = training.measure_all((TREES, LOGISTIC, SMOTE), NOTHING, NOTHING)
    assert measured == [
        candidate.name for candidate in (LOGISTIC, SMOTE, TREES)
    ]  # fmt: skip


def test_once_one_has_failed_no_other_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    failed, threads = threading.Event(), set[threading.Thread]()

    def measure(candidate: Candidate, *_: object) -> Any:
        begun.append(candidate.name)
        threads.add(threading.current_thread())
        if candidate.kind == "linear":
            raise BadInput("no good")
        assert failed.wait(30)

    monkeypatch.setattr(training, "measure", measure)
    with pytest.raises(BadInput, match="no good"):
        training.measure_all((LOGISTIC, SMOTE, TREES, AGAIN), NOTHING, NOTHING)
    failed.set()
    for thread in threads:
        thread.join(30)
    assert sorted(begun) in ([LOGISTIC.name], sorted([LOGISTIC.name, TREES.name]))

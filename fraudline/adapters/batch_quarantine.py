"""Rows that a run refused, or left out of training, as it keeps them, and what came back of them.

Refused rows are in `quarantine/<run>.jsonl`. Beside it a person may put `corrections/<run>.jsonl`: lines copied from it
with another `raw`. A redrive writes `redriven/<run>.jsonl`, transactions to give to any command beside the original
files.

Valid rows that failed an expectation are in `excluded/<stage>/<run>.jsonl`. They are history as they stand in their
files, so there is nothing to correct or to give again: a redrive judges them by the suite as it is now, and tells how
many the next retrain takes.

Either way each time that something changed is an object in `attempts/<run>/`: the history of every row.
"""

from collections.abc import Collection, Iterator
from typing import Any, TypeVar

import msgspec

from expectations import load_suite
from fraudline.adapters.objects import NotFound, Objects
from fraudline.columns import Place, RejectedRow
from fraudline.contract import Contract
from fraudline.errors import BadInput, LostRace
from fraudline.quality.places import EXCLUDED, REFUSED, REFUSED_LABELS, SUFFIX
from fraudline.quality.redrive import Attempt, Redriven, judge_again, try_again
from fraudline.quality.suite import STAGES, Stage

T = TypeVar("T")


class BatchQuarantine:
    """The rows refused and left out in one place of quality runs or retrains."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def keys(self) -> Iterator[str]:
        """The runs' objects, oldest window first: rows left out, then rows refused."""
        found = (key for prefix in (EXCLUDED, REFUSED) for key in self._objects.list(prefix))
        return (key for key in found if key.endswith(SUFFIX))

    def show(self, key: str) -> tuple[RejectedRow, ...]:
        """The refused or left-out rows of one run."""
        if not (key.startswith((EXCLUDED, REFUSED)) and key.endswith(SUFFIX)):
            raise BadInput(f"{key!r} is no quarantine object: take a key from `fraudline quarantine list`")
        return tuple(_lines(self._objects.get(key), RejectedRow, key))

    def history(self, key: str) -> list[Attempt]:
        """Every attempt at every row of the run, oldest first."""
        keys = list(self._objects.list(f"attempts/{_run(key)}/"))
        return [attempt for name in keys for attempt in _lines(self._objects.get(name), Attempt, name)]

    def redrive(self, key: str, contract: Contract) -> Redriven:
        """Try a run's rows again, corrected where a person has done so. Done twice it changes nothing more."""
        if key.startswith(REFUSED_LABELS):
            raise BadInput(f"{key} holds labels: mend them in a file of labels, then run `fraudline labels apply`")
        rejects, history = self.show(key), self.history(key)
        done = {attempt.line for attempt in history if not attempt.problems}
        attempts, records = self._try_again(key, contract, rejects, done)
        latest = {attempt.line: attempt for attempt in history}
        if news := [attempt for attempt in attempts if latest.get(attempt.line) != attempt]:
            # Transactions first: cut off in between, the next redrive finds the rows not done and writes the same.
            self._append(f"redriven/{_run(key)}{SUFFIX}", records)
            self._remember(key, news)
        returned = sum(not attempt.problems for attempt in attempts)
        result = Redriven(returned=returned, returned_before=len(done))
        result.refused.update(attempt.problems[0].code for attempt in attempts if attempt.problems)
        return result

    def _try_again(
        self, key: str, contract: Contract, rejects: tuple[RejectedRow, ...], done: Collection[int]
    ) -> tuple[list[Attempt], list[dict[str, Any]]]:
        """The attempts, and the records that come back by them."""
        if key.startswith(REFUSED):
            return try_again(contract, rejects, self._corrections(key), done)
        return judge_again(contract, load_suite(contract, _stage(key)), rejects, done), []

    def _corrections(self, key: str) -> dict[Place, str]:
        name = f"corrections/{_run(key)}{SUFFIX}"
        try:
            rows = _lines(self._objects.get(name), RejectedRow, name)
        except NotFound:
            return {}
        return {(row.source, row.row): row.raw for row in rows}

    def _append(self, key: str, records: list[dict[str, Any]]) -> None:
        try:
            present = self._objects.get(key)
        except NotFound:
            present = b""
        known = set(present.splitlines())
        lines = [line for line in map(msgspec.json.encode, records) if line not in known]
        if lines:
            self._objects.put(key, present + b"\n".join([*lines, b""]))

    def _remember(self, key: str, attempts: list[Attempt]) -> None:
        number = sum(1 for _ in self._objects.list(f"attempts/{_run(key)}/")) + 1
        data = b"".join(msgspec.json.encode(attempt) + b"\n" for attempt in attempts)
        if not self._objects.put_new(f"attempts/{_run(key)}/{number:06d}{SUFFIX}", data):
            raise LostRace(f"another redrive of {key} is under way: run it again when that is done")


def _run(key: str) -> str:
    return key.removeprefix(REFUSED).removesuffix(SUFFIX)


def _stage(key: str) -> Stage:
    stage = key.removeprefix(EXCLUDED).partition("/")[0]
    if stage not in STAGES:
        raise BadInput(f"{key!r} names no stage: take a key from `fraudline quarantine list`")
    return stage


def _lines(data: bytes, kind: type[T], name: str) -> list[T]:
    try:
        return [msgspec.json.decode(line, type=kind) for line in data.splitlines() if line.strip()]
    except msgspec.DecodeError as error:
        raise BadInput(f"{name} is damaged: {error}; each line is one row as a JSON object") from error

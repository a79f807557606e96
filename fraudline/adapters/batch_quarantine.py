"""Rows that files had refused, as a run keeps them, and what came back of them.

Beside `quarantine/<run>.jsonl` a person may put `corrections/<run>.jsonl`: lines copied from it with another `raw`.
A redrive writes `redriven/<run>.jsonl`, transactions to give to any command beside the original files, and one object
in `attempts/<run>/` each time that something changed: the history of every row.
"""

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from fraudline.adapters.objects import NotFound, Objects
from fraudline.columns import RejectedRow
from fraudline.contract import Contract
from fraudline.errors import BadInput, LostRace
from fraudline.quality.redrive import Attempt, Place, Redriven, try_again

PREFIX = "quarantine/"
SUFFIX = ".jsonl"

T = TypeVar("T")


class BatchQuarantine:
    """The refused rows in one place of quality runs or retrains."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def keys(self) -> Iterator[str]:
        """The runs' objects, oldest window first."""
        return (key for key in self._objects.list(PREFIX) if key.endswith(SUFFIX))

    def show(self, key: str) -> tuple[RejectedRow, ...]:
        """The refused rows of one run."""
        if not (key.startswith(PREFIX) and key.endswith(SUFFIX)):
            raise BadInput(f"{key!r} is no quarantine object: take a key from `fraudline quarantine list`")
        return tuple(_lines(self._objects.get(key), RejectedRow, key))

    def history(self, key: str) -> list[Attempt]:
        """Every attempt at every row of the run, oldest first."""
        keys = list(self._objects.list(f"attempts/{_run(key)}/"))
        return [attempt for name in keys for attempt in _lines(self._objects.get(name), Attempt, name)]

    def redrive(self, key: str, contract: Contract) -> Redriven:
        """Try a run's rows again, corrected where a person has done so. Done twice it changes nothing more."""
        rejects, history = self.show(key), self.history(key)
        done = {attempt.line for attempt in history if not attempt.problems}
        attempts, records = try_again(contract, rejects, self._corrections(key), done)
        latest = {attempt.line: attempt for attempt in history}
        if news := [attempt for attempt in attempts if latest.get(attempt.line) != attempt]:
            # Transactions first: cut off in between, the next redrive finds the rows not done and writes the same.
            self._append(f"redriven/{_run(key)}{SUFFIX}", records)
            self._remember(key, news)
        result = Redriven(returned=len(records), returned_before=len(done))
        result.refused.update(attempt.problems[0].code for attempt in attempts if attempt.problems)
        return result

    def _corrections(self, key: str) -> dict[Place, str]:
        name = f"corrections/{_run(key)}{SUFFIX}"
        try:
            rows = _lines(self._objects.get(name), RejectedRow, name)
        except NotFound:
            return {}
        return {(row.source, row.row): row.raw for row in rows}

    def _append(self, key: str, records: list[dict[str, object]]) -> None:
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
    return key.removeprefix(PREFIX).removesuffix(SUFFIX)


def _lines(data: bytes, kind: type[T], name: str) -> list[T]:
    try:
        return [msgspec.json.decode(line, type=kind) for line in data.splitlines() if line.strip()]
    except msgspec.DecodeError as error:
        raise BadInput(f"{name} is damaged: {error}; each line is one row as a JSON object") from error

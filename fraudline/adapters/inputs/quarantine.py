"""Rows that a run refused, or left out of training, as it keeps them, and what came back of them.

Refused rows are in `quarantine/<run>.jsonl`. Beside it a person may put `corrections/<run>.jsonl`: lines copied from it
with another `raw`. A redrive writes `redriven/<run>.jsonl`, transactions to give to any command beside the original
files.

Valid rows that failed an expectation are in `excluded/<stage>/<run>.jsonl`. They are history as they stand in their
files, so there is nothing to correct or to give again: a redrive judges them by the suite as it is now, and tells how
many the next retrain takes.

Either way each time that something changed is an object in `attempts/<run>/`: the history of every row.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from expectations import load_suite
from fraudline.adapters.storage.objects import NotFound, Objects
from fraudline.contract import Contract
from fraudline.errors import BadInput, LostRace
from fraudline.quality.places import EXCLUDED, REFUSED, REFUSED_LABELS, SUFFIX
from fraudline.quality.redrive import Attempt, Redriven, judge_again, try_again
from fraudline.quality.suite import STAGES, Stage
from fraudline.transactions.landed import Place, RejectedRow

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
        return self._attempts(self._told(key))

    def redrive(self, key: str, contract: Contract) -> Redriven:
        """Try a run's rows again, corrected where a person has done so. Done twice it changes nothing more.

        `LostRace` if another redrive of the run was faster: then nothing was changed.
        """
        if key.startswith(REFUSED_LABELS):
            raise BadInput(f"{key} holds labels: mend them in a file of labels, then run `fraudline labels apply`")
        rejects, told = self.show(key), self._told(key)
        history = self._attempts(told)
        done = {attempt.line for attempt in history if not attempt.problems}
        attempts = self._try_again(key, contract, rejects, done)
        latest = {attempt.line: attempt for attempt in history}
        if news := [attempt for attempt in attempts if latest.get(attempt.line) != attempt]:
            self._remember(key, len(told) + 1, news)
        # What is remembered counts: of a redrive that was cut off in between, this one brings the rows back.
        self._bring_back(key, [*history, *news])
        returned = sum(not attempt.problems for attempt in attempts)
        result = Redriven(returned=returned, returned_before=len(done))
        result.refused.update(attempt.problems[0].code for attempt in attempts if attempt.problems)
        return result

    def _told(self, key: str) -> list[str]:
        """The objects that tell of attempts at the run's rows, oldest first."""
        return list(self._objects.list(f"attempts/{_run(key)}/"))

    def _attempts(self, names: Iterable[str]) -> list[Attempt]:
        return [attempt for name in names for attempt in _lines(self._objects.get(name), Attempt, name)]

    def _try_again(
        self, key: str, contract: Contract, rejects: tuple[RejectedRow, ...], done: Collection[int]
    ) -> list[Attempt]:
        if key.startswith(REFUSED):
            return try_again(contract, rejects, self._corrections(key), done)
        return judge_again(contract, load_suite(contract, _stage(key)), rejects, done)

    def _corrections(self, key: str) -> dict[Place, str]:
        name = f"corrections/{_run(key)}{SUFFIX}"
        try:
            rows = _lines(self._objects.get(name), RejectedRow, name)
        except NotFound:
            return {}
        return {(row.source, row.row): row.raw for row in rows}

    def _remember(self, key: str, number: int, attempts: Sequence[Attempt]) -> None:
        """The next attempts after those that were read: whoever has read the same ones has no other place for his."""
        data = b"".join(msgspec.json.encode(attempt) + b"\n" for attempt in attempts)
        if not self._objects.put_new(f"attempts/{_run(key)}/{number:06d}{SUFFIX}", data):
            raise LostRace(f"another redrive of {key} is under way: run it again when that is done")

    def _bring_back(self, key: str, attempts: Sequence[Attempt]) -> None:
        """The records of all rows that came back, beside what is there."""
        name = f"redriven/{_run(key)}{SUFFIX}"
        records = [msgspec.json.encode(attempt.record) for attempt in attempts if attempt.record is not msgspec.UNSET]
        while records:
            tag, present = self._objects.tag(name), self._present(name)
            known = set(present.splitlines())
            lines = [record for record in records if record not in known]
            if not lines or self._objects.put_if(name, present + b"\n".join([*lines, b""]), tag):
                return

    def _present(self, name: str) -> bytes:
        try:
            return self._objects.get(name)
        except NotFound:
            return b""


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

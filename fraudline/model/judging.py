"""What a score means: the one step from a probability to a decision and its reasons, on every path."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Judge(Protocol):
    """What it takes of a model version."""

    @property
    def threshold(self) -> float: ...

    def reasons(self, features: Sequence[float]) -> list[str]: ...


class Judgement(NamedTuple):
    """A score, whether it is fraud to the version that gave it, and why, in words; nothing else needs reasons."""

    score: float
    is_fraud: bool
    reasons: tuple[str, ...]


def judge(version: Judge, features: Sequence[float], score: float) -> Judgement:
    """What the version makes of a score that it gave these features; `ValueError` if that is no probability."""
    if not 0.0 <= score <= 1.0:
        raise ValueError(f"the score is {score!r}, not a probability")
    is_fraud = score >= version.threshold
    return Judgement(score, is_fraud, tuple(version.reasons(features)) if is_fraud else ())

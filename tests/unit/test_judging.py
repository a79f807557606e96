"""What a score means at the threshold itself, and what is no score."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from fraudline.model.judging import judge


@dataclass(frozen=True)
class Version:
    """As much of one as a judgement takes."""

    threshold: float = 0.25

    def reasons(self, features: Sequence[float]) -> list[str]:
        return ["why"]


@pytest.mark.parametrize("score", [0.25, 0.250000001, 1.0])
def test_a_score_of_the_threshold_or_more_is_fraud_and_says_why(score: float) -> None:
    assert judge(Version(), [1.0], score) == (score, True, ("why",))


@pytest.mark.parametrize("score", [0.0, 0.249999999])
def test_a_score_below_the_threshold_needs_no_reason(score: float) -> None:
    assert judge(Version(), [1.0], score) == (score, False, ())


@pytest.mark.parametrize("score", [-0.001, 1.001, float("nan"), float("inf")])
def test_what_is_no_probability_is_no_score(score: float) -> None:
    with pytest.raises(ValueError, match="not a probability"):
        judge(Version(), [1.0], score)

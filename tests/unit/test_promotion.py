"""A challenger becomes champion when it is better beyond noise, and not by luck."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from fraudline.contract import Alerts
from fraudline.evaluation.bootstrap import Comparison, compare_average_precision
from fraudline.evaluation.judged import Judged
from fraudline.evaluation.metrics import Metrics, average_precision, measure
from fraudline.training.promotion import (
    CALIBRATION_RANGE,
    MIN_COMPARED,
    MIN_LIFT,
    MIN_SEGMENT_FRAUDS,
    SEGMENT_MARGIN,
    calibration_problem,
    decide,
    decide_first,
    decide_unequal,
)

Floats = npt.NDArray[np.float64]
TRIALS = 200


def week(rng: np.random.Generator, transactions: int = 3_000, users: int = 600, frauds: int = 90) -> Judged:
    """A week whose frauds come in episodes: three at a time, of one user, with a risk that scores see through noise."""
    entity = rng.integers(0, users, transactions).astype(np.int32)
    compromised = rng.choice(users, frauds // 3, replace=False)
    label = (np.isin(entity, compromised) & (rng.random(transactions) < 0.6)).astype(np.int8)
    nothing = np.zeros(transactions)
    return Judged(nothing, label, np.full(transactions, 10.0), np.zeros(transactions, np.int64), entity)


def scores(rng: np.random.Generator, judged: Judged, skill: float) -> Floats:
    """Probabilities that sum to the frauds, the better the higher `skill`; the same users look odd to both models."""
    odd = np.random.default_rng(7).normal(0, 1, int(judged.entity.max()) + 1)[judged.entity]
    margin = 1.5 * (skill * judged.label + 0.5 * odd + rng.normal(0, 1, len(judged.label)))
    low, high = -50.0, 50.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if _logistic(margin + middle).sum() > judged.label.sum() else (middle, high)
    return _logistic(margin + low)


def _logistic(margin: Floats) -> Floats:
    return 1 / (1 + np.exp(-margin))


def test_a_challenger_that_is_no_better_is_promoted_in_at_most_one_trial_of_twenty() -> None:
    promoted = 0
    for trial in range(TRIALS):
        rng = np.random.default_rng(trial)
        judged = week(rng, transactions=1_000, users=200, frauds=60)
        challenger, champion = scores(rng, judged, 2.5), scores(rng, judged, 2.5)
        promoted += decide(replace(judged, score=challenger), champion, {}).action == "promote"
    assert promoted <= TRIALS * 0.05


def test_a_challenger_that_is_better_is_promoted() -> None:
    promoted = 0
    for trial in range(20):
        rng = np.random.default_rng(1000 + trial)
        judged = week(rng, transactions=2_000, users=400, frauds=120)
        better = replace(judged, score=scores(rng, judged, 4.0))
        promoted += decide(better, scores(rng, judged, 2.0), {}).action == "promote"
    assert promoted >= 19


def test_a_challenger_that_is_worse_is_rejected_as_worse() -> None:
    rng = np.random.default_rng(1)
    judged = week(rng)
    decision = decide(replace(judged, score=scores(rng, judged, 1.0)), scores(rng, judged, 3.5), {})
    assert decision.action == "reject"
    assert decision.reason.startswith("worse than the champion: -")


def test_the_champion_against_itself_is_not_better() -> None:
    rng = np.random.default_rng(2)
    judged = week(rng)
    same = scores(rng, judged, 2.5)
    decision = decide(replace(judged, score=same), same, {})
    assert decision.action == "reject"
    assert decision.reason.startswith("not better than the champion beyond noise: +0.0000")
    assert decision.metrics["difference"] == decision.metrics["difference_low"] == 0.0


def test_a_decision_keeps_the_figures_it_was_made_on() -> None:
    rng = np.random.default_rng(3)
    judged = week(rng)
    challenger, champion = scores(rng, judged, 3.5), scores(rng, judged, 2.0)
    decision = decide(replace(judged, score=challenger), champion, {})
    figures = decision.metrics
    assert figures["challenger_average_precision"] == average_precision(judged.label, challenger)
    assert figures["champion_average_precision"] == average_precision(judged.label, champion)
    assert figures["difference_low"] < figures["difference"] < figures["difference_high"]
    assert (figures["transactions"], figures["frauds"]) == (len(judged.label), judged.label.sum())
    assert f"{figures['difference']:+.4f}" in decision.reason


# Guards


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_a_better_challenger_whose_scores_are_no_probabilities_is_kept_in_the_shadow(factor: float) -> None:
    rng = np.random.default_rng(4)
    judged = week(rng)
    challenger = np.clip(scores(rng, judged, 3.5) * factor, 0, 1)
    decision = decide(replace(judged, score=challenger), scores(rng, judged, 2.0), {})
    assert decision.action == "shadow"
    assert "times the frauds there were; 0.5 to 2.0 are allowed" in decision.reason


def test_a_better_challenger_that_loses_a_segment_is_kept_in_the_shadow() -> None:
    rng = np.random.default_rng(5)
    judged = week(rng, transactions=12_000, users=2_400, frauds=360)
    challenger, champion = scores(rng, judged, 4.5), scores(rng, judged, 2.0)
    tablet = np.arange(len(judged.label)) % 4 == 0
    assert judged.label[tablet].sum() >= MIN_SEGMENT_FRAUDS
    challenger[tablet] = rng.permutation(challenger[tablet])
    segments = {"device_type is tablet": tablet, "device_type is mobile": ~tablet}
    decision = decide(replace(judged, score=challenger), champion, segments)
    assert decision.action == "shadow"
    assert "where device_type is tablet it loses" in decision.reason
    assert f"({SEGMENT_MARGIN} is allowed)" in decision.reason
    assert "mobile" not in decision.reason


@pytest.mark.parametrize(
    ("frauds", "honest", "action"),
    [
        (MIN_SEGMENT_FRAUDS - 1, 500, "promote"),
        (MIN_SEGMENT_FRAUDS, 500, "shadow"),
        (MIN_SEGMENT_FRAUDS, MIN_SEGMENT_FRAUDS - 1, "promote"),
    ],
)
def test_a_segment_of_few_frauds_or_few_others_proves_nothing(frauds: int, honest: int, action: str) -> None:
    rng = np.random.default_rng(6)
    judged = week(rng, transactions=12_000, users=2_400, frauds=360)
    challenger, champion = scores(rng, judged, 4.5), scores(rng, judged, 2.0)
    few = np.zeros(len(judged.label), bool)
    few[np.flatnonzero(judged.label)[:frauds]] = True
    few[np.flatnonzero(judged.label == 0)[:honest]] = True
    # Among them the champion ranks perfectly, and the challenger not at all.
    champion[few & (judged.label == 1)] = 0.99
    challenger[few] = rng.permutation(challenger[few])
    assert decide(replace(judged, score=challenger), champion, {"few": few}).action == action


def test_every_guard_that_broke_is_named() -> None:
    rng = np.random.default_rng(5)
    judged = week(rng, transactions=12_000, users=2_400, frauds=360)
    challenger, champion = scores(rng, judged, 4.5), scores(rng, judged, 2.0)
    tablet = np.arange(len(judged.label)) % 4 == 0
    challenger[tablet] = rng.permutation(challenger[tablet])
    decision = decide(replace(judged, score=challenger * 0.3), champion, {"tablet": tablet})
    assert decision.reason.count(";") >= 1
    assert "it predicts 0.30 times" in decision.reason
    assert "where tablet it loses" in decision.reason


@pytest.mark.parametrize("bound", CALIBRATION_RANGE)
def test_the_ends_of_the_calibration_range_are_allowed(bound: float) -> None:
    assert calibration_problem(bound) is None
    assert calibration_problem(bound * (0.99 if bound < 1 else 1.01)) is not None


# The first model


def metrics_of(judged: Judged, score: Floats) -> Metrics:
    return measure(replace(judged, score=score), 0.5, Alerts())


def test_the_first_acceptable_model_is_promoted() -> None:
    rng = np.random.default_rng(8)
    judged = week(rng)
    decision = decide_first(metrics_of(judged, scores(rng, judged, 2.5)))
    assert decision.action == "promote"
    assert decision.reason.startswith("first acceptable model: average precision 0.")


def test_a_first_model_that_ranks_like_chance_is_rejected() -> None:
    rng = np.random.default_rng(9)
    judged = week(rng)
    decision = decide_first(metrics_of(judged, scores(rng, judged, 0.0)))
    assert decision.action == "reject"
    assert "times better than chance" in decision.reason
    assert f"{MIN_LIFT:.0f} are needed" in decision.reason


def test_a_first_model_that_is_just_as_good_as_it_must_be_is_promoted() -> None:
    rng = np.random.default_rng(9)
    judged = week(rng)
    metrics = replace(
        metrics_of(judged, scores(rng, judged, 2.5)), transactions=800, frauds=100, predicted_to_actual=1.0
    )
    assert decide_first(replace(metrics, average_precision=MIN_LIFT / 8)).action == "promote"
    assert decide_first(replace(metrics, average_precision=MIN_LIFT / 8 - 1e-9)).action == "reject"


def test_a_first_model_whose_scores_are_no_probabilities_is_rejected() -> None:
    rng = np.random.default_rng(10)
    judged = week(rng)
    decision = decide_first(metrics_of(judged, scores(rng, judged, 3.5) * 0.2))
    assert decision.action == "reject"
    assert "it predicts 0.20 times the frauds" in decision.reason


def test_where_fraud_is_common_a_first_model_need_not_be_better_than_perfect() -> None:
    rng = np.random.default_rng(14)
    label = (rng.random(2_000) < 0.4).astype(np.int8)
    common = replace(week(rng, transactions=2_000), label=label)
    good = decide_first(metrics_of(common, np.clip(label * 0.6 + 0.2 + rng.normal(0, 0.08, 2_000), 0, 1)))
    assert good.action == "promote"
    like_chance = decide_first(metrics_of(common, np.full(2_000, 0.4)))
    assert like_chance.reason == "it ranks frauds only 1.0 times better than chance; 1.8 are needed"


def test_a_model_of_other_features_is_held_to_what_a_first_one_is_held_to() -> None:
    rng = np.random.default_rng(15)
    judged = week(rng)
    waits = decide_unequal(metrics_of(judged, scores(rng, judged, 2.5)), "2026-01-01-0123456789ab")
    assert waits.action == "shadow"
    assert "not compared with champion 2026-01-01-0123456789ab" in waits.reason
    refused = decide_unequal(metrics_of(judged, scores(rng, judged, 0.0)), "2026-01-01-0123456789ab")
    assert refused.action == "reject"


@pytest.mark.parametrize("frauds", [0, MIN_COMPARED - 1])
def test_too_few_transactions_that_the_champion_has_not_learned_from_decide_nothing(frauds: int) -> None:
    rng = np.random.default_rng(16)
    judged = week(rng)
    new = np.r_[np.flatnonzero(judged.label == 0)[: 50 * frauds], np.flatnonzero(judged.label)[:frauds]]
    decision = decide(judged.take(new), np.zeros(len(new)), {"all of them": np.ones(len(new), bool)})
    assert decision.action == "reject"
    assert f"only {len(new)} of the transactions to compare on, {frauds} of them fraud, are new" in decision.reason


@pytest.mark.parametrize(
    ("frauds", "honest", "decides"),
    [(MIN_COMPARED, MIN_COMPARED, True), (MIN_COMPARED, MIN_COMPARED - 1, False), (MIN_COMPARED - 1, 500, False)],
)
def test_a_comparison_takes_some_of_either_kind(frauds: int, honest: int, decides: bool) -> None:
    rng = np.random.default_rng(16)
    judged = week(rng)
    some = np.r_[np.flatnonzero(judged.label == 0)[:honest], np.flatnonzero(judged.label)[:frauds]]
    decision = decide(judged.take(some), np.zeros(len(some)), {})
    assert ("to compare on" not in decision.reason) is decides


# The bootstrap


def test_the_interval_of_a_difference_covers_the_true_one_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    judged = week(rng, transactions=100_000, users=20_000, frauds=3_000)
    ours, theirs = scores(rng, judged, 2.6), scores(rng, judged, 2.4)
    truth = average_precision(judged.label, ours) - average_precision(judged.label, theirs)
    covered = 0
    for trial in range(60):
        some = np.flatnonzero(np.isin(judged.entity, rng.choice(20_000, 750, replace=False)))
        interval = compare_average_precision(
            judged.label[some], ours[some], theirs[some], judged.entity[some], seed=trial, rounds=100
        )
        covered += interval.low <= truth <= interval.high
    assert covered >= 50


def test_a_draw_without_any_fraud_has_a_precision_of_none_and_spoils_no_interval() -> None:
    label = np.array([1, *[0] * 9], dtype=np.int8)
    ours, theirs = np.linspace(1, 0, 10), np.linspace(0, 1, 10)
    told = compare_average_precision(label, ours, theirs, np.arange(10))
    assert (told.low, told.difference) == (0.0, pytest.approx(0.9))
    assert 0.0 < told.high <= 1.0


def test_worse_and_better_are_said_only_beyond_noise() -> None:
    told = {
        limits: Comparison(sum(limits) / 2, *limits) for limits in ((-0.3, -0.1), (-0.3, 0.1), (-0.1, 0.3), (0.1, 0.3))
    }
    assert [limits for limits, one in told.items() if one.worse] == [(-0.3, -0.1)]
    assert [limits for limits, one in told.items() if one.better] == [(0.1, 0.3)]


def test_the_same_rows_give_the_same_interval() -> None:
    rng = np.random.default_rng(12)
    judged = week(rng)
    ours, theirs = scores(rng, judged, 2.6), scores(rng, judged, 2.4)
    first, second = (compare_average_precision(judged.label, ours, theirs, judged.entity) for _ in range(2))
    assert first == second


def test_average_precision_under_the_bootstrap_is_that_of_the_library_ties_included() -> None:
    rng = np.random.default_rng(13)
    label = (rng.random(2_000) < 0.1).astype(np.int8)
    ours = np.round(rng.random(2_000) + 0.3 * label, 1)
    theirs = np.round(rng.random(2_000), 1)
    found = compare_average_precision(label, ours, theirs, np.arange(2_000), rounds=2).difference
    assert found == pytest.approx(average_precision(label, ours) - average_precision(label, theirs), abs=1e-12)

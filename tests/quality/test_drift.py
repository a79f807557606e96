"""Drift: found where it matters, not where a sample is merely large; and histograms that make it measurable."""

import json

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from fraudline.quality.drift import alert_drift, compare, drift
from fraudline.quality.histograms import histogram, reference


def draw(seed: int, count: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(3.0 + shift, 1.0, count)


def test_the_first_and_the_last_bin_of_a_histogram_are_for_what_training_never_saw() -> None:
    values = draw(1, 10_000)
    known = histogram(values)
    assert known["counts"][0] == known["counts"][-1] == 0
    assert sum(known["counts"]) == 10_000
    later = histogram([values.min() / 2, *values, values.max() * 2], known["edges"])
    assert later["counts"][0] == later["counts"][-1] == 1


def test_a_histogram_keeps_the_far_tail_apart() -> None:
    values = draw(1, 100_000)
    shares = np.array(histogram(values)["counts"]) / len(values)
    assert 0 < shares[-2] <= 0.0011


def test_equal_data_give_equal_bytes_in_any_order() -> None:
    values = draw(2, 5_000)
    assert json.dumps(histogram(values)) == json.dumps(histogram(np.random.default_rng(0).permutation(values)))
    assert json.loads(json.dumps(histogram(values))) == histogram(values)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_a_histogram_of_nothing_or_of_no_numbers_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="histogram"):
        histogram(values)


def test_a_large_sample_alone_proves_no_drift() -> None:
    known = histogram(draw(1, 1_000_000))
    slightly_off = draw(2, 1_000_000, shift=0.02)
    seen = histogram(slightly_off, known["edges"])
    plain = chi2_contingency([known["counts"][1:-1], seen["counts"][1:-1]])
    assert plain.pvalue < 1e-9
    found = drift("amount", known, slightly_off)
    assert found.verdict == "steady"
    assert found.p_value > 0.99


@pytest.mark.parametrize("count", [500, 5_000, 500_000])
def test_a_shift_that_matters_is_found_whatever_the_sample(count: int) -> None:
    found = drift("amount", histogram(draw(1, 100_000)), draw(2, count, shift=1.0))
    assert found.verdict == "far off"
    assert found.psi > 0.25


def test_windows_of_the_same_kind_are_steady_however_small() -> None:
    known = histogram(draw(1, 50_000))
    verdicts = [drift("amount", known, draw(seed, 60)).verdict for seed in range(2, 202)]
    assert verdicts.count("steady") >= 198


def test_a_flag_that_was_always_off_and_now_is_on_has_never_been_seen() -> None:
    found = drift("is_vpn", histogram(np.zeros(10_000)), np.r_[np.zeros(700), np.ones(300)])
    assert found.verdict == "far off"
    assert found.unseen == 0.3


def test_cents_for_dollars_show_as_amounts_never_seen() -> None:
    values = draw(1, 20_000)
    found = drift("amount", histogram(values), values * 100)
    assert found.verdict == "far off"
    assert found.unseen > 0.1


def test_features_come_with_the_largest_drift_first_and_scores_apart() -> None:
    matrix = np.column_stack([draw(1, 5_000), draw(2, 5_000)])
    known = reference(matrix, ["steady", "moved"], matrix[:, 0] / matrix[:, 0].max())
    later = np.column_stack([draw(3, 5_000), draw(4, 5_000, shift=0.8)])
    report = compare(known, later, ["steady", "moved"], later[:, 0] / matrix[:, 0].max())
    assert [d.name for d in report.features] == ["moved", "steady"]
    assert [d.name for d in report.drifted] == ["moved"]


def test_alerts_are_off_only_beyond_a_factor_and_beyond_chance() -> None:
    assert not alert_drift(30.0, alerts=50, days=1.0).drifted
    assert not alert_drift(1.0, alerts=4, days=1.0).drifted
    assert alert_drift(30.0, alerts=100, days=1.0).drifted
    assert alert_drift(30.0, alerts=3, days=1.0).drifted

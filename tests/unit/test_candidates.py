"""Candidates: their order, and what their samplers ask for."""

import numpy as np
import pytest

from fraudline.contract import load_contract
from fraudline.features.definition import feature_set
from fraudline.training.candidates import CANDIDATES, binary_features, candidates_named

SHOP = feature_set(load_contract("ecommerce"))


def test_candidates_stand_from_simple_to_complex_however_they_are_named() -> None:
    assert [c.name for c in candidates_named(["boosted_trees", "logistic"])] == ["logistic", "boosted_trees"]
    assert candidates_named([]) == CANDIDATES


def test_features_of_zero_and_one_are_flags_and_indicators() -> None:
    binary = {SHOP.names[at] for at in binary_features(SHOP)}
    assert binary >= {"is_vpn", "is_night", "is_weekend", "device_type=mobile", "card_type_new"}
    assert binary.isdisjoint({"amount", "hour", "user_count_1d", "location_share"})


@pytest.mark.parametrize(("frauds", "wanted"), [(2, 5), (5, 5), (20, 20)])
def test_smote_makes_frauds_up_to_a_share_and_takes_none_away(frauds: int, wanted: int) -> None:
    (candidate,) = candidates_named(["logistic_smote"])
    sampler = candidate.build(SHOP, candidate.grid[0], 0).named_steps["smote"]
    assert candidate.grid[0]["fraud_share"] == 0.05
    assert sampler.sampling_strategy(np.r_[np.ones(frauds), np.zeros(100)]) == {1: wanted}


@pytest.mark.parametrize(("frauds", "wanted"), [(2, 40), (5, 100), (20, 100)])
def test_boosting_sees_twenty_honest_transactions_for_each_fraud_and_never_more_than_there_are(
    frauds: int, wanted: int
) -> None:
    (candidate,) = candidates_named(["boosted_trees"])
    sampler = candidate.build(SHOP, candidate.grid[0], 0).named_steps["sample"]
    assert sampler.sampling_strategy(np.r_[np.ones(frauds), np.zeros(100)]) == {0: wanted}

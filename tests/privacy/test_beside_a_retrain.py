"""Somebody is forgotten while a retrain is at work on what it read before: the sets that it keeps tell of nobody."""

from datetime import timedelta
from typing import Any

import pytest

from flows.retrain import RetrainRequest, retrain
from fraudline.adapters.storage.objects import open_objects
from fraudline.settings import Settings
from fraudline.simulate import Population, simulate
from tasks import training
from tests.privacy.shop import DAYS, TODAY, objects
from tests.privacy.test_beside_the_stream import forget


def test_who_is_erased_while_a_model_is_trained_is_in_no_set_that_is_kept(
    resources: Settings, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = simulate(Population(users=120, start=TODAY - timedelta(days=DAYS), days=DAYS, fraud_rate=0.05, seed=3))
    user = str(history["user_id"].value_counts().index[0])
    landing = open_objects(f"s3://{resources.landing_bucket}")
    landing.put("files/history.csv", history.to_csv(index=False).encode())
    publish, pseudonyms = training.publish, list[str]()

    def forget_before(*arguments: Any) -> Any:
        pseudonyms.append(forget(resources, id_=user))
        return publish(*arguments)

    monkeypatch.setattr(training, "publish", forget_before)
    retrain.fn(RetrainRequest(as_of=TODAY, candidates=["logistic"], save_splits=True))
    splits = [text for place, text in objects(resources) if place == "models/ecommerce"]
    assert any(pseudonyms[0] in text for text in splits)
    assert not any(user in text for text in splits)

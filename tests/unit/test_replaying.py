"""A recorded decision made again: each thing that was changed since is named."""

import math
from typing import Any

import msgspec
import pytest

from fraudline.decision import STREAM, Decision, pack
from fraudline.errors import Tampered
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.model.judging import judge
from fraudline.model.replaying import replay
from tests.realtime.bundles import bundle_files, version_of


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    files = dict(bundle_files())
    return load_bundle(files.__getitem__, version_of(files))


@pytest.fixture
def decision(bundle: Bundle) -> Decision:
    features = [float(n % 7) for n in range(len(bundle.features.names))]
    told = judge(bundle, features, bundle.scorer.score(features))
    return Decision(
        transaction_id="t1", origin=STREAM, threshold=bundle.threshold, model_version=bundle.version, event_time=1,
        effective_time=1, entities={"user": "U1"}, amount=1, features=pack(features), position="1#s",
        profile_position="", scored_at=1, digest=b"12345678", **told._asdict(),
    )  # fmt: skip


def test_what_nobody_has_changed_is_made_again(bundle: Bundle, decision: Decision) -> None:
    assert replay(decision, bundle).differing == ()


@pytest.mark.parametrize("name", ["score", "threshold", "is_fraud", "reasons"])
def test_what_was_changed_since_is_named(bundle: Bundle, decision: Decision, name: str) -> None:
    changes: dict[str, Any] = {
        "score": math.nextafter(decision.score, 1.0),
        "threshold": math.nextafter(decision.threshold, 0.0),
        "is_fraud": not decision.is_fraud,
        "reasons": (*decision.reasons, "because"),
    }
    assert replay(msgspec.structs.replace(decision, **{name: changes[name]}), bundle).differing == (name,)


@pytest.mark.parametrize("off", [-8, -3, 8])
def test_features_of_another_number_are_none_of_the_versions(bundle: Bundle, decision: Decision, off: int) -> None:
    other = (decision.features + bytes(8))[: len(decision.features) + off]
    with pytest.raises(Tampered, match="bytes of features"):
        replay(msgspec.structs.replace(decision, features=other), bundle)

"""A version is loaded whole and unchanged or not at all, with a sentence that says why."""

import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from fraudline.clock import from_micros
from fraudline.contract import load_contract
from fraudline.errors import Tampered
from fraudline.features.definition import feature_set
from fraudline.model.bundle import (
    GOLDEN,
    GRAPH,
    MANIFEST,
    REASONS,
    SCORER,
    Bundle,
    Manifest,
    encode_manifest,
    load_bundle,
    read_manifest,
    read_verified,
    seal,
    sha256,
    version_of,
)
from fraudline.model.golden import COUNT, Golden, check_golden, make_golden
from fraudline.model.scoring import LinearModel, LinearScorer, read_linear
from tests.realtime.bundles import bundle_files, write_version
from tests.realtime.bundles import version_of as version_named
from tests.unit.fitted import fitted

Files = dict[str, bytes]
EXIT_TAMPERED = 4


@pytest.fixture(params=["ecommerce", "cards"])
def files(request: pytest.FixtureRequest) -> Files:
    return dict(bundle_files(request.param))


def load(files: Files, version: str | None = None) -> Bundle:
    return load_bundle(files.__getitem__, version or version_named(files))


def refused(files: Files, version: str) -> str:
    """The sentence with which the version is refused."""
    with pytest.raises(Tampered) as refusal:
        load(files, version)
    assert refusal.value.exit_code == EXIT_TAMPERED
    sentence = str(refusal.value)
    assert version in sentence
    assert "\n" not in sentence
    return sentence


def resealed(files: Files, **changes: Any) -> tuple[Files, str]:
    """A version whose manifest says something else and is consistent with itself."""
    manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
    rest = {name: data for name, data in files.items() if name != MANIFEST}
    sealed, whole = seal(msgspec.structs.replace(manifest, **changes), rest)
    return whole, sealed.version


def test_a_version_is_what_its_files_say(files: Files) -> None:
    bundle = load(files)
    assert bundle.version == version_named(files) == version_of(bundle.manifest)
    assert bundle.version.startswith(bundle.manifest.as_of + "-")
    assert bundle.features.names == bundle.manifest.features
    assert bundle.contract == load_contract(bundle.contract.name)
    assert bundle.threshold == bundle.manifest.threshold


def test_the_same_files_are_the_same_version_and_one_byte_more_is_another(files: Files) -> None:
    again, version = resealed(files)
    assert (again, version) == (files, version_named(files))
    other, changed = resealed({**files, SCORER: files[SCORER] + b"\n"})
    assert changed != version
    assert load(other).version == changed


@pytest.mark.parametrize("name", [SCORER, GOLDEN])
def test_a_changed_file_is_not_used(files: Files, name: str) -> None:
    position = len(files[name]) // 2
    for data in (files[name] + b" ", files[name][:-2], b"", _flipped(files[name], position)):
        sentence = refused({**files, name: data}, version_named(files))
        assert sentence.endswith(f"{name} is not what its manifest says; do not use it")


def _flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data[: len(data) // 2], "manifest.json is damaged"),
        (lambda data: b"", "manifest.json is damaged"),
        (lambda data: b"{}", "manifest.json is damaged"),
        (lambda data: data.replace(b"additive", b"addit\xffve"), "manifest.json is damaged"),
        (lambda data: data.replace(b'"threshold": 0.3', b'"threshold": 0.9'), "belongs to another version"),
        (lambda data: data.replace(b'"format": 1', b'"format": 1, "extra": 2'), "manifest.json is damaged"),
        (lambda data: data.replace(b'"linear"', b'"trees"'), "belongs to another version"),
        (lambda data: data.replace(b'"version": "2', b'"version": "3'), "belongs to another version"),
    ],
    ids=["half", "empty", "no fields", "no UTF-8", "another threshold", "an unknown field", "another kind", "a name"],
)
def test_a_changed_manifest_is_not_used(files: Files, change: Callable[[bytes], bytes], sentence: str) -> None:
    assert change(files[MANIFEST]) != files[MANIFEST]
    assert sentence in refused({**files, MANIFEST: change(files[MANIFEST])}, version_named(files))


def test_a_manifest_under_another_versions_name_is_not_used(files: Files) -> None:
    assert "belongs to another version" in refused(files, "2026-01-01-000000000000")


@pytest.mark.parametrize("name", [SCORER, GOLDEN])
def test_a_file_that_the_manifest_does_not_name_is_not_used(files: Files, name: str) -> None:
    manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
    named = {other: hash_ for other, hash_ in manifest.files.items() if other != name}
    unnamed = msgspec.structs.replace(manifest, files=named)
    unnamed = msgspec.structs.replace(unnamed, version=version_of(unnamed))
    sentence = refused({**files, MANIFEST: encode_manifest(unnamed)}, unnamed.version)
    assert f"{name} is not what its manifest says" in sentence


@pytest.mark.parametrize("name", [MANIFEST, SCORER, GOLDEN])
def test_a_version_without_one_of_its_files_is_not_used(files: Files, name: str, tmp_path: Path) -> None:
    version = version_named(files)
    rest = {other: data for other, data in files.items() if other != name}
    assert refused(rest, version).endswith(f"{name} is missing; do not use it")
    folder = write_version(rest, tmp_path / version)
    with pytest.raises(Tampered, match=f"{name} is missing"):
        load_bundle(lambda file: (folder / file).read_bytes(), version)


def test_a_version_of_other_features_is_refused_with_the_remedy(files: Files) -> None:
    other, version = resealed(files, feature_hash="0" * 16)
    assert refused(other, version).endswith("use the release that made it, or retrain")


def test_a_version_of_an_unknown_kind_is_refused(files: Files) -> None:
    other, version = resealed(files, kind="oracle")
    assert "unknown kind 'oracle'" in refused(other, version)


def test_a_machine_that_scores_in_other_bits_does_not_get_the_version(files: Files) -> None:
    model = msgspec.json.decode(files[SCORER], type=LinearModel)
    nearly = msgspec.structs.replace(model, intercept=model.intercept + 1e-13)
    other, version = resealed({**files, SCORER: msgspec.json.encode(nearly)})
    sentence = refused(other, version)
    assert "scores golden input golden-" in sentence
    assert sentence.endswith("do not use it on this machine")


def test_every_file_of_a_version_can_be_verified_before_it_is_read(files: Files) -> None:
    manifest = read_manifest(files.__getitem__, version_named(files))
    for name, hash_ in manifest.files.items():
        assert sha256(read_verified(files.__getitem__, manifest, name)) == hash_
    with pytest.raises(Tampered, match="is not what its manifest says"):
        read_verified(lambda _: b"code", manifest, SCORER)


def test_golden_inputs_are_nobodys_data_and_the_same_for_everyone(files: Files) -> None:
    bundle = load(files)
    cases = [msgspec.json.decode(line, type=Golden) for line in files[GOLDEN].splitlines()]
    assert len(cases) == COUNT
    assert make_golden(bundle.contract, bundle.scorer) == files[GOLDEN]
    ids = {*(case.transaction.id for case in cases), *(e for case in cases for e in case.transaction.entities)}
    assert all(id_.startswith("golden-") for id_ in ids)
    assert len({case.score for case in cases}) > 1


class Features:
    """A scorer that keeps what it is given."""

    def __init__(self) -> None:
        self.rows: list[list[float]] = []

    def score_many(self, rows: list[list[float]]) -> list[float]:
        self.rows += rows
        return [0.5] * len(rows)


@pytest.mark.parametrize("name", ["ecommerce", "cards"])
def test_golden_inputs_move_every_feature_lagged_entities_included(name: str) -> None:
    contract, seen = load_contract(name), Features()
    make_golden(contract, seen)  # type: ignore[arg-type]
    constant = {
        feature
        for feature, column in zip(feature_set(contract).names, zip(*seen.rows, strict=True), strict=True)
        if len(set(column)) == 1
    }
    assert constant == set()


def test_golden_inputs_are_of_winter_and_of_summer() -> None:
    """So that a machine whose tz database is another is found out."""
    cases = [msgspec.json.decode(line, type=Golden) for line in bundle_files("ecommerce")[GOLDEN].splitlines()]
    moments = [from_micros(case.transaction.timestamp).astimezone(ZoneInfo("Europe/Paris")) for case in cases]
    assert {moment.utcoffset() for moment in moments} == {timedelta(hours=1), timedelta(hours=2)}


def test_golden_inputs_without_labels_as_older_versions_have_them_tell_nothing_of_lagged_entities() -> None:
    contract, seen = load_contract("cards"), Features()
    made = make_golden(contract, seen)  # type: ignore[arg-type]
    cases = [msgspec.json.decode(line, type=Golden) for line in made.splitlines()]
    older = [
        msgspec.structs.replace(case, transaction=msgspec.structs.replace(case.transaction, label=None))
        for case in cases
    ]
    again = Features()
    check_golden(contract, again, "v", b"\n".join(map(msgspec.json.encode, older)))  # type: ignore[arg-type]
    first = feature_set(contract).names.index("terminal_count_1d")
    assert {row[first] for row in again.rows} == {0.0}
    assert {row[first] for row in seen.rows} > {0.0}


def test_golden_scores_are_held_to_the_last_bit() -> None:
    files = bundle_files("ecommerce")
    contract = load_contract("ecommerce")
    scorer = read_linear(files[SCORER])
    check_golden(contract, scorer, "v", files[GOLDEN])
    first, *rest = files[GOLDEN].splitlines()
    case = msgspec.json.decode(first, type=Golden)
    off = msgspec.structs.replace(case, score=_next(case.score))
    with pytest.raises(Tampered, match="golden-0"):
        check_golden(contract, scorer, "v", b"\n".join([msgspec.json.encode(off), *rest]))


def _next(value: float) -> float:
    return math.nextafter(value, 1.0)


# Reasons


def test_reasons_name_what_raises_the_score_strongest_first_and_nothing_else(files: Files) -> None:
    bundle = load(files)
    features = feature_set(bundle.contract)
    for row in ([0.0] * len(features.names), [1.0] * len(features.names), [30.0] * len(features.names)):
        shares = bundle.scorer.contributions(row)
        topics: dict[str, float] = {}
        for feature, share in zip(features.features, shares, strict=True):
            topics[feature.topic] = topics.get(feature.topic, 0.0) + share
        expected = sorted((topic for topic, total in topics.items() if total > 0), key=lambda t: -topics[t])[:REASONS]
        reasons = bundle.reasons(row)
        assert len(reasons) == len(expected)
        for topic, reason in zip(expected, reasons, strict=True):
            own = [index for index, feature in enumerate(features.features) if feature.topic == topic]
            index = max(own, key=shares.__getitem__)
            assert shares[index] > 0
            assert (
                reason
                == f"{features.features[index].sentence}: {row[index]:.4g} (usual: {bundle.manifest.usual[index]:.4g})"
            )


def test_a_transaction_that_nothing_speaks_against_has_no_reasons() -> None:
    bundle = load(dict(bundle_files("ecommerce")))
    model = bundle.scorer.model  # type: ignore[attr-defined]
    flat = msgspec.structs.replace(
        model,
        curves=tuple(msgspec.structs.replace(c, knots=(), intercepts=(-1.0,), slopes=(0.0,)) for c in model.curves),
        usual=tuple(0.0 for _ in model.curves),
    )
    quiet = Bundle(bundle.manifest, bundle.contract, bundle.features, LinearScorer(flat))
    assert quiet.reasons([1.0] * len(model.curves)) == []


def test_reasons_of_trees_name_what_raises_the_score() -> None:
    model = fitted("boosted_trees")
    manifest = load(dict(bundle_files("ecommerce"))).manifest
    bundle = Bundle(manifest, model.contract, feature_set(model.contract), model.scorer)
    flagged = model.features[int(model.label.argmax())].tolist()
    assert 0 < len(bundle.reasons(flagged)) <= REASONS


# Trees


def test_a_version_of_trees_is_loaded_with_its_graph_verified() -> None:
    model = fitted("boosted_trees")
    scorer: Any = model.scorer
    manifest = msgspec.json.decode(bundle_files("ecommerce")[MANIFEST], type=Manifest)
    files = {
        SCORER: msgspec.json.encode(scorer.model),
        GRAPH: scorer.graph,
        GOLDEN: make_golden(model.contract, model.scorer),
    }
    sealed, whole = seal(msgspec.structs.replace(manifest, kind="trees"), files)
    row = model.features[0].tolist()
    assert load(whole, sealed.version).scorer.score(row) == scorer.score(row)
    assert f"{GRAPH} is not what its manifest says" in refused({**whole, GRAPH: b"x"}, sealed.version)


def test_a_golden_history_sees_its_own_earlier_transactions() -> None:
    # A scorer of the count alone tells a replay with history from one without.
    contract = load_contract("ecommerce")
    names = feature_set(contract).names
    count = names.index("user_count_30d")

    class Counting:
        def score_many(self, rows: list[list[float]]) -> list[float]:
            return [row[count] for row in rows]

    lines = make_golden(contract, Counting()).splitlines()  # type: ignore[arg-type]
    assert [msgspec.json.decode(line, type=Golden).score for line in lines][:3] == [0.0, 1.0, 2.0]

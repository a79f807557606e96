"""The model artifact: an immutable set of files, verified by its manifest before anything in it is used.

`manifest.json` names every other file with its sha256, and the version is the as-of date and a hash of that manifest: a
changed byte anywhere makes it another version. Loading reads the manifest, the scorer and the golden inputs only;
`model.joblib` executes code when read and is for analysis.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from fraudline.clock import day_start
from fraudline.contract import Contract, contract_from
from fraudline.errors import Tampered
from fraudline.features.definition import FeatureSet, feature_set
from fraudline.model.golden import check_golden
from fraudline.model.scoring import Scorer, read_linear

MANIFEST = "manifest.json"
SCORER = "scorer.json"
GRAPH = "scorer.onnx"
PIPELINE = "model.joblib"
GOLDEN = "golden.jsonl"
REASONS = 3

# Gives a file of a version by name; `KeyError` or `FileNotFoundError` if the version has none such.
ReadFile = Callable[[str], bytes]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a version is and how it came about. No wall-clock time and no names: the same retrain gives these bytes."""

    format: int
    version: str
    contract: dict[str, Any]
    feature_hash: str
    features: tuple[str, ...]
    # Each feature's median over the training rows, to tell what is usual.
    usual: tuple[float, ...]
    candidate: str
    kind: str
    parameters: dict[str, Any]
    as_of: str
    training: dict[str, Any]
    metrics: dict[str, Any]
    threshold: float
    threshold_rule: dict[str, Any]
    # Histograms of features and scores over the training rows: what drift is measured against.
    reference: dict[str, Any]
    libraries: dict[str, str]
    files: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """A loaded, verified model: the contract, the feature set, the one scorer and the threshold."""

    manifest: Manifest
    contract: Contract
    features: FeatureSet
    scorer: Scorer

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def threshold(self) -> float:
        return self.manifest.threshold

    @property
    def learned_until(self) -> int:
        """Transactions from this moment (microseconds) on are none that it was fitted or calibrated on."""
        return day_start(date.fromisoformat(self.manifest.as_of)) - self.contract.label_delay

    def reasons(self, features: Sequence[float]) -> list[str]:
        """The topics that raise this score most above the usual, strongest first, in words."""
        topics: dict[str, tuple[float, float, int]] = {}
        for index, share in enumerate(self.scorer.contributions(features)):
            topic = self.features.features[index].topic
            total, best, where = topics.get(topic, (0.0, 0.0, index))
            topics[topic] = (total + share, max(best, share), index if share > best else where)
        ranked = sorted(topics.values(), key=lambda item: -item[0])[:REASONS]
        return [self._sentence(where, features[where]) for total, _, where in ranked if total > 0.0]

    def _sentence(self, index: int, value: float) -> str:
        usual = self.manifest.usual[index]
        return f"{self.features.features[index].sentence}: {value:.4g} (usual: {usual:.4g})"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def version_of(manifest: Manifest) -> str:
    """The version this manifest must carry: its as-of date and a hash of everything else in it."""
    anonymous = msgspec.structs.replace(manifest, version="")
    return f"{manifest.as_of}-{sha256(encode_manifest(anonymous))[:12]}"


def encode_manifest(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1) + b"\n"


def seal(manifest: Manifest, files: Mapping[str, bytes]) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest with file hashes and version filled in, and all files of the version by name."""
    hashed = msgspec.structs.replace(manifest, files={name: sha256(files[name]) for name in sorted(files)})
    sealed = msgspec.structs.replace(hashed, version=version_of(hashed))
    return sealed, {**files, MANIFEST: encode_manifest(sealed)}


def read_manifest(read: ReadFile, version: str) -> Manifest:
    """The manifest of a version, which must be the one that was asked for."""
    try:
        manifest = msgspec.json.decode(_read(read, version, MANIFEST), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Tampered(f"version {version}: {MANIFEST} is damaged ({error}); do not use it") from error
    if manifest.version != version or version_of(manifest) != version:
        raise Tampered(f"version {version}: its {MANIFEST} belongs to another version; do not use it")
    return manifest


def read_verified(read: ReadFile, manifest: Manifest, name: str) -> bytes:
    """A file of the version, if its sha256 is the manifest's."""
    data = _read(read, manifest.version, name)
    if manifest.files.get(name) != sha256(data):
        raise Tampered(f"version {manifest.version}: {name} is not what its manifest says; do not use it")
    return data


def _read(read: ReadFile, version: str, name: str) -> bytes:
    try:
        return read(name)
    except (KeyError, FileNotFoundError) as error:
        raise Tampered(f"version {version}: {name} is missing; do not use it") from error


def load_bundle(read: ReadFile, version: str) -> Bundle:
    """A version's bundle, verified, its golden inputs replayed; `read` gives a file of the version by name."""
    manifest = read_manifest(read, version)
    contract = contract_from(manifest.contract, f"version {version}")
    features = feature_set(contract)
    if features.hash != manifest.feature_hash:
        raise Tampered(
            f"version {version} was trained on other features than this release computes;"
            " use the release that made it, or retrain"
        )
    bundle = Bundle(manifest, contract, features, _scorer(read, manifest))
    check_golden(contract, bundle.scorer, version, read_verified(read, manifest, GOLDEN))
    return bundle


def _scorer(read: ReadFile, manifest: Manifest) -> Scorer:
    model = read_verified(read, manifest, SCORER)
    if manifest.kind == "linear":
        return read_linear(model)
    if manifest.kind == "trees":
        # Needs numpy and ONNX Runtime, which a linear champion's Lambda does without.
        from fraudline.model.trees import read_trees

        return read_trees(model, read_verified(read, manifest, GRAPH))
    raise Tampered(f"version {manifest.version} is of an unknown kind {manifest.kind!r}; use a newer release")

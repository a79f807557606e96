"""A version says what it is: every file hashed, every figure told, nobody's data and no clock in it."""

import hashlib
import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import joblib
import numpy as np
import pytest

from fraudline.adapters.inputs.files import load_transactions
from fraudline.clock import format_day
from fraudline.model.bundle import MANIFEST, Manifest, load_bundle
from fraudline.model.matrix import score_matrix
from fraudline.training.publishing import LIBRARIES, fingerprint
from fraudline.transactions.table import UNKNOWN, TransactionTable
from tests.unit.fitted import SMALL
from tests.unit.retrained import AS_OF, Retrained, frame, plan, retrain, shop


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> TransactionTable:
    path = tmp_path_factory.mktemp("in") / "transactions.csv"
    frame().to_csv(path, index=False)
    return load_transactions(shop(), [str(path)]).table


@pytest.fixture(scope="module", params=["logistic", "boosted_trees"])
def version(request: pytest.FixtureRequest, table: TransactionTable) -> Retrained:
    return retrain(table, plan(), [request.param])


def test_a_published_version_can_be_loaded_and_scores_as_it_did(version: Retrained) -> None:
    bundle = load_bundle(version.files.__getitem__, version.manifest.version)
    features = version.challenger.train_features[:200]
    assert score_matrix(bundle.scorer, features).tobytes() == version.challenger.train_scores[:200].tobytes()
    assert bundle.threshold == version.challenger.measured.thresholds.chosen(shop().alerts)


def test_every_file_is_in_the_manifest_with_its_hash(version: Retrained) -> None:
    files = {name: data for name, data in version.files.items() if name != MANIFEST}
    assert version.manifest.files == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    expected = {"scorer.json", "model.joblib", "golden.jsonl", "evaluation.png", "model_card.md"}
    assert set(files) - {"scorer.onnx"} == expected


def test_the_manifest_tells_how_the_version_came_about(version: Retrained) -> None:
    manifest = version.manifest
    assert manifest.as_of == AS_OF.isoformat()
    assert manifest.candidate in SMALL
    assert set(manifest.libraries) == set(LIBRARIES)
    assert manifest.contract == shop().to_json()
    assert set(manifest.threshold_rule) == {"rule", "budget", "cost"}
    assert manifest.usual == tuple(np.median(version.challenger.train_features, axis=0).tolist())
    assert set(manifest.features) <= set(str(manifest.reference).split("'"))


def test_a_version_holds_no_transaction_of_anybody(version: Retrained, table: TransactionTable) -> None:
    ids = {*table.ids.to_pylist()[:500], *table.entities[0].values.to_pylist()}
    for name, data in version.files.items():
        if name != "evaluation.png":  # here the text of what would be drawn; the picture shows no ids
            assert not [id_ for id_ in ids if id_.encode() in data], name


def test_the_pipeline_for_audit_needs_no_imbalanced_learn(version: Retrained) -> None:
    pipeline = joblib.load(io.BytesIO(version.files["model.joblib"]))
    assert not any("imblearn" in type(step).__module__ for _, step in pipeline.steps)
    assert b"imblearn" not in version.files["model.joblib"]
    assert pipeline.predict_proba(version.challenger.train_features[:5]).shape == (5, 2)


def test_the_card_names_version_facts_in_words(version: Retrained) -> None:
    card = version.files["model_card.md"].decode()
    assert shop().name in card
    assert version.manifest.candidate in card
    assert "A score of" in card
    for span in version.challenger.measured.spans:
        assert f"| {format_day(span.test_begin)} | {format_day(span.test_end)} |" in card
    assert "no label is known" not in card
    assert "{{" not in card
    assert "None" not in card


def test_every_table_of_the_card_ends_before_the_next_paragraph(version: Retrained) -> None:
    lines = version.files["model_card.md"].decode().splitlines()
    after = [below for above, below in pairwise(lines) if above.startswith("|") and not below.startswith("|")]
    assert len(after) == 5
    assert not any(after)


def test_the_manifest_is_json_that_any_tool_reads(version: Retrained) -> None:
    values = json.loads(version.files[MANIFEST])
    assert values["version"] == version.manifest.version
    assert set(values) == set(Manifest.__struct_fields__)


# The fingerprint


def test_a_fingerprint_is_of_the_rows_and_not_of_how_they_were_numbered(table: TransactionTable) -> None:
    codes = table.entities[0]
    turned = replace(codes, codes=(len(codes.values) - 1 - codes.codes).astype(np.int32), values=codes.values[::-1])
    assert fingerprint(replace(table, entities=(turned,))) == fingerprint(table)


@pytest.mark.parametrize("column", ["timestamp", "effective_time", "amount", "label", "known_at"])
def test_a_fingerprint_changes_with_every_column(table: TransactionTable, column: str) -> None:
    values = getattr(table, column).copy()
    values[7] = 1 - values[7] if column == "label" else values[7] + 1
    assert fingerprint(replace(table, **{column: values})) != fingerprint(table)


def test_a_fingerprint_changes_with_ids_entities_categories_and_flags(table: TransactionTable) -> None:
    # Two neighbours that differ in everything.
    differ = np.logical_and.reduce(
        [codes.codes[1:] != codes.codes[:-1] for codes in (table.entities[0], *table.categories)]
    )
    first = int(np.flatnonzero(differ)[0])
    order = np.arange(len(table))
    order[[first, first + 1]] = first + 1, first
    swapped = table.take(order)
    others = [
        replace(table, ids=swapped.ids),
        replace(table, entities=swapped.entities),
        *(
            replace(table, categories=(*table.categories[:i], codes, *table.categories[i + 1 :]))
            for i, codes in enumerate(swapped.categories)
        ),
        replace(table, flags=(1 - table.flags[0],)),
    ]
    assert len({fingerprint(other) for other in [table, *others]}) == len(others) + 1


def test_when_an_unknown_label_might_have_come_is_no_part_of_a_fingerprint(table: TransactionTable) -> None:
    silent = replace(table, label=np.full_like(table.label, UNKNOWN))
    assert fingerprint(silent) == fingerprint(replace(silent, known_at=silent.known_at + 5))


def test_a_folder_of_a_version_is_its_files(version: Retrained, tmp_path: Path) -> None:
    for name, data in version.files.items():
        (tmp_path / name).write_bytes(data)
    load_bundle(lambda name: (tmp_path / name).read_bytes(), version.manifest.version)

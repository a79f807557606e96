"""A challenger as the files of a version: manifest, scorer, pipeline, golden inputs, picture and card."""

import hashlib
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fraudline.clock import format_day
from fraudline.model.bundle import GOLDEN, Manifest, seal
from fraudline.model.golden import make_golden
from fraudline.printable import markdown_text
from fraudline.quality.histograms import reference
from fraudline.training.challenger import Challenger
from fraudline.training.pictures import evaluation_picture
from fraudline.training.plan import Plan
from fraudline.transactions.table import UNKNOWN, TransactionTable

LIBRARIES = ("scikit-learn", "imbalanced-learn", "numpy", "joblib", "onnxruntime", "skl2onnx", "msgspec")


def assemble(challenger: Challenger, table: TransactionTable, plan: Plan) -> tuple[Manifest, dict[str, bytes]]:
    """The sealed manifest of a version and all its files by name."""
    measured, contract = challenger.measured, plan.contract
    threshold = measured.thresholds.chosen(contract.alerts)
    begin, end = format_day(measured.spans[0].test_begin), format_day(measured.spans[-1].test_end)
    title = f"{contract.name}, as of {format_day(plan.as_of)}: {measured.candidate.name}, judged on {begin} up to {end}"
    files = {
        **challenger.files,
        GOLDEN: make_golden(contract, challenger.scorer),
        "evaluation.png": evaluation_picture(measured.judged, measured.metrics, threshold, contract, title),
    }
    manifest = Manifest(
        format=1,
        version="",
        contract=contract.to_json(),
        feature_hash=plan.features.hash,
        features=plan.features.names,
        usual=tuple(np.median(challenger.train_features, axis=0).tolist()),
        candidate=measured.candidate.name,
        kind=measured.candidate.kind,
        parameters=measured.parameters,
        as_of=format_day(plan.as_of),
        training={**challenger.training, "fingerprint": fingerprint(table.labels_known_by(plan.as_of))},
        metrics=_metrics(challenger),
        threshold=threshold,
        threshold_rule={
            "rule": contract.alerts.rule,
            "budget": measured.thresholds.budget,
            "cost": measured.thresholds.cost,
        },
        reference=reference(challenger.train_features, plan.features.names, challenger.train_scores),
        libraries={name: installed(name) for name in LIBRARIES},
        files={},
    )
    files["model_card.md"] = _card(manifest, challenger, plan).encode()
    return seal(manifest, files)


def fingerprint(table: TransactionTable) -> str:
    """sha256 of the transactions and known labels themselves, however their files were written.

    Of entities it tells which rows are of the same one, not of whom: it stays when a person's id is erased.
    """
    digest = hashlib.sha256()
    known_at = np.where(table.label == UNKNOWN, 0, table.known_at)
    columns = (table.timestamp, table.effective_time, table.amount, table.label, known_at, *table.flags)
    for column in (*columns, *(codes.by_appearance().codes for codes in table.entities)):
        digest.update(np.ascontiguousarray(column).tobytes())
    texts = (table.ids, *(codes.text() for codes in table.categories))
    for text in texts:
        digest.update("\n".join(text.to_pylist()).encode())
    return digest.hexdigest()


def _metrics(challenger: Challenger) -> dict[str, Any]:
    weeks = zip(challenger.measured.spans, challenger.measured.weekly, strict=True)
    return {
        "candidates": {m.candidate.name: m.metrics.to_json() for m in challenger.all_measured},
        "tried": {m.candidate.name: [[p, score] for p, score in m.tried] for m in challenger.all_measured},
        "choice": challenger.choice,
        "weekly": [
            {"begin": format_day(span.test_begin), "end": format_day(span.test_end), **week.to_json()}
            for span, week in weeks
        ],
        "by_label_age": [group.to_json() for group in challenger.measured.by_label_age],
        "ahead": challenger.measured.ahead and challenger.measured.ahead.to_json(),
    }


def _card(manifest: Manifest, challenger: Challenger, plan: Plan) -> str:
    measured = challenger.measured
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # nosec B701 # Markdown, whose one text of others goes through markdown_text
        trim_blocks=True,
    )
    templates.filters["markdown_text"] = markdown_text
    return templates.get_template("model_card.md").render(
        m=manifest,
        contract=plan.contract,
        candidate=measured.candidate,
        chosen=measured.metrics,
        title=f"{plan.contract.name}, {manifest.candidate}",
        threshold_sentence=f"A score of {manifest.threshold:.6f} or more is an alert.",
    )

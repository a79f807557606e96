"""The demo's summary: every figure, for `summary.json`."""

from typing import Any

from fraudline.demo.evidence import Evidence
from fraudline.demo.steps import Story


def summarise(
    story: Story, evidence: Evidence, checks: list[dict[str, Any]], seconds: dict[str, float]
) -> dict[str, Any]:
    """All figures; counts are those of the streamed day, `history` those of the retrain."""
    stream, retrain = story.results["stream"], story.results["retrain"]
    frauds = {id_ for id_, label in story.data.labels.items() if label == 1}
    caught = {id_ for id_ in frauds if id_ in evidence.stream and evidence.stream[id_].is_fraud}
    return {
        "rows_in": stream.read,
        "scored": stream.scored,
        "quarantined": sum(stream.quarantined.values()),
        "duplicates": stream.duplicates,
        "reasons": dict(sorted(stream.quarantined.items(), key=lambda item: -item[1])),
        "frauds": len(frauds),
        "frauds_caught": len(caught),
        "alerts": stream.alerts,
        "candidates": {name: figures["average_precision"] for name, figures in retrain.metrics.items()},
        "champion": retrain.version,
        "decision": f"{retrain.decision.action}: {retrain.decision.reason}",
        "history": {
            "rows_in": retrain.rows,
            "valid": retrain.valid,
            "quarantined": retrain.quarantined,
            "duplicates": retrain.duplicates,
            "reasons": retrain.reasons,
        },
        "profiles": story.results["profiles"],
        "backfill": {"days": story.results["backfill"].days, "rows": story.results["backfill"].rows},
        "lambda_bytes": story.results["lambda"]["bytes"],
        "seconds": seconds,
        "reports": {
            "quality": str(story.out / "quality" / "report.html"),
            "evaluation": str(story.out / "evaluation.png"),
            "model_card": str(story.out / "model_card.md"),
            "backfill": str(story.out / "backfill"),
        },
        "checks": checks,
    }

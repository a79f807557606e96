"""The monitor's page and its figures as JSON."""

import dataclasses
import json
from typing import Any

from fraudline.clock import format_micros
from fraudline.quality.distributions import Distribution, bin_labels
from fraudline.quality.drift import Drift
from fraudline.quality.monitoring import Monitored
from fraudline.quality.pages import render

CHARTS = 8


def verdict_of(seen: Monitored) -> str:
    """Skewed is a fault, drifted is advice."""
    if seen.skew and seen.skew.is_skewed:
        return "skewed"
    return "drifted" if seen.drift.drifted or seen.alerts.drifted else "steady"


def render_monitor(seen: Monitored) -> bytes:
    """A self-contained HTML page."""
    shown = (seen.drift.scores, *seen.drift.features[:CHARTS])
    return render(
        "monitor.html.j2",
        seen=seen,
        verdict=verdict_of(seen),
        all=(seen.drift.scores, *seen.drift.features),
        charts=[(_chart(drift), drift) for drift in shown],
    )


def monitor_figures(seen: Monitored) -> bytes:
    """JSON: the verdict, each distribution's index, alerts, live performance and skew."""
    figures: dict[str, Any] = {
        "contract": seen.contract,
        "version": seen.version,
        "start": format_micros(seen.start),
        "end": format_micros(seen.end),
        "verdict": verdict_of(seen),
        "rows": seen.drift.rows,
        "drift": [_brief(drift) for drift in (seen.drift.scores, *seen.drift.features)],
        "alerts": dataclasses.asdict(seen.alerts),
        "performance": seen.performance.live.to_json() if seen.performance else None,
        "skew": dataclasses.asdict(seen.skew) if seen.skew else None,
    }
    return json.dumps(figures, indent=1).encode() + b"\n"


def _brief(drift: Drift) -> dict[str, Any]:
    return {name: getattr(drift, name) for name in ("name", "psi", "p_value", "unseen", "verdict")}


def _chart(drift: Drift) -> Distribution:
    return Distribution(drift.name, bin_labels(drift.edges), drift.window, drift.training)

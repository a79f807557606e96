"""The monitor's page and its figures as JSON."""

import dataclasses
import json
from typing import Any

from fraudline.clock import format_micros
from fraudline.quality.distributions import Distribution, bin_labels
from fraudline.quality.drift import Drift
from fraudline.quality.monitoring import LiveSkew, Monitored
from fraudline.quality.pages import render
from fraudline.quality.skew import Skew

CHARTS = 8
# So many differences between two paths show what is wrong; one feature computed wrongly differs in every transaction.
MOST_DIFFERENCES = 100


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
    """JSON: the verdict, each distribution's index, alerts, live performance and skew.

    Of the differences between two paths the first `MOST_DIFFERENCES` are told, and how many more there are.
    """
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
        "skew": _skews(seen.skew) if seen.skew else None,
    }
    return json.dumps(figures, indent=1).encode() + b"\n"


def _skews(skew: LiveSkew) -> dict[str, Any]:
    return {
        "paths": _skew(skew.paths),
        "offline": _skew(skew.offline),
        "profiles_compared": skew.profiles_compared,
        "profiles": dict(skew.profiles),
    }


def _skew(skew: Skew) -> dict[str, Any]:
    some = dataclasses.replace(skew, differences=skew.differences[:MOST_DIFFERENCES])
    more = len(skew.differences) - len(some.differences)
    return {**dataclasses.asdict(some), "more_differences": more, "transactions_by_feature": skew.named}


def _brief(drift: Drift) -> dict[str, Any]:
    return {name: getattr(drift, name) for name in ("name", "psi", "p_value", "unseen", "verdict")}


def _chart(drift: Drift) -> Distribution:
    return Distribution(drift.name, bin_labels(drift.edges), drift.window, drift.training)

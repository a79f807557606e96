"""The page people read: one self-contained HTML file, its charts drawn inline, nothing fetched from anywhere."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fraudline.contract import SHIPPED
from fraudline.quality.distributions import distributions
from fraudline.quality.examples import failing_rows, quarantine_reasons
from fraudline.quality.outcome import QualityResult
from fraudline.quality.pages import render
from fraudline.quality.places import excluded_key, refused_key
from fraudline.quality.summary import Summary, summarise
from fraudline.quality.trends import RUNS, trends
from fraudline.transactions.landed import Landed


def render_report(
    result: QualityResult,
    landed: Landed,
    earlier: Sequence[Summary] = (),
    reference: dict[str, Any] | None = None,
) -> bytes:
    """The report of one window. `earlier` are the runs before it, oldest first; `reference` is the champion's."""
    summary = summarise(result, landed)
    runs = [*earlier, summary][-RUNS:]
    return render(
        "quality.html.j2",
        result=result,
        summary=summary,
        contract=result.contract if result.contract in SHIPPED else "FILE_OF_THE_CONTRACT",
        # What the stream archived is in the order in which it arrived.
        times=[int(end(landed.table.timestamp)) for end in (np.min, np.max)] if len(landed.table) else [],
        verdict=_verdict(result),
        failures=[(outcome, list(failing_rows(landed, outcome))) for outcome in result.failures],
        reasons=quarantine_reasons(landed),
        trends=trends(runs),
        runs=len(runs),
        distributions=distributions(landed.table, reference),
        quarantine=refused_key(summary.name) if any(reject.raw for reject in landed.rejects) else None,
        left_out=excluded_key(result.stage, summary.name) if len(result.excluded) else None,
    )


def _verdict(result: QualityResult) -> str:
    if not result.passed:
        return "failed"
    return "warned" if result.failures else "passed"

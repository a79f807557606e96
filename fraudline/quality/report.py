"""The page people read: one self-contained HTML file, its charts drawn inline, nothing fetched from anywhere."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from fraudline.columns import Landed
from fraudline.quality.distributions import distributions
from fraudline.quality.examples import failing_rows, quarantine_reasons
from fraudline.quality.outcome import QualityResult
from fraudline.quality.summary import Summary, summarise
from fraudline.quality.trends import RUNS, trends
from fraudline.quality.words import in_words

QUARANTINE = "quarantine"


def render_report(
    result: QualityResult,
    landed: Landed,
    earlier: Sequence[Summary] = (),
    reference: dict[str, Any] | None = None,
) -> bytes:
    """The report of one window. `earlier` are the runs before it, oldest first; `reference` is the champion's."""
    summary = summarise(result, landed)
    page = _template().render(
        result=result,
        summary=summary,
        verdict=_verdict(result),
        failures=[(outcome, list(failing_rows(landed, outcome))) for outcome in result.failures],
        reasons=quarantine_reasons(landed),
        trends=trends([*earlier, summary][-RUNS:]),
        runs=len(earlier),
        distributions=distributions(landed.table, reference),
        quarantine=f"{QUARANTINE}/{summary.name}.jsonl",
    )
    return page.encode()


def _verdict(result: QualityResult) -> str:
    if not result.passed:
        return "failed"
    return "warned" if result.failures else "passed"


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = in_words
    return environment.get_template("report.html.j2")

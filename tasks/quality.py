"""The steps of a data-quality run: judge, keep, show, tell."""

from typing import Any

from expectations import load_suite
from fraudline.adapters.objects import open_objects
from fraudline.adapters.quality_report import REPORT, run_quality
from fraudline.columns import Landed
from fraudline.contract import Contract
from fraudline.quality.measures import Context
from fraudline.quality.outcome import ExpectationOutcome, QualityResult
from fraudline.quality.suite import Stage, Suite
from fraudline.quality.words import in_words
from tasks import artifacts
from tasks.steps import step


@step(name="load the suite")
def suite(contract: Contract, stage: Stage, file: str | None) -> Suite:
    """The suite in `file`, or the one kept for the contract."""
    return load_suite(contract, stage, file)


@step(name="judge and report", retries=2, retry_delay_seconds=5)
def judge(
    contract: Contract,
    landed: Landed,
    out: str,
    expected: Suite,
    context: Context | None,
    reference: dict[str, Any] | None,
) -> QualityResult:
    """The result; its page and figures are kept in `out` (a folder or s3://bucket/prefix)."""
    return run_quality(
        contract, landed, open_objects(out), expected, stage=expected.meta.stage, context=context, reference=reference
    )


@step(name="show the result")
def show(result: QualityResult, out: str) -> None:
    """A table of all expectations, a summary that links the page, and an event for automations."""
    name = f"{result.contract}-{result.stage}".replace("_", "-")
    verdict = "passed" if result.passed else "failed"
    rows = [_row(outcome) for outcome in result.expectations]
    artifacts.show_table(f"quality-{name}", rows, f"Expectations on {result.stage} data: {verdict}")
    artifacts.show_markdown(f"quality-report-{name}", markdown(result, f"{out}/{REPORT}"), verdict)
    payload = {
        "rows": result.rows,
        "valid": result.valid,
        "quarantined": result.quarantined,
        "duplicates": result.duplicates,
        "excluded": len(result.excluded),
        "failed": [outcome.sentence for outcome in result.failures],
        "report": f"{out}/{REPORT}",
    }
    resource = f"fraudline.data_quality.{result.contract}.{result.stage}"
    artifacts.tell(f"fraudline.data_quality.{verdict}", resource, payload)


def markdown(result: QualityResult, report: str) -> str:
    """The account and what failed, in a few lines."""
    account = " | ".join(
        in_words(count, "count") for count in (result.rows, result.valid, result.quarantined, result.duplicates)
    )
    failed = [f"- **{outcome.severity}** {outcome.sentence}" for outcome in result.failures]
    reasons = [f"- {count:,} rows: `{reason}`" for reason, count in list(result.reasons.items())[:5]]
    lines = [
        f"## {'Passed' if result.passed else 'Failed'}: {result.contract}, {result.stage}",
        "",
        "| read | valid | quarantined | duplicates |",
        "| ---: | ---: | ---: | ---: |",
        f"| {account} |",
        *(["", "### What failed", *failed] if failed else []),
        *(["", "### Quarantined most often", *reasons] if reasons else []),
        "",
        f"The page: `{report}`",
    ]
    return "\n".join(lines) + "\n"


def _row(outcome: ExpectationOutcome) -> dict[str, str]:
    return {
        "expectation": outcome.name,
        "on": outcome.column,
        "observed": outcome.seen,
        "expected": outcome.expected,
        "severity": outcome.severity,
        "holds": "yes" if outcome.success else "NO",
    }

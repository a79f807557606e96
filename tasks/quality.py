"""The steps of a data-quality run: judge, keep, show, tell."""

from typing import Any

from expectations import load_suite
from fraudline.adapters import quality_report
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.quality_report import REPORT
from fraudline.adapters.storage.guarded import open_guarded
from fraudline.adapters.tables.decisions import Decisions
from fraudline.contract import Contract
from fraudline.printable import markdown_code, markdown_text
from fraudline.quality.check import check, check_decisions
from fraudline.quality.measures import Context
from fraudline.quality.outcome import ExpectationOutcome, QualityResult
from fraudline.quality.suite import Stage, Suite
from fraudline.quality.words import in_words
from fraudline.settings import load_settings
from fraudline.transactions.landed import Landed
from tasks import artifacts
from tasks.steps import step

READ_SECONDS = 300.0


@step(name="load the suite")
def suite(contract: Contract, stage: Stage, file: str | None) -> Suite:
    """The suite in `file`, or the one kept for the contract."""
    return load_suite(contract, stage, file)


@step(name="judge")
def judge(contract: Contract, landed: Landed, expected: Suite, context: Context) -> QualityResult:
    return check(landed, contract, expected.meta.stage, expected, context)


@step(name="judge decisions", retries=2, retry_delay_seconds=5)
def judge_decisions(contract: Contract, landed: Landed, expected: Suite) -> QualityResult:
    """What the stream decided on the window's transactions."""
    decisions = Decisions(DynamoDB(AwsJson("dynamodb")), load_settings().decisions_table, contract)
    return check_decisions(landed, decisions.read(landed.table.ids.to_pylist(), within(READ_SECONDS)), expected)


@step(name="keep the results", retries=2, retry_delay_seconds=5)
def keep(result: QualityResult, landed: Landed, out: str, reference: dict[str, Any] | None) -> None:
    """The page and the figures, in `out` (a folder or s3://bucket/prefix)."""
    quality_report.keep(result, landed, open_guarded(out), reference)


@step(name="show the result")
def show(result: QualityResult, out: str, window: str | None = None) -> None:
    """A table of all expectations, a summary that links the page, and an event for automations.

    Of the stream each `window` ("hour", "day") has keys of its own, so that hours do not hide the day.
    """
    name = "-".join(filter(None, (result.contract, result.stage, window))).replace("_", "-")
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
    failed = [f"- **{outcome.severity}** {markdown_text(outcome.sentence)}" for outcome in result.failures]
    reasons = [f"- {count:,} rows: {markdown_code(reason)}" for reason, count in list(result.reasons.items())[:5]]
    lines = [
        f"## {'Passed' if result.passed else 'Failed'}: {result.contract}, {result.stage}",
        "",
        "| read | valid | quarantined | duplicates |",
        "| ---: | ---: | ---: | ---: |",
        f"| {account} |",
        *(["", "### What failed", *failed] if failed else []),
        *(["", "### Quarantined most often", *reasons] if reasons else []),
        "",
        f"The page: {markdown_code(report)}",
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

"""A check's result as JSON: what programs read, and what later reports draw trends from."""

import hashlib
from typing import Any

import msgspec

from fraudline.clock import format_micros, from_micros
from fraudline.quality.outcome import ExpectationOutcome, QualityResult
from fraudline.transactions.landed import Landed


class Window(msgspec.Struct, frozen=True):
    """The valid transactions that were judged, as RFC 3339 times of the oldest and the newest; "" if there are none."""

    oldest: str = ""
    newest: str = ""


class Summary(msgspec.Struct, frozen=True):
    """The account of a window, its measures and what failed; `name` orders runs by their newest transaction."""

    name: str
    contract: str
    stage: str
    window: Window
    rows: int
    valid: int
    quarantined: int
    duplicates: int
    excluded: int
    passed: bool
    reasons: dict[str, int]
    measures: dict[str, float | None]
    expectations: tuple[dict[str, Any], ...]


def summarise(result: QualityResult, landed: Landed) -> Summary:
    return Summary(
        name=run_name(landed),
        contract=result.contract,
        stage=result.stage,
        window=_window(landed),
        rows=result.rows,
        valid=result.valid,
        quarantined=result.quarantined,
        duplicates=result.duplicates,
        excluded=len(result.excluded),
        passed=result.passed,
        reasons=result.reasons,
        measures=result.measures,
        expectations=tuple(_outcome(outcome) for outcome in result.expectations),
    )


def run_name(landed: Landed) -> str:
    """The newest transaction's time and a hash of the content: judged again, the same window has the same name."""
    table = landed.table
    newest = f"{from_micros(int(table.timestamp.max())):%Y%m%dT%H%M%SZ}" if len(table) else "empty"
    content = hashlib.sha256(f"{landed.rows} {len(landed.rejects)} {landed.duplicates}".encode())
    for column in (table.timestamp, table.amount, table.label):
        content.update(column.tobytes())
    return f"{newest}-{content.hexdigest()[:8]}"


def encode_summary(summary: Summary) -> bytes:
    return msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n"


def decode_summary(data: bytes) -> Summary:
    return msgspec.json.decode(data, type=Summary)


def _window(landed: Landed) -> Window:
    time = landed.table.timestamp
    return Window(format_micros(int(time.min())), format_micros(int(time.max()))) if len(time) else Window()


def _outcome(outcome: ExpectationOutcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "column": outcome.column,
        "severity": outcome.severity,
        "success": outcome.success,
        "observed": outcome.observed,
        "expected": outcome.expected,
        "failed_rows": outcome.failed_rows,
    }

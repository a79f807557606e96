"""What a quality check found: values to decide on, to report and to keep."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fraudline.errors import BadInput
from fraudline.quality.suite import Severity, Stage
from fraudline.quality.words import Unit, in_words
from fraudline.transactions.transaction import Problem

Positions = npt.NDArray[np.int64]
NO_POSITIONS: Positions = np.zeros(0, dtype=np.int64)


class QualityGate(BadInput):
    """The window as a whole is not fit for use: whoever delivered it must look; nothing was changed."""

    exit_code = 1


@dataclass(frozen=True)
class ExpectationOutcome:
    """One expectation against one window.

    `observed` is the value for a whole window and the share of rows that fail otherwise; None where the window is too
    small or too short to tell, which is no failure. `positions` are the failing rows in the table, all of them.
    """

    name: str
    column: str
    severity: Severity
    success: bool
    observed: float | str | None
    expected: str
    unit: Unit = ""
    failed_rows: int = 0
    row_level: bool = False
    why: str = ""
    positions: Positions = field(default_factory=lambda: NO_POSITIONS, compare=False, repr=False)

    @property
    def is_critical_failure(self) -> bool:
        """A failure that single rows left out cannot mend."""
        return not self.success and not self.row_level and self.severity == "critical"

    @property
    def sentence(self) -> str:
        return f"{self.name!r}: {self.seen}, expected {self.expected}"

    @property
    def seen(self) -> str:
        """What was observed, in words."""
        words = in_words(self.observed, self.unit)
        if self.row_level and not self.success:
            return f"{self.failed_rows:,} rows, {words} of those it is about"
        return words


@dataclass(frozen=True)
class QualityResult:
    """A window's account, `rows` = `valid` + `quarantined` + `duplicates`, and what was expected of it.

    `excluded` are positions in the table of valid transactions that stay history but are kept out of training.
    `measures` are those of `measures.py`; `reasons` counts quarantined rows, most frequent first.
    """

    contract: str
    stage: Stage
    rows: int
    valid: int
    quarantined: int
    duplicates: int
    reasons: dict[str, int]
    measures: dict[str, float | None]
    expectations: tuple[ExpectationOutcome, ...]
    excluded: Positions = field(default_factory=lambda: NO_POSITIONS, compare=False, repr=False)

    @property
    def failures(self) -> tuple[ExpectationOutcome, ...]:
        return tuple(outcome for outcome in self.expectations if not outcome.success)

    @property
    def critical_failures(self) -> tuple[ExpectationOutcome, ...]:
        return tuple(outcome for outcome in self.expectations if outcome.is_critical_failure)

    @property
    def passed(self) -> bool:
        return not self.critical_failures

    def problems_by_position(self) -> dict[int, list[Problem]]:
        """For every excluded row the expectations it fails, in order of the rows."""
        return problems_by_position(self.expectations)


def problems_by_position(outcomes: Iterable[ExpectationOutcome]) -> dict[int, list[Problem]]:
    """For every row that fails an expectation on single rows, those it fails, in order of the rows."""
    problems: dict[int, list[Problem]] = {}
    for outcome in outcomes:
        problem = Problem(outcome.column, outcome.name, f"expected {outcome.expected}")
        for position in outcome.positions.tolist():
            problems.setdefault(position, []).append(problem)
    return dict(sorted(problems.items()))


def gate(result: QualityResult, suite: str) -> QualityResult:
    """The result itself, if its window is fit for use; else `QualityGate` with the first critical failure.

    `suite` says what else could be corrected: the file it was judged by, or how to come by one.
    """
    if result.passed:
        return result
    first, *others = result.critical_failures
    more = f" (and {len(others)} more)" if others else ""
    raise QualityGate(
        f"the {result.stage} data of contract {result.contract!r} fails {first.sentence}{more}: nothing was changed;"
        f" correct the data or {suite}"
    )

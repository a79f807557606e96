"""Rows that failed, as a report shows them: enough to find and correct them, ids of people masked."""

from collections.abc import Iterator
from dataclasses import dataclass

from fraudline.contract import Contract
from fraudline.quality.masking import shown
from fraudline.quality.outcome import ExpectationOutcome
from fraudline.transactions.cells import cells_in, to_record
from fraudline.transactions.landed import Landed, Place, RejectedRow

EXAMPLES = 3


@dataclass(frozen=True)
class QuarantineReason:
    """Rows refused under one code, with the first few of them."""

    code: str
    rows: int
    share: float
    examples: tuple[str, ...]


def quarantine_reasons(landed: Landed) -> tuple[QuarantineReason, ...]:
    """Why rows were refused, most frequent first."""
    first: dict[str, list[RejectedRow]] = {}
    for reject in landed.rejects:
        rows = first.setdefault(reject.reason, [])
        if len(rows) < EXAMPLES:
            rows.append(reject)
    contract, total = landed.table.contract, max(len(landed.rejects), 1)
    return tuple(
        QuarantineReason(code, count, count / total, tuple(_refused(contract, row) for row in first[code]))
        for code, count in landed.reasons().items()
    )


def failing_rows(landed: Landed, outcome: ExpectationOutcome) -> Iterator[str]:
    """The first rows that an expectation on single rows fails."""
    table = landed.table
    some = table.take(outcome.positions[:EXAMPLES])
    for place, transaction in zip(landed.places(some.source_row), some.transactions(), strict=True):
        record = to_record(table.contract, transaction)
        cells = ", ".join(f"{column} {shown(table.contract, column, value)}" for column, value in record.items())
        yield f"{_where(place)}: {cells}"


def _refused(contract: Contract, reject: RejectedRow) -> str:
    if not reject.raw:
        return f"{reject.source}: {'; '.join(f'{p.field} {p.message}'.strip() for p in reject.problems)}"
    cells, where = cells_in(reject.raw, reject.header), _where(reject.place)
    if cells is None:
        return f"{where}: {reject.problems[0].message} ({len(reject.raw)} characters, not shown)"
    told = (
        f"{p.field} {shown(contract, p.field, cells.get(p.field))} {p.message}" if p.field else p.message
        for p in reject.problems
    )
    return f"{where}: {'; '.join(told)}"


def _where(place: Place) -> str:
    source, row = place
    return f"{source.rpartition('/')[2]}, row {row}" if source else f"row {row}"

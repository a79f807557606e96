"""Rows refused or left out, tried again: by contract and suite as they are now, with what a person has corrected."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fraudline.contract import Contract
from fraudline.quality.engine import judge
from fraudline.quality.frame import transactions_frame
from fraudline.quality.outcome import problems_by_position
from fraudline.quality.suite import Suite
from fraudline.transactions.cells import cells_in, record_of, to_record
from fraudline.transactions.landed import Place, RejectedRow
from fraudline.transactions.table import TransactionTable, from_transactions
from fraudline.transactions.transaction import CONFLICTING_ID, Problem, Rejected, Transaction
from fraudline.transactions.validation import Validator

_CELLS = (".csv", ".parquet")


class Attempt(msgspec.Struct, frozen=True):
    """One row tried once: what was tried, and what still was wrong with it (nothing: it came back).

    `line` counts from 0 in the quarantine object, which never changes; rows of several files may share a number.
    `record` is the transaction as which a refused row came back; earlier releases kept it beside the attempts alone.
    """

    line: int
    source: str
    row: int
    raw: str
    problems: tuple[Problem, ...] = ()
    record: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True)
class Redriven:
    """What a redrive did: rows that came back now, rows that had come back before, and those refused, by reason."""

    returned: int = 0
    returned_before: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def try_again(
    contract: Contract, rejects: Sequence[RejectedRow], corrections: Mapping[Place, str], done: Collection[int]
) -> list[Attempt]:
    """An attempt for each line not `done`, with the record of one that is a transaction now.

    `corrections` gives what a row should have been by (source, row).
    """
    validator = Validator(contract)
    attempts: list[Attempt] = []
    for line, reject in enumerate(rejects):
        if line in done:
            continue
        raw = corrections.get(reject.place, reject.raw)
        outcome = _validated(validator, reject, raw)
        problems = outcome.problems if isinstance(outcome, Rejected) else ()
        record = _record(contract, outcome) if isinstance(outcome, Transaction) else msgspec.UNSET
        attempts.append(Attempt(line, *reject.place, raw, problems, record))
    return attempts


def judge_again(
    contract: Contract, suite: Suite, rejects: Sequence[RejectedRow], done: Collection[int]
) -> list[Attempt]:
    """An attempt for each line not `done`: what the suite's expectations on single rows say of it now."""
    validator = Validator(contract)
    lines = [line for line in range(len(rejects)) if line not in done]
    outcomes = [_validated(validator, rejects[line], rejects[line].raw) for line in lines]
    valid = [outcome for outcome in outcomes if isinstance(outcome, Transaction)]
    failed = iter(_problems(from_transactions(contract, valid), suite))
    problems = [outcome.problems if isinstance(outcome, Rejected) else next(failed) for outcome in outcomes]
    return [
        Attempt(line, *rejects[line].place, rejects[line].raw, found)
        for line, found in zip(lines, problems, strict=True)
    ]


def _problems(table: TransactionTable, suite: Suite) -> list[tuple[Problem, ...]]:
    """For each row the expectations it fails."""
    outcomes = judge(transactions_frame(table), suite.on("transactions")) if len(table) else []
    found = problems_by_position(outcomes)
    return [tuple(found.get(row, ())) for row in range(len(table))]


def _validated(validator: Validator, reject: RejectedRow, raw: str) -> Transaction | Rejected:
    # Valid by itself; only a correction makes it another transaction than the first under its id.
    if reject.reason == CONFLICTING_ID and raw == reject.raw:
        return Rejected(reject.problems)
    if not reject.source.lower().endswith(_CELLS):
        return validator.decode(raw.encode())
    cells = cells_in(raw, reject.header)
    if cells is None:
        return Rejected((Problem("", "torn_row", "has more or fewer cells than the header"),))
    return validator.validate(record_of(validator.contract, cells))


def _record(contract: Contract, transaction: Transaction) -> dict[str, Any]:
    record = to_record(contract, transaction)
    if transaction.label is not None:
        record[contract.label.column] = transaction.label
    return record

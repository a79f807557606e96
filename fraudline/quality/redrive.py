"""Rows that files had refused, tried again: with the contract as it is now, and with what a person has corrected."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fraudline.columns import RejectedRow, record_of, to_record
from fraudline.contract import Contract
from fraudline.transaction import Problem, Rejected, Transaction
from fraudline.validation import Validator

# Valid by itself; only a correction makes it another transaction than the first under its id.
CONFLICT = "conflicting_id"
_CELLS = (".csv", ".parquet")

Place = tuple[str, int]


class Attempt(msgspec.Struct, frozen=True):
    """One row tried once: what was tried, and what still was wrong with it (nothing: it came back).

    `line` counts from 0 in the quarantine object, which never changes; rows of several files may share a number.
    """

    line: int
    source: str
    row: int
    raw: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Redriven:
    """What a redrive did: rows that came back now, rows that had come back before, and those refused, by reason."""

    returned: int = 0
    returned_before: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def try_again(
    contract: Contract, rejects: Sequence[RejectedRow], corrections: Mapping[Place, str], done: Collection[int]
) -> tuple[list[Attempt], list[dict[str, Any]]]:
    """An attempt for each line not `done`, and the records of those that are transactions now.

    `corrections` gives what a row should have been by (source, row).
    """
    validator = Validator(contract)
    attempts: list[Attempt] = []
    records: list[dict[str, Any]] = []
    for line, reject in enumerate(rejects):
        if line in done:
            continue
        raw = corrections.get((reject.source, reject.row), reject.raw)
        outcome = _validated(validator, reject, raw)
        problems = outcome.problems if isinstance(outcome, Rejected) else ()
        attempts.append(Attempt(line, reject.source, reject.row, raw, problems))
        if isinstance(outcome, Transaction):
            records.append(_record(contract, outcome))
    return attempts, records


def _validated(validator: Validator, reject: RejectedRow, raw: str) -> Transaction | Rejected:
    if reject.reason == CONFLICT and raw == reject.raw:
        return Rejected(reject.problems)
    if not reject.source.lower().endswith(_CELLS):
        return validator.decode(raw.encode())
    try:
        cells = json.loads(raw)
    except ValueError:
        return Rejected((Problem("", "torn_row", "is not the row's cells as a JSON object"),))
    return validator.validate(record_of(validator.contract, cells) if isinstance(cells, dict) else cells)


def _record(contract: Contract, transaction: Transaction) -> dict[str, Any]:
    record = to_record(contract, transaction)
    if transaction.label is not None:
        record[contract.label.column] = transaction.label
    return record

"""One window judged: the account of its rows, what is kept out of training, and whether it is fit for use."""

from collections.abc import Mapping
from dataclasses import replace
from math import isnan

import numpy as np

from fraudline.contract import Contract
from fraudline.decision import Decision
from fraudline.errors import BadInput
from fraudline.quality.draft import draft
from fraudline.quality.engine import judge
from fraudline.quality.frame import decisions_frame, frame_columns, transactions_frame
from fraudline.quality.masking import personal_columns
from fraudline.quality.measures import MEASURES, Context, measures, window_frame
from fraudline.quality.outcome import NO_POSITIONS, ExpectationOutcome, Positions, QualityResult
from fraudline.quality.suite import Stage, Suite
from fraudline.transactions.landed import Landed
from fraudline.transactions.table import TransactionTable


def check(
    landed: Landed | TransactionTable,
    contract: Contract,
    stage: Stage,
    suite: Suite | None = None,
    context: Context | None = None,
) -> QualityResult:
    """Judge what was read against a suite (one drafted from the contract if none is given); reads and writes nothing.

    `context` gives the present and the transactions before the window. `BadInput` if the suite is for another contract
    or stage, or asks for what there is not.
    """
    landed = Landed(len(landed), landed, ()) if isinstance(landed, TransactionTable) else landed
    suite = suite or draft(contract, stage)
    _require_fit(suite, contract, stage)
    rows, personal = suite.on("transactions"), personal_columns(contract)
    on_rows = judge(transactions_frame(landed.table), rows, personal) if len(landed.table) else []
    excluded = _union(on_rows)
    measured = measures(landed, len(excluded), context or Context())
    on_window = judge(window_frame(measured), suite.on("window"))
    return _result(landed, suite, measured, (*on_rows, *on_window), excluded)


def check_decisions(landed: Landed, decisions: Mapping[str, Decision], suite: Suite) -> QualityResult:
    """Judge what was decided on the valid transactions of a window, by transaction id; each must have its decision.

    A wrong decision cannot be left out of anything: every critical failure is one of the window.
    """
    contract = landed.table.contract
    _require_fit(suite, contract, "decisions")
    frame = decisions_frame([decisions.get(id_) for id_ in landed.table.ids.to_pylist()], contract.amount.minor_units)
    outcomes = judge(frame, suite.expectations, frozenset(("transaction_id",))) if len(frame) else []
    of_window = tuple(replace(outcome, row_level=False) for outcome in outcomes)
    return _result(landed, suite, measures(landed, 0, Context()), of_window, NO_POSITIONS)


def _result(
    landed: Landed,
    suite: Suite,
    measured: dict[str, float],
    outcomes: tuple[ExpectationOutcome, ...],
    excluded: Positions,
) -> QualityResult:
    return QualityResult(
        contract=suite.meta.contract,
        stage=suite.meta.stage,
        rows=landed.rows,
        valid=len(landed.table),
        quarantined=len(landed.rejects),
        duplicates=landed.duplicates,
        reasons=landed.reasons(),
        measures={name: None if isnan(value) else value for name, value in measured.items()},
        expectations=outcomes,
        excluded=excluded,
    )


def _union(outcomes: list[ExpectationOutcome]) -> Positions:
    return np.unique(np.concatenate([NO_POSITIONS, *(outcome.positions for outcome in outcomes)]))


def _require_fit(suite: Suite, contract: Contract, stage: Stage) -> None:
    if suite.meta.contract != contract.name or suite.meta.stage != stage:
        raise BadInput(
            f"suite {suite.name!r} is for {suite.meta.stage} data of contract {suite.meta.contract!r}, not for {stage}"
            f" data of {contract.name!r}: name another suite, or draft one with `fraudline quality suite`"
        )
    known = {"window": frozenset(MEASURES), "transactions": frame_columns(contract)}
    if stage == "decisions":
        known["transactions"] = frozenset(decisions_frame([], 1).columns)
    for expectation in suite.expectations:
        if strange := [name for name in expectation.columns if name not in known[expectation.meta.frame]]:
            raise BadInput(
                f"expectation {expectation.meta.name!r} of suite {suite.name!r} asks for {strange[0]!r}, which"
                f" {expectation.meta.frame} of contract {contract.name!r} do not have: correct it in the suite, or give"
                f" the contract a name of its own"
            )

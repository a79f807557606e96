"""The steps of a retrain; each is one call into the core or an adapter."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from expectations import load_suite, where_to_correct
from fraudline.adapters.inputs.originals import left_out
from fraudline.adapters.registry import Registry, open_registry
from fraudline.adapters.storage.guarded import open_guarded
from fraudline.adapters.whoami import whoami
from fraudline.features.offline import offline_features
from fraudline.model.bundle import Bundle, Manifest, load_bundle, read_manifest
from fraudline.model.matrix import score_matrix
from fraudline.quality.check import check
from fraudline.quality.outcome import QualityResult, gate
from fraudline.training.candidates import Candidate
from fraudline.training.challenger import Challenger, choose, refit
from fraudline.training.dataset import Dataset, labelled, prepare
from fraudline.training.plan import Plan
from fraudline.training.promotion import Decision, Mask, decide, decide_first, decide_unequal
from fraudline.training.publishing import assemble
from fraudline.training.splits import split_files
from fraudline.training.walk_forward import Measured, measure_candidate
from fraudline.transactions.landed import Landed, RejectedRow
from fraudline.transactions.table import TransactionTable
from tasks import artifacts
from tasks.progress import say
from tasks.steps import step

R = TypeVar("R")

# From simple to complex. Fitting releases the interpreter for most of its time: they are measured side by side.
KINDS = ("linear", "trees")


@dataclass(frozen=True)
class Judged:
    """Rows of a table that may not train, as a mask, and with their originals and reasons for a person."""

    excluded: Mask
    rows: Sequence[RejectedRow]


@dataclass(frozen=True)
class Incumbent:
    """The champion; `bundle` is None where its features are not the plan's, and this release may not know them."""

    version: str
    bundle: Bundle | None


@step(name="judge the training window")
def judge(landed: Landed, table: TransactionTable, plan: Plan) -> Judged:
    """What of the table, a part of what landed, may not train; a critical failure of the window stops the retrain.

    Where labels are all missing, or all alike, that is said rather than what the expectations make of it.
    """
    labelled(table.labels_known_by(plan.as_of), plan)
    window = np.flatnonzero(plan.window(table))
    excluded = np.zeros(len(table), bool)
    say(f"Judging {len(window):,} transactions against the expectations")
    suite, judged = load_suite(plan.contract, "training"), table.take(window)
    # What was refused has no time that one could trust, so all of it counts. What came twice trains once: a file of
    # what the archive holds is no fault.
    read = Landed(landed.rows - landed.duplicates, judged, landed.rejects, sources=landed.sources)
    result = check(read, plan.contract, "training", suite)
    artifacts.show_table(f"gates-{plan.contract.name}", _gate_rows(result), "Expectations on the training window")
    excluded[window[gate(result, where_to_correct(plan.contract, "training")).excluded]] = True
    return Judged(excluded, left_out(landed, judged, result))


@step(name="compute features")
def features(table: TransactionTable, plan: Plan) -> Dataset:
    say(f"Computing {len(plan.features.features)} features of {int(plan.window(table).sum()):,} transactions")
    return prepare(table, plan)


@step(name="measure a candidate", task_run_name="measure {candidate.name}")
def measure(candidate: Candidate, dataset: Dataset, plan: Plan) -> Measured:
    return measure_candidate(candidate, dataset, plan)


def measure_all(candidates: Sequence[Candidate], dataset: Dataset, plan: Plan) -> list[Measured]:
    """One task each, the trees beside the linear ones; the results from simple to complex.

    The linear ones follow each other: the matrix of pieces is the largest thing that a retrain holds. The libraries'
    own threads stay at one all the while: how they share a sum changes its last bit. Once we are stopped, by Ctrl-C or
    by what one of them raised, none begins any more.
    """
    stopped = Event()

    def measure_kind(kind: str) -> list[Measured]:
        return [measure_one(candidate) for candidate in candidates if candidate.kind == kind and not stopped.is_set()]

    def measure_one(candidate: Candidate) -> Measured:
        say(f"Measuring: {candidate.sentence}")
        return measure(candidate, dataset, plan)

    with threadpool_limits(1):
        futures = [_begun(measure_kind, kind) for kind in KINDS]
        try:
            return [measured for future in futures for measured in future.result()]
        finally:
            stopped.set()


def _begun(function: Callable[[str], R], argument: str) -> Future[R]:
    """A call in a thread of its own, with a copy of our context, for the flow run and for who listens.

    Unlike an executor's threads it does not keep a stopped process: nothing can interrupt a fit of minutes.
    """
    future: Future[R] = Future()
    context = copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(function, argument))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name=f"measure {argument}", daemon=True).start()
    return future


@step(name="refit the best candidate")
def fit_challenger(measured: Sequence[Measured], dataset: Dataset, plan: Plan) -> Challenger:
    best, why = choose(list(measured))
    say(f"Refitting: {why}")
    return refit(best, dataset, plan, why, tuple(measured))


@step(name="load the champion", retries=2, retry_delay_seconds=2)
def champion(registry: Registry, plan: Plan) -> Incumbent | None:
    version = registry.champion()
    if version is None:
        return None
    read = registry.read(version).__getitem__
    comparable = read_manifest(read, version).feature_hash == plan.features.hash
    return Incumbent(version, load_bundle(read, version) if comparable else None)


@step(name="decide")
def compare(challenger: Challenger, table: TransactionTable, incumbent: Incumbent | None, plan: Plan) -> Decision:
    """On the newest mature rows that the champion has not learned from."""
    if incumbent is None:
        return decide_first(challenger.measured.metrics)
    if incumbent.bundle is None:
        return decide_unequal(challenger.measured.metrics, incumbent.version)
    new = challenger.recent.time >= incumbent.bundle.learned_until
    rows, wanted = challenger.recent_rows[new], np.zeros(len(table), bool)
    wanted[rows] = True
    scores = score_matrix(incumbent.bundle.scorer, offline_features(table, wanted))
    return decide(challenger.recent.take(new), scores, _segments(table.take(rows)))


@step(name="publish", retries=2, retry_delay_seconds=2)
def publish(challenger: Challenger, table: TransactionTable, plan: Plan, models: str) -> Manifest:
    """Keep the version for good and show its card and picture."""
    manifest, files = assemble(challenger, table, plan)
    open_registry(models, plan.contract.name).publish(manifest.version, files)
    name = plan.contract.name
    artifacts.show_markdown(f"model-card-{name}", files["model_card.md"].decode(), manifest.version)
    artifacts.show_picture(f"evaluation-{name}", files["evaluation.png"], manifest.version)
    return manifest


@step(name="save splits", retries=2, retry_delay_seconds=2)
def save_splits(challenger: Challenger, dataset: Dataset, plan: Plan, models: str, version: str) -> None:
    """Keep the sets that the version was made of, in `splits/` beside the versions."""
    # Somebody may have been erased since the sets were read.
    objects = open_guarded(models)
    for name, data in split_files(challenger, dataset, plan).items():
        objects.put(f"{plan.contract.name}/splits/{version}/{name}", data)


@step(name="record the decision")
def record(registry: Registry, decision: Decision, manifest: Manifest, expected_number: int) -> None:
    """Append to the history, on the condition that nobody else did since the champion was read."""
    metrics = decision.metrics or {
        "average_precision": manifest.metrics["candidates"][manifest.candidate]["average_precision"]
    }
    now = datetime.now(UTC)
    registry.append(decision.action, manifest.version, decision.reason, metrics, whoami(), now, expected_number)
    verb = {"promote": "promoted", "shadow": "shadowed", "reject": "rejected"}[decision.action]
    payload = {"version": manifest.version, "reason": decision.reason}
    artifacts.tell(f"fraudline.model.{verb}", f"fraudline.model.{manifest.contract['name']}", payload)


def _segments(table: TransactionTable) -> dict[str, Mask]:
    """Rows of each value of each closed category."""
    return {
        f"{category.name} is {value}": codes.equal_to(value)
        for category, codes in zip(table.contract.categories, table.categories, strict=True)
        for value in category.values
    }


def _gate_rows(result: QualityResult) -> list[dict[str, object]]:
    return [
        {
            "expectation": outcome.name,
            "column": outcome.column,
            "severity": outcome.severity,
            "passed": "yes" if outcome.success else "NO",
            "seen": outcome.seen,
            "failed rows": outcome.failed_rows,
        }
        for outcome in result.expectations
    ]

"""Retrain: train a challenger on what was known as of a date, and promote it if it wins."""

from dataclasses import dataclass, replace
from typing import Any

from prefect import flow
from pydantic import BaseModel, Field

from flows import defaults
from fraudline.adapters.clock import require_begun
from fraudline.adapters.registry import open_registry
from fraudline.clock import day_start
from fraudline.contract import load_contract
from fraudline.labels import with_verdicts
from fraudline.quality.places import excluded_key, refused_key, refused_labels_key
from fraudline.training.candidates import candidates_named
from fraudline.training.plan import Plan
from fraudline.training.promotion import Decision
from tasks import landing, training
from tasks.artifacts import tag_run


class RetrainRequest(BaseModel):
    """What to train on and where versions are kept."""

    contract: str = Field(
        default_factory=defaults.contract,
        description="A shipped contract (ecommerce, cards) or a TOML file; by default the deployment's",
    )
    transactions: list[str] = Field(
        default=[], description="Files, folders or s3:// prefixes with labels; none: all that has landed"
    )
    as_of: defaults.Day = Field(
        default_factory=defaults.due_day,
        description="Use only what was known at the start of this day (UTC); by default the day the run is due",
    )
    models: str = Field(
        default_factory=defaults.models,
        description="The registry: a folder or s3://bucket/prefix; by default the models bucket",
    )
    quarantine: str = Field(
        default_factory=defaults.refused_rows,
        description="Where rows that are no transactions go: a folder or s3://bucket/prefix",
    )
    labels: list[str] = Field(
        default=[],
        description="Files with transaction_id, label, known_at; what they say counts over the transactions' own",
    )
    candidates: list[str] = Field(
        default=[], description="Only these: logistic, logistic_smote, boosted_trees; none: all of them"
    )
    save_splits: bool = Field(False, description="Keep the landed, train, test and resampled sets for audit")
    seed: int = Field(0, ge=0, description="Same seed, input and date: the same version, byte for byte")


@dataclass(frozen=True)
class RetrainResult:
    """What a retrain came to."""

    version: str
    candidate: str
    decision: Decision
    metrics: dict[str, dict[str, Any]]
    threshold: float
    rows: int
    valid: int
    quarantined: int
    duplicates: int
    reasons: dict[str, int]
    quarantine: str | None
    excluded: int
    left_out: str | None


@flow(name="retrain", flow_run_name="retrain-{request.contract}-{request.as_of}")
def retrain(request: RetrainRequest) -> RetrainResult:
    """Train candidates on what was known as of a date, publish the best as a version, promote it if it wins."""
    require_begun(request.as_of)
    contract = load_contract(request.contract)
    plan = Plan(contract, day_start(request.as_of), request.seed)
    candidates = candidates_named(request.candidates)
    registry = open_registry(request.models, contract.name)
    number = registry.next_number()

    landed = landing.history(contract, request.transactions, plan.as_of, known_before=plan.as_of)
    table = landed.table.take(landed.table.timestamp < plan.as_of)
    labels = landing.read_labels(request.labels, table)
    table = with_verdicts(table, labels.verdicts, plan.as_of)
    judged = training.judge(landed, table, plan)
    plan = replace(plan, excluded=judged.excluded)

    dataset = training.features(table, plan)
    measured = training.measure_all(candidates, dataset, plan)
    challenger = training.fit_challenger(measured, dataset, plan)
    decision = training.compare(challenger, table, training.champion(registry, plan), plan)
    # Only now is anything written: a retrain that is stopped above changes nothing.
    run = f"{contract.name}-retrain-{request.as_of}"
    kept = landing.quarantine(landed.rejects, request.quarantine, refused_key(run))
    landing.quarantine(labels.rejects, request.quarantine, refused_labels_key(run))
    left_out = landing.quarantine(judged.rows, request.quarantine, excluded_key("training", run))
    manifest = training.publish(challenger, table, plan, request.models)
    if request.save_splits:
        training.save_splits(challenger, dataset, plan, request.models, manifest.version)
    training.record(registry, decision, manifest, number)
    tag_run(contract=contract.name, version=manifest.version, decision=decision.action)
    return RetrainResult(
        version=manifest.version,
        candidate=manifest.candidate,
        decision=decision,
        metrics=manifest.metrics["candidates"],
        threshold=manifest.threshold,
        rows=landed.rows,
        valid=len(landed.table),
        quarantined=len(landed.rejects),
        duplicates=landed.duplicates,
        reasons=landed.reasons(),
        quarantine=kept,
        excluded=len(judged.rows),
        left_out=left_out,
    )

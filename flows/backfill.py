"""Backfill: score past days again with any version, apart from everything online."""

from dataclasses import asdict, dataclass
from pathlib import Path

from prefect import flow
from pydantic import BaseModel, Field

from flows import defaults
from fraudline.adapters.output_lock import only_run
from fraudline.adapters.partitions import PartitionFile, PartitionFolder, Target
from fraudline.contract import load_contract
from fraudline.errors import BadInput
from tasks import backfilling, landing
from tasks.artifacts import show_table, tag_run
from tasks.training import registry_at


class BackfillRequest(BaseModel):
    """Which days to score again, with what, from where and into what."""

    contract: str = Field(
        default_factory=defaults.contract,
        description="A shipped contract (ecommerce, cards) or a TOML file; by default the deployment's",
    )
    transactions: list[str] = Field(
        default=[],
        description="Files, folders or s3:// prefixes, earlier rows are history; none: all that has landed",
    )
    start: defaults.Day = Field(description="The first day to score (UTC)")
    end: defaults.Day = Field(description="The day after the last one to score")
    model: str = Field("champion", description="champion, or a version")
    models: str = Field(
        default_factory=defaults.models,
        description="The registry: a folder or s3://bucket/prefix; by default the models bucket",
    )
    quarantine: str = Field(
        default_factory=defaults.refused_rows,
        description="Where rows that are no transactions go: a folder or s3://bucket/prefix",
    )
    out: str = Field(
        "out/backfill", description="A file that ends in .parquet, or a folder: one file a day and a manifest"
    )
    dask: str | None = Field(
        None,
        description="The Dask scheduler, tcp://host:port, whose cluster does the work; by default this machine",
    )


@dataclass(frozen=True)
class BackfillResult:
    """What was scored now; days that were done already are not scored again.

    `quarantined` and `duplicates` are those of all the input, in which earlier rows are history. Where nothing is left
    to score, rejected rows are not put anywhere again.
    """

    model_version: str
    days: int
    days_done_before: int
    rows: int
    alerts: int
    out: str
    quarantined: int
    duplicates: int
    quarantine: str | None


@flow(name="backfill", flow_run_name="backfill-{request.contract}-{request.start}")
def backfill(request: BackfillRequest) -> BackfillResult:
    """Score the transactions of [start, end) with a version, as it would have scored them then."""
    if request.start >= request.end:
        raise BadInput(f"--start {request.start} is not before --end {request.end}: the end is exclusive, swap them?")
    contract = load_contract(request.contract)
    bundle = backfilling.model(registry_at(request.models, contract.name), contract, request.model)
    tag_run(contract=contract.name, version=bundle.version)
    out = Path(request.out)
    window = (request.start, request.end)
    with only_run(out):
        folder = None if out.suffix == ".parquet" else PartitionFolder(out, contract.name, bundle.version)
        with backfilling.read(contract, request.transactions, window, bundle, out, request.dask) as read:
            parts = read.past.partitions
            missing = folder.missing(parts) if folder else parts
            key = f"quarantine/{contract.name}-backfill-{request.start}-{request.end}.jsonl"
            kept = landing.quarantine(read.rejects if missing else (), request.quarantine, key)
            targets: list[Target] = [folder or PartitionFile(out)]
            done = backfilling.score_days(read.past, missing, targets)

    show_table(
        f"backfill-{contract.name}",
        [asdict(day) for day in done],
        f"{bundle.version} over {request.start} to {request.end}",
    )
    return BackfillResult(
        model_version=bundle.version,
        days=len(done),
        days_done_before=len(parts) - len(missing),
        rows=sum(day.transactions for day in done),
        alerts=sum(day.alerts for day in done),
        out=request.out,
        quarantined=len(read.rejects),
        duplicates=read.duplicates,
        quarantine=kept,
    )

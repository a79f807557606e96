"""Backfill: score past days again with any version, apart from everything online."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from prefect import flow
from pydantic import AwareDatetime, BaseModel, Field

from flows import defaults
from fraudline.adapters.backfill.before import Before, DiffTarget, SecondPass
from fraudline.adapters.registry import open_registry
from fraudline.backfill.decisions import NAME, check_outputs, check_window, origin_of
from fraudline.clock import to_micros
from fraudline.contract import Contract, load_contract
from fraudline.model.bundle import Bundle
from fraudline.quality.places import refused_key
from tasks import backfilling, comparing, landing
from tasks.artifacts import show_table, tag_run
from tasks.backfill_outputs import outputs, place_for, planned, scratch_for
from tasks.comparing import Compared


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
    stream_from: AwareDatetime | None = Field(
        None,
        description="Also what the stream still keeps of records that arrived then (2026-01-31T12:00:00Z) or later;"
        " read without a lease",
    )
    out: str | None = Field(
        default_factory=defaults.backfills,
        min_length=1,
        description="A folder or s3://bucket/prefix ({version} stands for the model's): one file a day and a manifest;"
        " or one file that ends in .parquet; none: only under `name`",
    )
    name: str | None = Field(
        None,
        pattern=rf"^{NAME}$",
        description="Also into the decisions table, with origin backfill#NAME; letters, digits, dots, dashes",
    )
    compare_to: str | None = Field(
        None,
        min_length=1,
        description="What to hold the decisions against: record (the stream's), a version, another backfill's output",
    )
    reports: str = Field(
        default_factory=defaults.backfill_reports,
        description="Where the page of the comparison goes: a folder or s3://bucket/prefix",
    )
    dry_run: bool = Field(False, description="Only say which days and rows would be scored, and which are done")
    dask: str | None = Field(
        None,
        description="The Dask scheduler, tcp://host:port, whose cluster does the work; by default this machine",
    )


@dataclass(frozen=True)
class PlannedDay:
    """What a run that is not dry would find."""

    day: str
    transactions: int
    state: str


@dataclass(frozen=True)
class BackfillResult:
    """What was scored now; days that were done already are not scored again.

    `quarantined` and `duplicates` are those of all the input, in which earlier rows are history. Where nothing is left
    to score, rejected rows are not put anywhere again. Of a dry run, `rows` would be scored, by the days of `plan`.
    """

    model_version: str
    days: int
    days_done_before: int
    rows: int
    alerts: int | None
    out: str | None
    origin: str | None
    quarantined: int
    duplicates: int
    quarantine: str | None
    compared: Compared | None = None
    plan: tuple[PlannedDay, ...] = ()


@flow(name="backfill", flow_run_name="backfill-{request.contract}-{request.start}")
def backfill(request: BackfillRequest) -> BackfillResult:
    """Score the transactions of [start, end) with a version, as it would have scored them then."""
    check_window(request.start, request.end)
    check_outputs(request.out, request.name)
    contract = load_contract(request.contract)
    bundle = backfilling.model(open_registry(request.models, contract.name), contract, request.model)
    tag_run(contract=contract.name, version=bundle.version)
    return _plan(request, contract, bundle) if request.dry_run else _run(request, contract, bundle)


def _run(request: BackfillRequest, contract: Contract, bundle: Bundle) -> BackfillResult:
    with (
        outputs(_out(request, bundle), request.name, contract, bundle) as kept,
        _before(request, contract, bundle) as before,
        _read(request, contract, bundle) as read,
    ):
        parts, missing = read.past.partitions, kept.missing(read.past.partitions)
        key = refused_key(f"{contract.name}-backfill-{request.start}-{request.end}")
        refused = landing.quarantine(read.rejects if missing else (), request.quarantine, key)
        past = replace(read.past, with_features=request.name is not None or before is not None)
        if before is None:
            done, compared = backfilling.score_days(past, missing, kept.targets), None
        else:
            diff = DiffTarget(before)
            done = backfilling.score_days(past, parts, kept.beside(diff, missing))
            compared = comparing.report(diff, contract, bundle.version, request.start, request.end, request.reports)
    new = {part.day for part in missing}
    scored = [day for day in done if day.day in new]
    show_table(
        f"backfill-{contract.name}",
        [asdict(day) for day in scored],
        f"{bundle.version} over {request.start} to {request.end}",
    )
    return BackfillResult(
        model_version=bundle.version,
        days=len(scored),
        days_done_before=len(parts) - len(missing),
        rows=sum(day.transactions for day in scored),
        alerts=sum(day.alerts for day in scored),
        out=_out(request, bundle),
        origin=origin_of(request.name) if request.name else None,
        quarantined=len(read.rejects),
        duplicates=read.duplicates,
        quarantine=refused,
        compared=compared,
    )


def _plan(request: BackfillRequest, contract: Contract, bundle: Bundle) -> BackfillResult:
    """What `_run` would do; nothing is scored, locked or written."""
    kept = planned(_out(request, bundle), request.name, contract, bundle)
    with _before(request, contract, bundle), _read(request, contract, bundle) as read:
        parts = read.past.partitions
    missing = {part.day for part in kept.missing(parts)}
    plan = tuple(
        PlannedDay(part.day, part.end - part.begin, "to score" if part.day in missing else "done") for part in parts
    )
    show_table(f"backfill-{contract.name}", [asdict(day) for day in plan], f"{bundle.version}, a dry run")
    return BackfillResult(
        model_version=bundle.version,
        days=len(missing),
        days_done_before=len(parts) - len(missing),
        rows=sum(day.transactions for day in plan if day.day in missing),
        alerts=None,
        out=_out(request, bundle),
        origin=origin_of(request.name) if request.name else None,
        quarantined=len(read.rejects),
        duplicates=read.duplicates,
        quarantine=None,
        plan=plan,
    )


def _out(request: BackfillRequest, bundle: Bundle) -> str | None:
    return place_for(request.out, bundle.version) if request.out else None


@contextmanager
def _read(request: BackfillRequest, contract: Contract, bundle: Bundle, beside: str = "") -> Iterator[backfilling.Read]:
    """The transactions to score, and those before them."""
    scratch = scratch_for(_out(request, bundle), request.name)
    since = to_micros(request.stream_from) if request.stream_from else None
    with backfilling.read(
        contract,
        backfilling.Sources(request.transactions, since),
        (request.start, request.end),
        bundle,
        scratch.with_name(scratch.name + beside),
        request.dask,
    ) as read:
        yield read


@contextmanager
def _before(request: BackfillRequest, contract: Contract, bundle: Bundle) -> Iterator[Before | None]:
    """What the decisions are held against, if anything; a version with other features reads and scores on its own."""
    what = request.compare_to
    if what is None:
        yield None
    elif what == comparing.RECORD or comparing.is_path(what):
        yield comparing.stored_before(what, contract, request.start)
    else:
        other = comparing.other_version(open_registry(request.models, contract.name), what)
        if comparing.has_same_features(bundle, other):
            yield comparing.same_features(other)
        else:
            with _read(request, other.contract, other, ".other") as read:
                yield SecondPass(other, read.past.score(read.past.partitions))

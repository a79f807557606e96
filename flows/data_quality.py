"""Data quality: judge files, or the stream's last whole hour or day, and report it to people."""

from typing import Literal

from prefect import flow
from pydantic import AwareDatetime, BaseModel, Field

from expectations import where_to_correct
from flows import defaults
from fraudline.adapters.clock import require_begun
from fraudline.clock import to_micros
from fraudline.contract import Contract, load_contract
from fraudline.durations import DAY, HOUR
from fraudline.quality.measures import Context
from fraudline.quality.outcome import QualityResult, gate
from fraudline.quality.suite import Stage
from fraudline.settings import load_settings
from fraudline.transactions.landed import Landed
from tasks import landing, monitoring, quality
from tasks.artifacts import tag_run

# Stages that judge all that has landed, whatever the window.
OF_ALL: tuple[Stage, ...] = ("training", "labels")


class DataQualityRequest(BaseModel):
    """What to judge, and where its reports go."""

    contract: str = Field(
        default_factory=defaults.contract,
        description="A shipped contract (ecommerce, cards) or a TOML file; by default the deployment's",
    )
    transactions: list[str] = Field(
        default=[], description="Files, folders or s3:// prefixes; none: the stream's archive"
    )
    out: str = Field(
        default_factory=defaults.quality_reports,
        description="Where reports go: a folder or s3://bucket/prefix; by default the reports bucket",
    )
    stage: Stage = Field("landed", description="Which suite applies")
    window: Literal["hour", "day"] = Field("hour", description="Of the archive: judge its last whole hour, or day")
    as_of: AwareDatetime | None = Field(
        None, description="The present: files may be stale then, and the archive's window ends before it"
    )
    models: str | None = Field(
        None,
        description="The registry, to draw the champion's training rows beside the window; for the archive the bucket",
    )
    suite: str | None = Field(None, description="A suite's JSON file, instead of the one in expectations/")


@flow(name="data-quality", flow_run_name="data-quality-{request.contract}-{request.stage}")
def data_quality(request: DataQualityRequest) -> QualityResult:
    """Judge, report, and fail with one sentence if the window as a whole is not fit for use."""
    if request.as_of:
        require_begun(request.as_of)
    contract = load_contract(request.contract)
    tag_run(contract=contract.name)
    out, models, window = request.out, request.models, None
    if request.transactions:
        landed = landing.load(contract, request.transactions)
        context = Context(as_of=to_micros(request.as_of)) if request.as_of else Context()
    else:
        landed, context = _of_deployment(request, contract)
        # Hours are compared with hours and days with days.
        out, models = f"{out}/{request.stage}/{request.window}", models or defaults.models()
        window = None if request.stage in OF_ALL else request.window
    reference = monitoring.training_reference(models, contract) if models else None
    suite = quality.suite(contract, request.stage, request.suite)
    if request.stage == "decisions":
        result = quality.judge_decisions(contract, landed, suite)
    else:
        result = quality.judge(contract, landed, suite, context)
    quality.keep(result, landed, out, reference)
    quality.show(result, out, window)
    return gate(result, where_to_correct(contract, result.stage, request.suite))


def _of_deployment(request: DataQualityRequest, contract: Contract) -> tuple[Landed, Context]:
    """All that has landed where labels are judged, which come late; else the archive's last whole window."""
    now = to_micros(request.as_of or defaults.due())
    if request.stage in OF_ALL:
        # What the stream delivered since then is no clock that runs ahead: a run may start late, or be repeated.
        return landing.load_all(contract, now, known_before=now), Context(as_of=now)
    start, end = whole_window(request.window, now)
    return monitoring.window_of_archive(contract, load_settings(), start, end)


def whole_window(window: Literal["hour", "day"], now: int) -> tuple[int, int]:
    """The last whole hour or day (UTC) up to `now`, in microseconds.

    >>> whole_window("hour", 5 * HOUR + 1) == (4 * HOUR, 5 * HOUR)
    True
    """
    length = HOUR if window == "hour" else DAY
    end = now - now % length
    return end - length, end

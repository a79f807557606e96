"""Monitor: is the champion still at home in the data, and do all paths still say the same?"""

from prefect import flow
from pydantic import AwareDatetime, BaseModel, Field

from flows import defaults
from fraudline.adapters.clock import require_begun
from fraudline.clock import from_micros, to_micros
from fraudline.contract import load_contract
from fraudline.durations import DAY
from fraudline.errors import FraudlineError
from fraudline.quality.monitoring import Monitored
from fraudline.quality.places import refused_key
from fraudline.settings import load_settings
from tasks import landing, monitoring
from tasks.artifacts import tag_run


class SkewFound(FraudlineError):
    """Two paths disagree: whoever changed the code or the tables must look before scores are trusted."""


class MonitorRequest(BaseModel):
    """Which transactions of which champion to look at; live decisions and profiles too where there is a stream."""

    contract: str = Field(
        default_factory=defaults.contract,
        description="A shipped contract (ecommerce, cards) or a TOML file; by default the deployment's",
    )
    models: str = Field(
        default_factory=defaults.models,
        description="The registry: a folder or s3://bucket/prefix; by default the models bucket",
    )
    out: str = Field(
        default_factory=defaults.monitor_reports,
        description="Where pages go: a folder or s3://bucket/prefix; by default the reports bucket",
    )
    transactions: list[str] = Field(
        default=[], description="Files with the window and its past; none: the stream's archive, with live decisions"
    )
    as_of: AwareDatetime | None = Field(None, description="The end of the window; the scheduled run's own time if none")
    days: int = Field(1, ge=1, description="How many days the window has")


@flow(name="monitor", flow_run_name="monitor-{request.contract}")
def monitor(request: MonitorRequest) -> Monitored:
    """Drift advises; a difference between paths at equal profile positions fails the run and names the feature."""
    if request.as_of:
        require_begun(request.as_of)
    end = to_micros(request.as_of or defaults.due())
    start = end - request.days * DAY
    bundle = monitoring.champion(request.models, load_contract(request.contract))
    # As the stream does: where the deployment's contract has other features by now, the champion still scores its own.
    contract = bundle.contract
    tag_run(contract=contract.name, version=bundle.version)
    monitoring.tell_age(request.models, load_settings(), contract, from_micros(end))
    if request.transactions:
        landed, skew = landing.load(contract, request.transactions), None
        landing.quarantine(
            landed.rejects, request.out, refused_key(f"{contract.name}-monitor-{from_micros(end):%Y-%m-%d}")
        )
        table = landed.table
    else:
        table = landing.load_all(contract, end).table
        skew = monitoring.compare_paths(load_settings(), contract, start, end)
    seen = monitoring.measure(table, bundle, start, end, skew)
    monitoring.report(seen, request.out)
    if skew and skew.is_skewed:
        raise SkewFound(
            f"two paths disagree on {', '.join(skew.named)}: trust no score of them, see the monitor's page"
        )
    return seen

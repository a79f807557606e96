"""Materialize: build the profiles of lagged entities (terminals, devices) from all that has landed, every hour."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from prefect import flow
from pydantic import AwareDatetime, BaseModel, Field

from fraudline.adapters.registry import open_registry
from fraudline.clock import format_micros, to_micros
from fraudline.contract import Contract, load_contract
from fraudline.settings import Settings, load_settings
from tasks import materializing
from tasks.artifacts import tag_run


class MaterializeRequest(BaseModel):
    """Up to when to build."""

    # Not when the run was due: after an outage it would build the hours of before once more.
    now: AwareDatetime = Field(
        default_factory=partial(datetime.now, UTC),
        description="Up to this moment, less the lag: by default the present, however late the run is",
    )


@dataclass(frozen=True)
class MaterializeResult:
    """How many entities were built through which hour; none where the contract has no others."""

    entities: int
    through: str


@flow(name="materialize", flow_run_name="materialize-{request.now:%Y-%m-%dT%H:%M}")
def materialize(request: MaterializeRequest) -> MaterializeResult:
    """Build lagged entities' profiles from the archive, the landed files and the label store."""
    settings = load_settings()
    configured = load_contract(settings.contract)
    # The stream follows the champion's contract; the configured one may be ahead of it.
    registry = open_registry(f"s3://{settings.models_bucket}", configured.name)
    contract = materializing.contract_in_use(registry, configured)
    tag_run(contract=contract.name)
    return build_lagged_entities(settings, contract, to_micros(request.now))


def build_lagged_entities(settings: Settings, contract: Contract, now: int) -> MaterializeResult:
    """A build up to the newest hour that there may be one of at `now` (microseconds)."""
    if not contract.lagged_entities:
        return MaterializeResult(0, "")
    through = materializing.begin(settings, contract, now)
    with materializing.past(contract) as past:
        return MaterializeResult(materializing.build(settings, past, through), format_micros(through))

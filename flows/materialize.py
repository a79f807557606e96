"""Materialize: build the profiles of later entities (terminals, devices) from all that has landed, every hour."""

from dataclasses import dataclass

from prefect import flow
from pydantic import AwareDatetime, BaseModel, Field

from flows import defaults
from fraudline.clock import format_micros, to_micros
from fraudline.contract import load_contract
from fraudline.materializing import newest_hour
from fraudline.settings import load_settings
from tasks import landing, materializing, training


class MaterializeRequest(BaseModel):
    """Up to when to build."""

    now: AwareDatetime = Field(
        default_factory=defaults.due, description="The present, less the lag: by default the moment the run is due"
    )


@dataclass(frozen=True)
class MaterializeResult:
    """How many entities were built through which hour; none where the contract has no later ones."""

    entities: int
    through: str


@flow(name="materialize", flow_run_name="materialize-{request.now}")
def materialize(request: MaterializeRequest) -> MaterializeResult:
    """Build later entities' profiles from the archive, the landed files and the label store."""
    settings = load_settings()
    configured = load_contract(settings.contract)
    # The stream follows the champion's contract; the configured one may be ahead of it.
    registry = training.registry_at(f"s3://{settings.models_bucket}", configured.name)
    contract = materializing.contract_in_use(registry, configured)
    if not contract.lagged_entities:
        return MaterializeResult(0, "")
    now = to_micros(request.now)
    table = landing.load_all(contract, now).table.labels_known_by(now)
    through = newest_hour(table, now)
    return MaterializeResult(materializing.build(settings, table, through), format_micros(through))

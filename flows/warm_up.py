"""Warm up: build the profiles that a history makes, before a stream is scored for the first time."""

from prefect import flow
from pydantic import BaseModel, Field

from flows import defaults
from fraudline.clock import day_start
from fraudline.contract import load_contract
from fraudline.settings import load_settings
from tasks import landing, streaming


class WarmUpRequest(BaseModel):
    """Which history the profiles are made of."""

    transactions: list[str] = Field(
        default=[], description="Files, folders or s3:// prefixes; none: all that has landed"
    )
    before: defaults.Day = Field(
        default_factory=defaults.due_day,
        description="Count the transactions before this day (UTC); by default the day the run is due",
    )


@flow(name="warm-up", flow_run_name="warm-up-{request.before}")
def warm_up(request: WarmUpRequest) -> int:
    """Write profiles where there are none yet; returns how many."""
    settings = load_settings()
    before = day_start(request.before)
    table = landing.history(load_contract(settings.contract), request.transactions, before).table
    return streaming.warm_up(settings, table.take(table.timestamp < before))

"""Warm up: build the profiles that a history makes, before a stream is scored for the first time."""

from datetime import date

from prefect import flow
from pydantic import BaseModel, Field

from fraudline.clock import day_start
from fraudline.contract import load_contract
from fraudline.settings import load_settings
from tasks import landing, streaming


class WarmUpRequest(BaseModel):
    """Which history the profiles are made of."""

    transactions: list[str] = Field(description="Files, folders or s3:// prefixes")
    before: date = Field(description="Count the transactions before this day (UTC)")


@flow(name="warm-up", flow_run_name="warm-up-{request.before}")
def warm_up(request: WarmUpRequest) -> int:
    """Write profiles where there are none yet; returns how many."""
    settings = load_settings()
    table = landing.load(load_contract(settings.contract), request.transactions).table
    return streaming.warm_up(settings, table.take(table.timestamp < day_start(request.before)))

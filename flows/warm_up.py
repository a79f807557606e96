"""Warm up: build the profiles of a contract's features, from a past before the stream and from all it has archived."""

from prefect import flow
from pydantic import BaseModel, Field

from flows import defaults
from flows.materialize import build_lagged_entities
from fraudline.adapters.clock import now_micros
from fraudline.adapters.generations.build import Built
from fraudline.clock import day_start
from fraudline.contract import load_contract
from fraudline.quality.places import refused_key
from fraudline.settings import load_settings
from tasks import landing, streaming
from tasks.artifacts import tag_run


class WarmUpRequest(BaseModel):
    """Whose features, and which past."""

    contract: str = Field(
        default_factory=defaults.contract,
        description="The contract whose features the profiles are for: a shipped one (ecommerce, cards) or a TOML file",
    )
    transactions: list[str] = Field(
        default=[], description="Files, folders or s3:// prefixes with the past before the stream; none: landed files"
    )
    before: defaults.Day = Field(
        default_factory=defaults.due_day,
        description="Count these files' transactions before this day (UTC); by default the day the run is due",
    )
    quarantine: str = Field(
        default_factory=defaults.refused_rows,
        description="Where rejected rows go: a folder or s3://bucket/prefix; by default the quarantine bucket",
    )


@flow(name="warm-up", flow_run_name="warm-up-{request.contract}-{request.before}")
def warm_up(request: WarmUpRequest) -> Built:
    """Build the profiles of a contract's features beside those in use, so that its champion starts warm.

    Before a stream is scored for the first time they hold the past in files; of a stream that is scored already, also
    all that it has archived, up to each shard's checkpoint.
    """
    settings, before = load_settings(), day_start(request.before)
    contract = load_contract(request.contract)
    tag_run(contract=contract.name)
    past = landing.past(contract, request.transactions)
    landing.quarantine(past.rejects, request.quarantine, refused_key(f"{contract.name}-warm-up-{request.before}"))
    built = streaming.build_generation(settings, past.table.take(past.table.timestamp < before))
    if built.archived:
        build_lagged_entities(settings, contract, now_micros())
    return built

"""Score the stream: a bounded slice of shard polling and micro-batches, every few minutes."""

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel, Field

from fraudline.adapters.registry import open_registry
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.slices import SliceReport
from fraudline.contract import load_contract
from fraudline.settings import load_settings
from fraudline.stream import TRIM_HORIZON
from tasks import streaming
from tasks.artifacts import tag_run
from tasks.steps import in_flow_run
from tasks.stopping import stop_flag


class ScoreStreamRequest(BaseModel):
    """How much of the stream to score, and with what; names of resources come from FRAUDLINE_* variables."""

    model: str = Field("champion", description="champion, or a version")
    seconds: float = Field(60.0, gt=0, description="End after so many seconds, between two batches")
    records: int = Field(100_000, ge=1, description="End a shard after so many records")


@flow(name="score-stream", flow_run_name="score-stream-{request.model}")
def score_stream(request: ScoreStreamRequest) -> SliceReport | State[None]:
    """Take leases on shards, score micro-batches into DynamoDB, quarantine, archive and alert, then give them back.

    Due before there has ever been a champion it has nothing to do, which is no failure; once anything was scored, a
    champion that is gone is one. Who calls it by hand is always told.
    """
    settings = load_settings()
    name = load_contract(settings.contract).name
    registry = open_registry(f"s3://{settings.models_bucket}", name)
    if runtime.deployment.id and streaming.is_yet_to_begin(settings, registry, request.model):
        tag_run(contract=name, stream=settings.stream, champion="none-yet")
        return Completed(message="Nothing to score with before the first champion; what waits in the stream is kept.")
    bundle = streaming.model(registry, request.model)
    tag_run(contract=name, version=bundle.version, stream=settings.stream)
    limits = Limits(records=request.records, seconds=request.seconds)
    with stop_flag() as stop:
        report = streaming.drain_shards(settings, bundle, limits, TRIM_HORIZON, stop)
    tag_run(shard=sorted({drain.shard for drain in report.drains}))
    if in_flow_run():
        streaming.show_queue(settings, bundle.contract)
    return report

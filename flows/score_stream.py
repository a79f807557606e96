"""Score the stream: a bounded slice of shard polling and micro-batches, every few minutes."""

from prefect import flow
from pydantic import BaseModel, Field

from fraudline.adapters.draining import Limits
from fraudline.adapters.registry import open_registry
from fraudline.adapters.slices import SliceReport
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
def score_stream(request: ScoreStreamRequest) -> SliceReport:
    """Take leases on shards, score micro-batches into DynamoDB, quarantine, archive and alert, then give them back."""
    settings = load_settings()
    name = load_contract(settings.contract).name
    bundle = streaming.model(open_registry(f"s3://{settings.models_bucket}", name), request.model)
    tag_run(contract=name, version=bundle.version, stream=settings.stream)
    limits = Limits(records=request.records, seconds=request.seconds)
    with stop_flag() as stop:
        report = streaming.drain_shards(settings, bundle, limits, TRIM_HORIZON, stop)
    tag_run(shard=sorted({drain.shard for drain in report.drains}))
    if in_flow_run():
        streaming.show_queue(settings, bundle.contract)
    return report

"""How far the consumer group is behind, asked of the stream itself: `fraudline status` and people look at this."""

from dataclasses import dataclass

from fraudline.adapters.aws.backoff import Deadline, within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.stream.kinesis import Stream
from fraudline.adapters.tables.leases import Lease, Leases
from fraudline.settings import Settings
from fraudline.stream import TRIM_HORIZON, Shard

ASK_SECONDS = 30.0


@dataclass(frozen=True)
class ShardLag:
    """The age of the oldest record that waits on a shard (0: none does), and who holds its lease ("": nobody)."""

    shard: str
    lag_seconds: float
    owner: str


def shard_lags(settings: Settings) -> list[ShardLag]:
    """Every shard that is not read to its end, in the order of their names."""
    stream = Stream(AwsJson("kinesis"), settings.stream)
    leases = Leases(DynamoDB(AwsJson("dynamodb")), settings.leases_table, settings.consumer, "status")
    rows, now, deadline = leases.rows(), leases.now(), within(ASK_SECONDS)
    return [
        _lag(stream, shard, rows.get(shard.id), now, deadline)
        for shard in sorted(stream.shards(deadline), key=lambda shard: shard.id)
        if not (shard.id in rows and rows[shard.id].closed)
    ]


def _lag(stream: Stream, shard: Shard, lease: Lease | None, now: int, deadline: Deadline) -> ShardLag:
    seconds = stream.lag_after(shard, lease.checkpoint if lease else TRIM_HORIZON, deadline)
    return ShardLag(shard.id, round(seconds, 1), lease.owner if lease and lease.is_held(now) else "")

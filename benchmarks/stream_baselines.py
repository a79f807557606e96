"""What others do with the stream, for `stream_cost.py`: prints the CPU of each way, one JSON object a line.

python -m benchmarks.stream_baselines STREAM TABLE WARM_UP EVENTS SINGLE
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import boto3
import pandas as pd
from kinesis import Consumer

from benchmarks.seed_baseline import fit_seed_pipeline, score
from fraudline.simulate import Population, simulate

BATCH = 500


def decision(record: dict[str, Any], probability: float) -> dict[str, Any]:
    """A row of the attributes the seed writes."""
    return {
        "transaction_id": record["transaction_id"],
        "origin": "stream",
        "user_id": record["user_id"],
        "score": Decimal(repr(float(probability))),
        "is_fraud": bool(probability > 0.5),
        "amount": Decimal(str(record["amount"])),
        "event_time": record["timestamp"],
        "model_version": "seed",
    }


def write_batch(pipeline: Any, table: Any, records: Sequence[dict[str, Any]]) -> None:
    scores = score(pipeline, pd.DataFrame(records))
    with table.batch_writer() as writer:
        for record, probability in zip(records, scores, strict=True):
            writer.put_item(Item=decision(record, probability))


def write_single(pipeline: Any, table: Any, record: dict[str, Any]) -> None:
    (probability,) = score(pipeline, pd.DataFrame([record]))
    table.put_item(Item=decision(record, probability))


async def consume(
    stream: str, pipeline: Any, table: Any, warm_up: int, count: int
) -> tuple[float, list[dict[str, Any]]]:
    """Seconds of CPU for `count` records after the first `warm_up`, in batches; and the last batch."""
    options = {"endpoint_url": os.environ["AWS_ENDPOINT_URL"], "region_name": os.environ["AWS_REGION"]}
    batch: list[dict[str, Any]] = []
    seen, begin = 0, 0.0
    async with Consumer(
        stream, record_limit=BATCH, max_queue_size=2 * BATCH, shard_fetch_rate=5, **options
    ) as consumer:
        while seen < warm_up + count:
            async for record in consumer:
                batch.append(record)
                seen += 1
                if seen == warm_up:
                    begin = time.process_time()
                if len(batch) == BATCH:
                    write_batch(pipeline, table, batch)
                    last, batch = batch, []
                if seen == warm_up + count:
                    break
    return time.process_time() - begin, last


def tell(name: str, events: int, seconds: float) -> None:
    print(json.dumps({"name": name, "events": events, "cpu": seconds / events * 1e6}), flush=True)


def main() -> None:
    stream, table_name, *numbers = sys.argv[1:]
    warm_up, count, single = map(int, numbers)
    pipeline = fit_seed_pipeline(simulate(Population(users=300, days=40)))
    table = boto3.resource("dynamodb").Table(table_name)
    seconds, records = asyncio.run(consume(stream, pipeline, table, warm_up, count))
    tell("ecommerce: (a) async-kinesis, batches, batch_writer", count, seconds)
    write_single(pipeline, table, records[0])
    begin = time.process_time()
    for record in records[:single]:
        write_single(pipeline, table, record)
    tell("ecommerce: (b) a scikit-learn call and put_item each", single, time.process_time() - begin)


if __name__ == "__main__":
    main()

"""What the demo left behind, read back from where it lies: decisions, alerts, and whether the paths agree."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.tables.decisions import Decisions
from fraudline.decision import Decision
from fraudline.demo.steps import Story

EMPTY_ANSWERS = 3


@dataclass(frozen=True)
class Evidence:
    """Decisions by transaction id on each path, and the ids that the alerts queue delivered."""

    stream: dict[str, Decision]
    realtime: dict[str, Decision]
    backfill: dict[str, float]
    alerted: set[str]


def gather(story: Story) -> Evidence:
    decisions = Decisions(DynamoDB(AwsJson("dynamodb")), story.settings.decisions_table, story.contract)
    day = pq.read_table(story.out / "backfill" / f"{story.data.day.isoformat()}.parquet")
    ids = day["transaction_id"].to_pylist()
    return Evidence(
        stream=decisions.read(ids, within(60)),
        realtime=decisions.read(story.results["lambda"]["answers"], within(60), "realtime"),
        backfill=dict(zip(ids, day["score"].to_pylist(), strict=True)),
        alerted=set(_alerted(story)),
    )


def _alerted(story: Story) -> Iterator[str]:
    """Transaction ids in the queue behind the alerts topic."""
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=story.settings.alerts_topic)["QueueUrl"]
    empty = 0
    while empty < EMPTY_ANSWERS:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        empty = 0 if messages else empty + 1
        for message in messages:
            told = json.loads(message["Body"])["transactions"]
            yield from (transaction["transaction_id"] for transaction in told)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def check(story: Story, evidence: Evidence) -> list[dict[str, Any]]:
    """The demo's own checks, each with what it saw."""
    stream, sent = story.results["stream"], story.results["sent"].records
    quarantined = sum(stream.quarantined.values())
    retrain = story.results["retrain"]
    same, different, stale = _compare_lambda(evidence)
    backfilled = [id_ for id_ in evidence.backfill if id_ in evidence.stream]
    unequal = [id_ for id_ in backfilled if evidence.stream[id_].score != evidence.backfill[id_]]
    flagged = {id_ for id_, decision in evidence.stream.items() if decision.is_fraud}
    failed = [answer for answer in story.results["lambda"]["answers"].values() if answer["status"] != 200]
    return [
        _result(
            "history: read = valid + quarantined + duplicates",
            retrain.rows == retrain.valid + retrain.quarantined + retrain.duplicates,
            f"{retrain.rows} = {retrain.valid} + {retrain.quarantined} + {retrain.duplicates}",
        ),
        _result("stream: everything sent was read", stream.read == sent, f"{sent} sent, {stream.read} read"),
        _result(
            "stream: read = scored + quarantined + duplicates",
            stream.read == stream.scored + quarantined + stream.duplicates,
            f"{stream.read} = {stream.scored} + {quarantined} + {stream.duplicates}",
        ),
        _result(
            "stream: every scored transaction has its decision",
            len(evidence.stream) == stream.scored,
            f"{len(evidence.stream)} decisions for {stream.scored} scored",
        ),
        _result(
            "lambda: every question was answered",
            not failed,
            f"{len(failed)} of {len(story.results['lambda']['answers'])} failed",
        ),
        _result(
            "lambda = stream, at equal profile positions",
            same > 0 and not different,
            f"{same} equal bit for bit, {different} different, {stale} at other positions",
        ),
        _result(
            "backfill = stream",
            len(backfilled) == len(evidence.backfill) > 0 and not unequal,
            f"{len(backfilled) - len(unequal)} equal bit for bit, {len(unequal)} different,"
            f" {len(evidence.backfill) - len(backfilled)} missing",
        ),
        _result(
            "alerts: every flagged transaction was notified",
            flagged == evidence.alerted,
            f"{len(flagged)} flagged, {len(evidence.alerted)} notified",
        ),
    ]


def _compare_lambda(evidence: Evidence) -> tuple[int, int, int]:
    """How many of the Lambda's decisions equal, differ from, and do not compare to the stream's."""
    same = different = stale = 0
    for id_, ours in evidence.realtime.items():
        theirs = evidence.stream.get(id_)
        if theirs is None or theirs.profile_position != ours.profile_position:
            stale += 1
        elif (theirs.score, theirs.features, theirs.is_fraud) == (ours.score, ours.features, ours.is_fraud):
            same += 1
        else:
            different += 1
    return same, different, stale


def _result(name: str, ok: bool, detail: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "detail": detail}

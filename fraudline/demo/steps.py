"""The demo's steps: each runs a flow or a command on the stack, and puts what came of it into the story."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fraudline.adapters.aws.clients import client
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.outgoing import outgoing
from fraudline.adapters.stream.producer import Producer
from fraudline.contract import Contract
from fraudline.demo.data import DemoData
from fraudline.local.emulator import emulator_python
from fraudline.local.functions import Function, deploy, invoke
from fraudline.realtime.packaging import package_lambda
from fraudline.settings import Settings
from tasks.progress import say

FUNCTION = "fraudline-realtime"
# How many of the last day's users ask the Lambda first, each for their first transaction of the day.
ASKED = 40


@dataclass
class Story:
    """What the demo is about and what has come of it so far."""

    contract: Contract
    settings: Settings
    data: DemoData
    out: Path
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def history(self) -> str:
        return f"s3://{self.settings.landing_bucket}/files/history.csv"

    @property
    def last_day(self) -> str:
        return f"s3://{self.settings.landing_bucket}/files/last-day.jsonl"

    @property
    def models(self) -> str:
        return f"s3://{self.settings.models_bucket}"


def upload(story: Story) -> None:
    """The files into the landing bucket, from where everything reads."""
    objects = open_objects(f"s3://{story.settings.landing_bucket}")
    objects.put("files/history.csv", story.data.history.read_bytes())
    objects.put("files/last-day.jsonl", story.data.last_day.read_bytes())


def retrain(story: Story) -> None:
    from flows.retrain import RetrainRequest
    from flows.retrain import retrain as flow

    request = RetrainRequest(
        contract=story.settings.contract,
        transactions=[story.history],
        as_of=story.data.day,
        models=story.models,
        quarantine=f"s3://{story.settings.quarantine_bucket}/files",
    )
    result = flow(request)
    story.results["retrain"] = result
    files = Registry(open_objects(story.models), story.contract.name).read(result.version)
    for name in ("evaluation.png", "model_card.md"):
        (story.out / name).write_bytes(files[name])


def deploy_function(story: Story) -> None:
    """Package the Lambda for the emulator's interpreter, deploy it, ask it about the day's first transactions."""
    champion = story.results["retrain"]
    say("Packaging the Lambda")
    trees = champion.candidate == "boosted_trees"
    report = package_lambda(story.out / "realtime.zip", emulator_python(), trees=trees)
    functions = client("lambda")
    say("Deploying the Lambda")
    environment = story.settings.to_environment()
    deploy(functions, Function(FUNCTION, report.python, environment), report.path.read_bytes())
    answers = {}
    for number, record in enumerate(_first_of_each_user(story), start=1):
        say(f"Asking the Lambda: {number} of {ASKED}")
        answer = invoke(functions, FUNCTION, {"transaction_data": record})
        answers[record[story.contract.id.column]] = {"status": answer["statusCode"], **json.loads(answer["body"])}
    story.results["lambda"] = {"answers": answers, "bytes": report.bytes}


def _first_of_each_user(story: Story) -> list[dict[str, Any]]:
    """Valid first transactions of the day, one a user."""
    from fraudline.adapters.inputs.files import load_transactions

    table = load_transactions(story.contract, [str(story.data.last_day)]).table
    wanted: dict[str, str] = {}
    for transaction in table.transactions():
        wanted.setdefault(transaction.entities[0], transaction.id)
    ids = set(list(wanted.values())[:ASKED])
    records: dict[str, dict[str, Any]] = {}
    for record in outgoing(story.contract, story.data.last_day):
        try:
            values = json.loads(record.data)
        except ValueError:
            continue
        if isinstance(values, dict) and values.get(story.contract.id.column) in ids:
            records.setdefault(values[story.contract.id.column], values)
    return list(records.values())


def warm_up(story: Story) -> None:
    from flows.warm_up import WarmUpRequest
    from flows.warm_up import warm_up as flow

    built = flow(WarmUpRequest(transactions=[story.history], before=story.data.day))
    story.results["profiles"] = built.profiles


def send(story: Story) -> None:
    producer = Producer(client("kinesis"), story.settings.stream)
    records = outgoing(story.contract, story.data.last_day)
    story.results["sent"] = producer.send(records, progress=lambda sent: say(f"Sent {sent:,} records"))


def score_stream(story: Story) -> None:
    from flows.score_stream import ScoreStreamRequest
    from flows.score_stream import score_stream as flow

    story.results["stream"] = flow(ScoreStreamRequest(seconds=120))


def backfill(story: Story) -> None:
    """The last two days again, as files: the one before for its own sake, the last to be held against the stream."""
    from datetime import timedelta

    from flows.backfill import BackfillRequest
    from flows.backfill import backfill as flow

    request = BackfillRequest(
        contract=story.settings.contract,
        transactions=[story.history, story.last_day],
        start=story.data.day - timedelta(days=1),
        end=story.data.day + timedelta(days=1),
        models=story.models,
        out=str(story.out / "backfill"),
    )
    story.results["backfill"] = flow(request)


def data_quality(story: Story) -> None:
    from flows.data_quality import DataQualityRequest
    from flows.data_quality import data_quality as flow

    request = DataQualityRequest(
        contract=story.settings.contract,
        transactions=[story.history],
        out=str(story.out / "quality"),
        models=story.models,
    )
    story.results["quality"] = flow(request)

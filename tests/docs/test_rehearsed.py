"""The commands in the blocks of documents are run as they are written, in their order, against a deployment here."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.local.emulator import Emulator, environment_of
from fraudline.local.processes import choose_port
from fraudline.realtime.start import start
from tests.docs.reading import ROOT, blocks
from tests.docs.rehearsal import Rehearsal, rehearsal
from tests.support.command import PROGRAM

PROGRAMS = ("fraudline ", "prefect ")
# Where an empty Prefect server begins; the rest stands on it.
REGISTER = ("prefect work-pool create", "prefect --no-prompt deploy")
# With nothing started beforehand, and then with a deployment: the guide makes the first model, the runbook needs one.
ALONE = ("README.md", "CONTRIBUTING.md", "models/README.md", "docs/cost.md")
REHEARSED = (*ALONE, "docs/deployment-guide.md", "docs/runbook.md")


# What some of them must say, how they begin: that nothing went wrong is not yet that something was done.
SAID = {
    "fraudline status": "the worker is not there",
    "fraudline score-stream --seconds": "scored       59",
    "fraudline quarantine show": "device_type is",
    "fraudline quarantine redrive excluded": "no prepaid card pays over 5,000",
    "fraudline models rollback": "alerts tripled since the promotion",
    "fraudline models verify": "are what the manifest says",
    "fraudline replay": "The same, bit for bit",
    "fraudline review show": "flagged",
    "fraudline automations": "a run is late",
    "fraudline forget - ": '"receipt": "s3://',
}


def lines(document: str) -> list[str]:
    """The commands of ours and of Prefect in its blocks; those of blocks that say so are run as a whole elsewhere."""
    written = [line.strip() for block in blocks(document) if not block.is_run for line in block.lines]
    return [line for line in written if line.startswith(PROGRAMS)]


@pytest.fixture(scope="module")
def stage(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with rehearsal(emulator, tmp_path_factory.mktemp("rehearsal")) as made:
        for line in lines("docs/runbook.md"):
            if line.startswith(REGISTER):
                assert made.follow(line, ROOT).code == 0, line
        yield made


@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", REHEARSED)
def test_a_documents_commands_do_what_they_say_in_the_order_they_stand_in(stage: Rehearsal, document: str) -> None:
    if document == "docs/runbook.md":
        _let_a_day_pass(stage)
    somebody = replace(stage, variables={}) if document in ALONE else stage
    for line in lines(document):
        if not line.startswith(REGISTER):
            done = somebody.follow(line)
            said = next((words for start, words in SAID.items() if line.startswith(start)), "")
            assert (done.code, said in done.out) == (0, True), f"{line}\n{done.out[-2000:]}\n{done.err[-2000:]}"


def _let_a_day_pass(stage: Rehearsal) -> None:
    """What has happened before somebody opens the runbook: records came, one was asked at checkout, a retrain won."""
    with environment_of(stage.variables):
        landing = stage.settings.landing_bucket
        client("s3").upload_file(f"{stage.person.folder}/history.parquet", landing, "files/history.parquet")
        asked = json.loads((stage.person.folder / "resent.jsonl").read_text().splitlines()[1])
        assert start(os.environ).answer({"transaction_data": asked}, None)["statusCode"] == 200
    stage.json("fraudline send --transactions resent.jsonl")
    yesterday = stage.today - timedelta(days=1)
    version = stage.json(
        f"fraudline retrain --transactions landed.parquet --candidate logistic --as-of {yesterday}"
        f' --models "s3://$FRAUDLINE_MODELS_BUCKET" --quarantine s3://{stage.settings.quarantine_bucket}/files'
    )["version"]
    stage.json(f'fraudline models promote {version} --reason "a try" --models "s3://$FRAUDLINE_MODELS_BUCKET"')


def test_the_notifier_publishes_what_it_is_told_until_it_is_stopped(stage: Rehearsal) -> None:
    port = choose_port()
    command = [PROGRAM, "notifier", "--port", str(port)]
    environment = stage.person.environment | stage.variables
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}" in process.stderr.readline()
        notice = json.dumps({"text": "fraudline: a run is late: monitor"}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", notice, timeout=30) as answer:
            assert answer.status == 204
        process.send_signal(signal.SIGINT)
    assert process.returncode in (0, 130)
    with environment_of(stage.variables):
        sqs = client("sqs")
        url = sqs.get_queue_url(QueueName=stage.settings.alarms_topic)["QueueUrl"]
        (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert json.loads(message["Body"])["text"] == "fraudline: a run is late: monitor"

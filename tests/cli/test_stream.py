"""The commands that talk to AWS, against the emulator: warm up, send, score, and the registry in S3."""

import json
import re
import signal
import subprocess
import time

from fraudline.adapters.aws.clients import client
from fraudline.adapters.stream.producer import Producer
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from tests.cli.conftest import Shop, upload
from tests.stream.events import clean_events
from tests.stream.storage import accounts
from tests.support.command import PROGRAM, Person


def test_a_stream_is_warmed_up_fed_and_scored(shop: Shop, person: Person, aws: Emulator, resources: Settings) -> None:
    variables = aws.environment | resources.to_environment()
    registry = f"s3://{resources.models_bucket}"
    upload(person.folder / "models", registry)
    header, *rows = (person.folder / "tx.csv").read_text().splitlines(keepends=True)
    for name, day in (("monday.csv", "2026-02-16"), ("tuesday.csv", "2026-02-17")):
        (person.folder / name).write_text(header + "".join(row for row in rows if f",{day}T" in row))

    warm = ("warm-up", "--transactions", "tx.csv", "--before", "2026-02-16", "--json")
    assert person.runs(*warm, **variables).json["profiles"] > 200
    sent = person.runs("send", "--transactions", "monday.csv", "tuesday.csv", "--json", **variables).json
    scored = person.runs("score-stream", "--seconds", "60", "--json", **variables).json
    assert scored["read"] == sent["records"] > 300
    assert scored["read"] == scored["scored"] + scored["quarantined"] + scored["duplicates"]
    assert person.runs("score-stream", "--seconds", "60", "--json", **variables).json["read"] == 0
    listed = person.runs("models", "list", "--models", registry, "--json", **variables).json
    assert shop.first["version"] in [row["version"] for row in listed["versions"]]


def test_what_was_sent_is_counted_up_and_not_told_at_every_call(
    person: Person, aws: Emulator, resources: Settings
) -> None:
    """A busy user's records go one a call: each was told as `Sent 1 records`, thousands of lines in a log."""
    header, *rows = (person.folder / "tx.csv").read_text().splitlines(keepends=True)
    (person.folder / "some.csv").write_text(header + "".join(rows[:2100]))
    done = person.runs("send", "--transactions", "some.csv", "--json", **(aws.environment | resources.to_environment()))
    told = [int(number.replace(",", "")) for number in re.findall(r"Sent ([\d,]+) records", done.err)]
    assert len(told) == 2
    assert 1000 <= told[0] < 2000 <= told[1] <= done.json["records"]


def test_a_stream_without_a_champion_is_one_sentence(person: Person, aws: Emulator, resources: Settings) -> None:
    done = person.runs("score-stream", **(aws.environment | resources.to_environment()))
    assert done.code == 3
    assert "no champion yet" in done.sentence


def test_a_stream_that_is_not_there_is_one_sentence(person: Person, aws: Emulator) -> None:
    done = person.runs("send", "--transactions", "tx.csv", "--stream", "nowhere", **aws.environment)
    assert done.code != 0
    assert "'nowhere'" in done.sentence


def test_a_malformed_setting_is_named(person: Person, aws: Emulator) -> None:
    done = person.runs("score-stream", **aws.environment, FRAUDLINE_MODELS_BUCKET="Not A Bucket")
    assert done.code == 2
    assert "FRAUDLINE_MODELS_BUCKET" in done.sentence


def test_score_stream_goes_on_until_it_is_told_to_stop(
    shop: Shop, person: Person, aws: Emulator, resources: Settings
) -> None:
    upload(person.folder / "models", f"s3://{resources.models_bucket}")
    environment = person.environment | aws.environment | resources.to_environment()
    scoring = subprocess.Popen(
        [PROGRAM, "score-stream", "--forever", "--json"], cwd=person.folder, env=environment, stdout=subprocess.PIPE
    )
    try:
        for first in (0, 30):
            Producer(client("kinesis"), resources.stream).send(clean_events(30, users=5, first=first))
            deadline = time.monotonic() + 60
            while sum(account.scored for account in accounts(resources)) < first + 30:
                assert time.monotonic() < deadline, "nobody scores what was sent"
                time.sleep(0.2)
    finally:
        scoring.send_signal(signal.SIGTERM)
        out, _ = scoring.communicate(timeout=60)
    assert scoring.returncode == 0
    assert json.loads(out)["flags"] == {}

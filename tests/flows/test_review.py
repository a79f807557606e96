"""The review queue: the dearest alerts first, one with its user's past, and verdicts that become labels."""

import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.review_queue import review_queue
from fraudline.adapters.tables.decisions import Decisions
from fraudline.adapters.tables.labels import Labels
from fraudline.contract import load_contract
from fraudline.decision import Decision
from fraudline.durations import DAY
from fraudline.labels import Verdict, with_verdicts
from fraudline.settings import Settings
from fraudline.transactions.table import from_transactions
from fraudline.transactions.transaction import Transaction

PROGRAM = Path(sys.executable).with_name("fraudline")
NOW = time.time_ns() // 1000


def decision(number: int, amount: int, score: float, user: str = "U1") -> Decision:
    return Decision(
        f"T{number}", "stream", score, score > 0.5, 0.5, "v1", ("amount far above the user's mean",),
        NOW + number, NOW + number, {"user": user}, amount, b"\0" * 8, f"p{number}", "", NOW, b"\0" * 8,
    )  # fmt: skip


@pytest.fixture
def flagged(resources: Settings) -> Settings:
    """Three alerts of two users, and a transaction that is none."""
    decisions = Decisions(DynamoDB(AwsJson("dynamodb")), resources.decisions_table, load_contract("ecommerce"))
    made = [decision(1, 10_000, 0.9), decision(2, 500_000, 0.8, "U2"), decision(3, 20_000, 0.6), decision(4, 900, 0.1)]
    decisions.write(made, within(30))
    return resources


def fraudline(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)


def asked(*arguments: str) -> Any:
    done = fraudline(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_queue_shows_todays_alerts_by_expected_loss_until_they_have_a_verdict(flagged: Settings) -> None:
    queue = asked("review")
    assert queue["day"] == datetime.now(UTC).date().isoformat()
    assert [(row["transaction"], row["expected loss"]) for row in queue["queue"]] == [
        ("T2", 4000.0),
        ("T3", 120.0),
        ("T1", 90.0),
    ]
    assert fraudline("review", "verdict", "T2", "fraud", "--by", "ann", "--note", "called the user").returncode == 0
    queue = asked("review")
    assert [row["transaction"] for row in queue["queue"]] == ["T3", "T1"]
    assert (queue["alerts"], queue["reviewed"]) == (3, 1)
    assert "fraud (ann" in asked("review", "--reviewed")["queue"][0]["verdict"]
    assert fraudline("review", "verdict", "T2", "withdrawn", "--by", "bob").returncode == 0
    assert [row["transaction"] for row in asked("review")["queue"]] == ["T2", "T3", "T1"]


def test_one_alert_is_shown_with_its_reasons_and_what_the_same_user_did_before(flagged: Settings) -> None:
    shown = asked("review", "show", "T3")
    assert shown["alert"]["reasons"] == "amount far above the user's mean"
    assert shown["alert"]["user"] == "U1"
    history = [(row["transaction"], row["amount"]) for row in shown["history"]]
    assert history == [("T3", 200.0), ("T1", 100.0)], "T4 came after"
    assert [row["transaction"] for row in asked("review", "show", "T1")["history"]] == ["T1"]
    said = fraudline("review", "show", "T3").stdout
    assert re.search(r"expected loss +120\.00\b", said)
    assert said.count("200.00") == 2


def test_no_more_is_read_than_was_asked_for(flagged: Settings) -> None:
    queue = review_queue(flagged, load_contract("ecommerce"))
    day = datetime.fromtimestamp(NOW / 1e6, UTC).date().isoformat()
    dearest = queue.alerts(day, within(30), 2)
    assert [alert.transaction_id for alert in dearest] == ["T2", "T3"]
    assert [decision.transaction_id for decision in queue.recent(dearest[1], 1, within(30))] == ["T3"]


def test_only_flagged_transactions_are_reviewed_and_anything_else_is_said_in_a_sentence(flagged: Settings) -> None:
    for arguments in (("show", "T4"), ("verdict", "T99", "fraud")):
        done = fraudline("review", *arguments)
        assert done.returncode == 2
        assert "was not flagged" in done.stderr
        assert done.stderr.count("\n") == 1
    assert "perhaps" in fraudline("review", "verdict", "T1", "perhaps").stderr


def test_a_verdict_is_a_label_from_its_own_time_on_and_a_correction_forgets_nothing(flagged: Settings) -> None:
    labels = Labels(DynamoDB(AwsJson("dynamodb")), flagged.labels_table)
    first, correction = Verdict(1, NOW, "ann"), Verdict(0, NOW + DAY, "bob", "it was the user after all")
    for verdict in (first, correction, correction):
        labels.add("T1", verdict, within(30))
    stored = labels.all(within(30))
    assert stored == {"T1": (first, correction)}

    row = Transaction("T1", NOW - 8 * DAY, 10_000, ("U1",), ("mobile", "Berlin", "credit"), (0,))
    table = from_transactions(load_contract("ecommerce"), [row])
    known = [with_verdicts(table, stored, as_of) for as_of in (NOW - 1, NOW, NOW + DAY)]
    assert [t.label.tolist() for t in known] == [[-1], [1], [0]]
    assert [t.known_at[0] for t in known[1:]] == [NOW, NOW + DAY]

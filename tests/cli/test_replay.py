"""A decision is made again, bit for bit, from what is recorded with it; where it differs is named."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.deps import stream_deps
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.decisions import Decisions
from fraudline.contract import load_contract
from fraudline.decision import REALTIME, STREAM, Decision
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.realtime.decide import Decider, Stored
from fraudline.settings import Settings
from fraudline.transactions.transaction import Transaction
from tests.realtime.bundles import Files, bundle_files, population, version_of
from tests.stream.events import clean_events
from tests.support.command import Finished, Person
from tests.support.preloaded import Preloaded

# Low enough that some transactions are flagged and have reasons.
THRESHOLD = 0.1


@pytest.fixture
def files() -> Files:
    return dict(bundle_files("ecommerce", threshold=THRESHOLD))


@pytest.fixture
def bundle(resources: Settings, files: Files) -> Bundle:
    """A published version of a deployment."""
    version = version_of(files)
    Registry(open_objects(f"s3://{resources.models_bucket}"), "ecommerce").publish(version, files)
    return load_bundle(files.__getitem__, version)


@pytest.fixture
def decisions(resources: Settings) -> Decisions:
    return Decisions(DynamoDB(AwsJson("dynamodb")), resources.decisions_table, load_contract("ecommerce"))


@pytest.fixture
def person(resources: Settings, forks: Preloaded, tmp_path: Path) -> Person:
    (tmp_path / "home").mkdir()
    return Person(tmp_path / "home", tmp_path, forks)


@pytest.fixture
def replay(person: Person, resources: Settings, aws: Any) -> Any:
    variables = {**aws.environment, **resources.to_environment()}

    def run(*arguments: str) -> Finished:
        return person.runs("replay", *arguments, **variables)

    return run


def at_checkout(bundle: Bundle, origin: str = REALTIME) -> list[Decision]:
    """Decisions on some transactions as the function makes them."""
    decider = Decider(bundle)
    made = []
    for record in population()[:300]:
        transaction = decider.validator.validate(record)
        assert isinstance(transaction, Transaction)
        made.append(decider.decide(transaction, Stored("new"), 1_767_225_600_000_000))
    return [msgspec.structs.replace(decision, origin=origin) for decision in made]


def told(done: Finished) -> Any:
    assert done.code in (0, 1), done.err
    return json.loads(done.out)


def test_what_the_stream_decided_is_made_again_bit_for_bit(
    resources: Settings, bundle: Bundle, decisions: Decisions, replay: Any
) -> None:
    Producer(client("kinesis"), resources.stream).send(clean_events(120, users=10))
    run_slice(stream_deps(resources, bundle, "w1"), Limits())
    kept = decisions.read([f"t{number:06d}" for number in range(120)], within(30))
    flagged = next(decision for decision in kept.values() if decision.is_fraud)
    honest = next(decision for decision in kept.values() if not decision.is_fraud)
    for decision in (flagged, honest):
        done = replay(decision.transaction_id, "--json")
        values = told(done)
        assert (done.code, values["equal"], values["differs in"]) == (0, True, [])
        assert values["stored"] == values["recomputed"]
        assert values["recomputed"]["score"] == decision.score
        assert values["recomputed"]["reasons"] == list(decision.reasons)
    assert "bit for bit" in replay(flagged.transaction_id).out


def test_a_decision_at_checkout_is_made_again_and_one_bit_off_is_named(
    bundle: Bundle, decisions: Decisions, replay: Any
) -> None:
    first, second, third = at_checkout(bundle)[:3]
    changed = msgspec.structs.replace(second, score=math.nextafter(second.score, 1.0))
    reasoned = msgspec.structs.replace(third, reasons=("because",), is_fraud=not third.is_fraud)
    decisions.write([first, changed, reasoned], within(30))
    assert replay(first.transaction_id, "--origin", "realtime").code == 0
    done = replay(changed.transaction_id, "--origin", "realtime", "--json")
    assert (done.code, told(done)["differs in"]) == (1, ["score"])
    assert "Differs in score." in replay(changed.transaction_id, "--origin", "realtime").out
    done = replay(reasoned.transaction_id, "--origin", "realtime", "--json")
    assert (done.code, told(done)["differs in"]) == (1, ["is_fraud", "reasons"])


@pytest.mark.parametrize("id_", ["tx-é", "a b", "日本"])
def test_whatever_can_be_a_transaction_can_be_replayed(
    bundle: Bundle, decisions: Decisions, replay: Any, id_: str
) -> None:
    """Ids are texts, as the contract's validation takes them."""
    (decision, *_) = at_checkout(bundle)
    decisions.write([msgspec.structs.replace(decision, transaction_id=id_)], within(30))
    assert replay(id_, "--origin", "realtime").code == 0


def test_a_replay_tells_no_id_of_a_person(bundle: Bundle, decisions: Decisions, replay: Any) -> None:
    (decision, *_) = at_checkout(bundle)
    decisions.write([msgspec.structs.replace(decision, entities={"user": "U0001234"})], within(30))
    for arguments in ((), ("--json",)):
        shown = replay(decision.transaction_id, "--origin", "realtime", *arguments).out
        assert decision.transaction_id in shown
        assert "U0001234" not in shown


def test_what_cannot_be_replayed_is_said_in_one_sentence(
    resources: Settings, bundle: Bundle, files: Files, decisions: Decisions, replay: Any
) -> None:
    (one, two, *_) = at_checkout(bundle, STREAM)
    gone = msgspec.structs.replace(two, model_version="2025-01-01-000000000000")
    cut = msgspec.structs.replace(one, transaction_id="cut", features=one.features[:-3])
    decisions.write([one, gone, cut], within(30))
    cases = {
        ("T-none",): (2, "no stream decision on transaction 'T-none'"),
        (one.transaction_id, "--origin", "realtime"): (2, "there is one of stream"),
        (one.transaction_id, "--origin", "backfill#../x"): (2, "is no origin"),
        ("two words",): (2, "no stream decision on transaction 'two words'"),
        ("",): (2, "is no transaction id"),
        (" ",): (2, "is no transaction id"),
        ("é" * 500,): (2, "is no transaction id"),
        (gone.transaction_id,): (3, "2025-01-01-000000000000"),
        ("cut",): (4, "bytes of features"),
        (one.transaction_id, "--models", "nowhere"): (3, "no longer in"),
    }
    for arguments, (code, words) in cases.items():
        done = replay(*arguments)
        assert (done.code, words in done.sentence) == (code, True), (arguments, done.err)

    scorer = f"ecommerce/versions/{bundle.version}/scorer.json"
    open_objects(f"s3://{resources.models_bucket}").put(scorer, files["scorer.json"] + b" ")
    done = replay(one.transaction_id)
    assert (done.code, "scorer.json is not what its manifest says" in done.sentence) == (4, True), done.err


def test_a_row_that_somebody_has_emptied_is_said_to_be_so(resources: Settings, bundle: Bundle, replay: Any) -> None:
    row = {"transaction_id": {"S": "T1"}, "origin": {"S": "stream"}, "score": {"N": "0.5"}}
    client("dynamodb").put_item(TableName=resources.decisions_table, Item=row)
    done = replay("T1")
    assert (done.code, "not as it was written" in done.sentence) == (4, True), done.err

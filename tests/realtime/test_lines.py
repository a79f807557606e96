"""JSON lines through the function's code, and the function beside stream and backfill: equal positions, equal bits."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.decision import Decision
from fraudline.microbatch.batches import MicroBatches
from fraudline.microbatch.values import Outcome, View
from fraudline.model.bundle import Bundle
from fraudline.profiles import StoredProfile, decode_history
from fraudline.realtime.decide import Decider, Stored
from fraudline.realtime.lines import score_lines
from fraudline.realtime.ports import Recorded
from fraudline.stream import Batch, Intent, Record, Shard, position_of
from fraudline.transactions.transaction import Transaction
from tests.realtime.bundles import Files, population, version_of
from tests.realtime.conftest import Run
from tests.realtime.events import a_transaction

ALL = Shard("shardId-000000000000", 0, 2**128 - 1)
LATE = 4_000_000_000_000_000


class StreamsProfiles:
    """The profiles a stream has written, as both paths read them."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredProfile] = {}

    def look_up(self, decider: Decider, transactions: Sequence[Transaction], seconds: float) -> list[Stored]:
        return [self._stored(transaction.entities[0]) for transaction in transactions]

    def _stored(self, user: str) -> Stored:
        profile = self.stored.get(user)
        return Stored("found", profile.position, decode_history(profile.history)) if profile else Stored("new")

    def commit(self, outcome: Outcome) -> None:
        for change in outcome.changes:
            self.stored[change.key.split("#")[1]] = StoredProfile(change.position, change.history)


class Keeping:
    """Keeps decisions by id."""

    def __init__(self) -> None:
        self.kept: dict[str, Decision] = {}

    def record(self, decisions: Sequence[Decision], seconds: float) -> Recorded:
        self.kept |= {decision.transaction_id: decision for decision in decisions}
        return Recorded()


def intent_of(records: Sequence[Record], version: str) -> Intent:
    return Intent(end=records[-1].sequence, records=len(records), model_version=version, scored_at=1)


def stream_record(number: int, data: dict[str, object]) -> Record:
    """A record that arrived after every simulated transaction."""
    return Record(str(number), position_of(str(number), ALL.id), str(data["user_id"]), LATE, msgspec.json.encode(data))


def assert_equal_bits(run: Run, bundle: Bundle, records: Sequence[dict[str, object]]) -> dict[str, Decision]:
    """The function answers each transaction just before the stream decides on it, from the same stored profiles.

    Returns the function's decisions by id.
    """
    profiles, keeping, batches = StreamsProfiles(), Keeping(), MicroBatches(bundle)
    running = run(profiles, keeping)
    for number, data in enumerate(records):
        record = stream_record(number, data)
        answer = json.loads(running.ask({"transaction_data": record.data.decode()})["body"])
        batch = Batch(ALL, (record,), intent_of((record,), bundle.version))
        reading = batches.read(batch)
        view = View({id_: profiles.stored[id_] for id_ in reading.profile_keys if id_ in profiles.stored}, {}, {})
        outcome = batches.decide(batch, reading, view)
        (theirs,), ours = outcome.decisions, keeping.kept[answer["transaction_id"]]
        assert replayed(ours) == replayed(theirs)
        assert answer["fraud_probability"].hex() == theirs.score.hex()
        profiles.commit(outcome)
    return keeping.kept


def backfilled(files: Files, records: Sequence[dict[str, object]], folder: Path) -> dict[str, dict[str, Any]]:
    """What `fraudline backfill` makes of the same records in a file, by id."""
    # The rest of this module has no need of Prefect.
    from flows.backfill import BackfillRequest, backfill

    registry = Registry(FolderObjects(folder / "models"), "ecommerce")
    registry.publish(version_of(files), files)
    path = folder / "transactions.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    request = BackfillRequest(
        contract="ecommerce",
        transactions=[str(path)],
        start=str(records[0]["timestamp"])[:10],
        end="2100-01-01",
        model=version_of(files),
        models=str(folder / "models"),
        quarantine=str(folder),
        out=str(folder / "scores.parquet"),
    )
    assert backfill.fn(request).rows == len(records)
    return {row["transaction_id"]: row for row in pq.read_table(folder / "scores.parquet").to_pylist()}


def assert_the_backfill_agrees(ours: dict[str, Decision], theirs: dict[str, dict[str, Any]]) -> None:
    assert ours.keys() == theirs.keys()
    for id_, decision in ours.items():
        row = theirs[id_]
        assert (decision.score.hex(), decision.is_fraud) == (row["score"].hex(), bool(row["is_fraud"]))


def replayed(decision: Decision) -> tuple[object, ...]:
    """All of a decision that does not tell the path it was made on."""
    d = decision
    return (
        d.score.hex(),
        d.features,
        d.effective_time,
        d.profile_position,
        d.reasons,
        d.is_fraud,
        d.entities,
        d.digest,
    )


def test_function_stream_and_backfill_give_the_same_bits(
    run: Run, files: Files, bundle: Bundle, tmp_path: Path
) -> None:
    ours = assert_equal_bits(run, bundle, population())
    assert_the_backfill_agrees(ours, backfilled(files, population(), tmp_path))


@pytest.mark.long
def test_function_stream_and_backfill_give_the_same_bits_for_fifty_thousand(
    run: Run, files: Files, bundle: Bundle, tmp_path: Path
) -> None:
    records = population(2_600)
    assert len(records) >= 50_000
    ours = assert_equal_bits(run, bundle, records)
    assert_the_backfill_agrees(ours, backfilled(files, records, tmp_path))


def test_lines_get_the_streams_scores_as_if_they_had_been_streamed(bundle: Bundle) -> None:
    records = population()
    batches = MicroBatches(bundle)
    one = [stream_record(number, data) for number, data in enumerate(records)]
    batch = Batch(ALL, tuple(one), intent_of(one, bundle.version))
    decisions = batches.decide(batch, batches.read(batch), View({}, {}, {})).decisions
    answers = list(score_lines(bundle, (record.data for record in one)))
    assert [answer["fraud_probability"].hex() for answer in answers] == [d.score.hex() for d in decisions]
    assert [list(answer["reasons"]) for answer in answers] == [list(d.reasons) for d in decisions]
    assert any(d.is_fraud for d in decisions)


def test_a_flagged_line_says_why_and_no_other_does(bundle: Bundle) -> None:
    answers = list(score_lines(bundle, map(json.dumps, population())))
    assert {(answer["is_fraud"], bool(answer["reasons"])) for answer in answers} == {(1, True), (0, False)}


def test_lines_are_numbered_refused_and_copied_as_the_stream_would(bundle: Bundle) -> None:
    data = a_transaction()
    lines = [json.dumps(data), "", "{", json.dumps(data), json.dumps({**data, "amount": 1.23})]
    first, broken, copy, conflict = score_lines(bundle, lines)
    assert [answer["line"] for answer in (first, broken, copy, conflict)] == [1, 3, 4, 5]
    assert [answer["status"] for answer in (first, broken, copy, conflict)] == [200, 400, 200, 409]
    assert copy["fraud_probability"] == first["fraud_probability"]
    assert (first["profile"], copy["profile"]) == ("new", "recorded")

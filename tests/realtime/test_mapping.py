"""The second opinion on the stream, driven as Lambda drives it: nothing is lost, and nothing blocks a shard."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudline.decision import Decision
from fraudline.realtime.decide import Decider, Stored
from fraudline.realtime.function import STREAM_SECONDS
from fraudline.realtime.ports import Recorded
from fraudline.transactions.transaction import Transaction
from tests.realtime.conftest import Run, Running
from tests.realtime.events import a_transaction, kinesis_record
from tests.realtime.mapping import Mapping, Record, sequence_of

COUNT = 20


class Flaky:
    """Profiles and a table of decisions that fail by plan: `reads` and `writes` tell for each call what fails."""

    def __init__(self, reads: Sequence[bool] = (), writes: Sequence[frozenset[int]] = ()) -> None:
        self._reads = iter(reads)
        self._writes = iter(writes)
        self.kept: list[str] = []

    def look_up(self, decider: Decider, transactions: Sequence[Transaction], seconds: float) -> list[Stored]:
        if next(self._reads, False):
            raise TimeoutError
        return [Stored("new")] * len(transactions)

    def record(self, decisions: Sequence[Decision], seconds: float) -> Recorded:
        failing = next(self._writes, frozenset())
        lost = frozenset(d.transaction_id for n, d in enumerate(decisions) if n in failing)
        self.kept += [
            d.transaction_id for d in decisions if d.transaction_id not in lost and d.transaction_id not in self.kept
        ]
        return Recorded(failed=lost)


def ids(*numbers: int) -> list[str]:
    return [str(a_transaction(number)["transaction_id"]) for number in numbers]


def records(count: int = COUNT, **damaged: bytes) -> list[Record]:
    """Good records, those under a name such as `at_7` damaged."""
    datas = [json.dumps(a_transaction(number)).encode() for number in range(count)]
    for name, data in damaged.items():
        datas[int(name.removeprefix("at_"))] = data
    return [kinesis_record(data, f"{number:056d}") for number, data in enumerate(datas)]


def numbers(sequences: Sequence[str]) -> list[int]:
    return [int(sequence) for sequence in sequences]


def test_a_record_that_is_no_transaction_is_counted_and_never_delivered_again(run: Run) -> None:
    world = Flaky()
    running = run(world, world)
    mapping = Mapping(running.ask)
    mapping.drain(records(at_3=b"\xff", at_7=b'{"amount": 1}', at_19=b""))
    assert world.kept == ids(*(n for n in range(COUNT) if n not in (3, 7, 19)))
    assert (len(mapping.calls), mapping.discarded) == (1, [])
    assert running.last["Refused"] == 3


@pytest.mark.parametrize("arrived", [float("nan"), float("inf"), None, "now"])
def test_a_record_that_does_not_say_when_it_arrived_is_taken_as_of_now(run: Run, arrived: object) -> None:
    record = records(1)[0]
    record["kinesis"]["approximateArrivalTimestamp"] = arrived
    world = Flaky()
    assert run(world, world).ask({"Records": [record]}) == {"batchItemFailures": []}
    assert world.kept == ids(0)


def test_a_record_the_scorer_fails_on_ends_alone_where_failures_are_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Flaky()
    running = run(world, world)
    poison(running, monkeypatch)
    mapping = Mapping(running.ask)
    mapping.drain(records(at_7=json.dumps(a_transaction(7, amount=66.66)).encode()))
    assert [numbers(batch) for batch in mapping.discarded] == [[7]]
    assert sorted(world.kept) == sorted(ids(*(n for n in range(COUNT) if n != 7)))


def test_without_bisecting_the_others_of_a_failing_batch_are_kept_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Flaky()
    running = run(world, world)
    poison(running, monkeypatch)
    Mapping(running.ask, bisect=False).drain(records(at_0=json.dumps(a_transaction(0, amount=66.66)).encode()))
    assert sorted(world.kept) == sorted(ids(*range(1, COUNT)))


def poison(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the scorer fail on an amount of 66.66."""
    decider = running.models.current
    assert decider is not None
    score = decider.bundle.scorer.score

    def fail(features: Sequence[float]) -> float:
        if features[0] == 66.66:
            raise ArithmeticError
        return score(features)

    monkeypatch.setattr(decider.bundle.scorer, "score", fail)


def test_an_outage_of_the_profiles_delays_the_stream_and_loses_nothing(run: Run) -> None:
    world = Flaky(reads=[True, True, True])
    mapping = Mapping(run(world, world).ask)
    mapping.drain(records())
    assert sorted(world.kept) == sorted(ids(*range(COUNT)))
    assert mapping.discarded == []


def test_on_the_stream_no_decision_is_kept_that_knew_no_history(run: Run) -> None:
    world = Flaky(reads=[True])
    answer = run(world, world).ask({"Records": records(3)})
    assert numbers([item["itemIdentifier"] for item in answer["batchItemFailures"]]) == [0, 1, 2]
    assert world.kept == []


class Timed(Flaky):
    """Notes how long it may take."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def look_up(self, decider: Decider, transactions: Sequence[Transaction], seconds: float) -> list[Stored]:
        self.seconds.append(seconds)
        return super().look_up(decider, transactions, seconds)

    def record(self, decisions: Sequence[Decision], seconds: float) -> Recorded:
        self.seconds.append(seconds)
        return super().record(decisions, seconds)


def test_the_stream_waits_for_history_and_table_longer_than_any_shop_would(run: Run) -> None:
    world = Timed()
    running = run(world, world)
    running.ask({"transaction_data": a_transaction(1)})
    running.ask({"Records": records(3)})
    assert world.seconds == [0.1, 0.05, STREAM_SECONDS, STREAM_SECONDS]


def test_a_decision_that_could_not_be_kept_is_delivered_again_from_there(run: Run) -> None:
    world = Flaky(writes=[frozenset({12})])
    mapping = Mapping(run(world, world).ask)
    mapping.drain(records())
    assert [numbers(call)[0] for call in mapping.calls] == [0, 12]
    assert sorted(world.kept) == sorted(ids(*range(COUNT)))


class Late(Flaky):
    """Of the first call it does not know by the end of its time what became of the second decision."""

    def record(self, decisions: Sequence[Decision], seconds: float) -> Recorded:
        if self.kept:
            return super().record(decisions, seconds)
        super().record(decisions[:1], seconds)
        return Recorded(late=frozenset({decisions[1].transaction_id}))


def test_a_decision_that_may_not_be_kept_is_delivered_again(run: Run) -> None:
    world = Late()
    answer = run(world, world).ask({"Records": records(3)})
    assert numbers([item["itemIdentifier"] for item in answer["batchItemFailures"]]) == [1]


def test_records_wait_for_a_model(run: Run) -> None:
    world = Flaky()
    running = run(world, world, model=False)

    def ask(event: object) -> object:
        response = running.ask(event)
        running.models.refresh()
        return response

    Mapping(ask).drain(records())
    assert sorted(world.kept) == sorted(ids(*range(COUNT)))


def test_profiles_are_left_as_they_are(run: Run, decider: Decider) -> None:
    transaction = decider.validator.validate(a_transaction())
    assert isinstance(transaction, Transaction)
    history = decider.online.new_history()
    decider.online.count(history, transaction, transaction.timestamp)
    before = str(history)

    class Shared(Flaky):
        def look_up(self, decider: Decider, transactions: Sequence[Transaction], seconds: float) -> list[Stored]:
            return [Stored("found", "0", history)] * len(transactions)

    world = Shared()
    Mapping(run(world, world).ask).drain(records())
    assert str(history) == before


@given(
    reads=st.lists(st.booleans(), max_size=4),
    writes=st.lists(st.frozensets(st.integers(0, COUNT), max_size=3), max_size=4),
    batch_size=st.integers(1, COUNT),
    bisect=st.booleans(),
)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_fails_for_a_while_every_record_is_kept_in_the_end(
    run: Run, reads: list[bool], writes: list[frozenset[int]], batch_size: int, bisect: bool
) -> None:
    world = Flaky(reads, writes)
    mapping = Mapping(run(world, world).ask, batch_size, max_retries=20, bisect=bisect)
    mapping.drain(records())
    assert sorted(world.kept) == sorted(ids(*range(COUNT)))
    assert mapping.discarded == []
    assert sequence_of(records()[-1]) in mapping.calls[-1]

"""AWS on a bad day: throttles, dropped connections, half answers, silence. Deadlines hold, nothing is lost unheard."""

import socket
import time
from concurrent.futures import wait

import msgspec
import pytest

from fraudline.adapters.tables.decisions import Decisions
from fraudline.contract import load_contract
from fraudline.decision import Decision, Item, decision_item
from fraudline.errors import Unavailable
from fraudline.realtime import aws
from fraudline.realtime import recorder as module
from fraudline.realtime.aws import Refused, Service, place_of
from fraudline.realtime.config import config_from
from fraudline.realtime.decide import Decider, Stored
from fraudline.realtime.dynamodb import DynamoDB, Wanted
from fraudline.realtime.ports import Recorded
from fraudline.realtime.profiles import StoredProfiles
from fraudline.realtime.recorder import MOST_WAITING, DecisionRecorder
from fraudline.transactions.transaction import Transaction
from tests.realtime.conftest import Run
from tests.realtime.events import a_transaction
from tests.realtime.servers import Server, Step, answer, answer_and_close, cut, drip, drop, scripted, silence

THROTTLED = answer(400, {"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"})
SHOP = load_contract("ecommerce")
EMPTY = answer(200, {"Responses": {}, "UnprocessedKeys": {}})
KEPT = answer(200, {})
# What a busy machine may add; the sockets alone would wait for two seconds.
BUSY = 1.5
WANTED = [Wanted("t", {"entity": {"S": "a"}}), Wanted("t", {"entity": {"S": "b"}})]


def slowly(step: Step) -> Step:
    """The same a fifth of a second later."""

    def later(connection: socket.socket) -> bool:
        time.sleep(0.2)
        return step(connection)

    return later


def service(server: Server) -> Service:
    environment = {"AWS_ENDPOINT_URL": server.endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    return Service(place_of("dynamodb", environment))


def dynamodb(server: Server) -> DynamoDB:
    return DynamoDB(service(server))


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def transaction(decider: Decider) -> Transaction:
    transaction = decider.validator.validate(a_transaction())
    assert isinstance(transaction, Transaction)
    return transaction


@pytest.fixture
def decision(decider: Decider, transaction: Transaction) -> Decision:
    return decider.decide(transaction, Stored("new"), 1)


# Where AWS is


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({"AWS_REGION": "eu-west-1"}, "https://dynamodb.eu-west-1.amazonaws.com"),
        ({"AWS_REGION": "cn-north-1"}, "https://dynamodb.cn-north-1.amazonaws.com.cn"),
        ({"AWS_ENDPOINT_URL": "http://h:1"}, "http://h:1"),
        ({"AWS_ENDPOINT_URL": "http://h:1", "AWS_ENDPOINT_URL_DYNAMODB": "http://h:2"}, "http://h:2"),
    ],
)
def test_a_service_is_where_awss_own_variables_say(environment: dict[str, str], endpoint: str) -> None:
    assert place_of("dynamodb", environment).endpoint == endpoint


# Connections


def test_a_connection_is_used_again() -> None:
    with scripted([EMPTY] * 3) as server:
        client = service(server)
        for _ in range(3):
            client.send("POST", body=b"{}")
    assert server.connections == 1


def test_a_connection_that_was_closed_while_it_was_idle_is_opened_again() -> None:
    with scripted([answer_and_close(200, {}), EMPTY]) as server:
        client = service(server)
        client.send("POST", body=b"{}")
        client.send("POST", body=b"{}")
    assert server.connections == 2


def test_a_connection_that_was_idle_for_long_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "IDLE_SECONDS", 0.0)
    with scripted([EMPTY] * 2) as server:
        client = service(server)
        client.send("POST", body=b"{}")
        client.send("POST", body=b"{}")
    assert server.connections == 2


def test_no_answer_is_told_without_what_was_sent() -> None:
    with scripted([]) as server, pytest.raises(Unavailable, match="dynamodb did not answer") as caught:
        service(server).send("POST", body=b'{"secret": 1}')
    assert "secret" not in str(caught.value)


def test_an_answer_that_was_cut_off_is_none() -> None:
    with scripted([cut(b'{"Responses": {')], otherwise=EMPTY) as server:
        client = service(server)
        with pytest.raises(Unavailable, match=r"did not answer \(IncompleteRead\)"):
            client.send("POST", body=b"{}")
        assert b"Responses" in client.send("POST", body=b"{}")


def test_a_connection_on_which_an_answer_never_came_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "SOCKET_SECONDS", 0.2)
    with scripted([silence], otherwise=EMPTY) as server:
        client = service(server)
        with pytest.raises(Unavailable, match=r"did not answer \(TimeoutError\)"):
            client.send("POST", body=b"{}")
        assert b"Responses" in client.send("POST", body=b"{}")


def test_an_answer_that_comes_a_byte_at_a_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "SOCKET_SECONDS", 0.5)
    with scripted([drip]) as server, pytest.raises(Unavailable, match=r"did not answer \(TimeoutError\)"):
        service(server).send("POST", body=b"{}")


# Reading


def test_keys_that_were_not_processed_are_read_again_alone() -> None:
    left = {"t": {"Keys": [{"entity": {"S": "b"}}], "ConsistentRead": True}}
    half = answer(200, {"Responses": {"t": [{"entity": {"S": "a"}}]}, "UnprocessedKeys": left})
    rest = answer(200, {"Responses": {"t": [{"entity": {"S": "b"}}]}})
    with scripted([half, rest]) as server:
        found = dynamodb(server).read(WANTED, soon())
    assert found == {"t": [{"entity": {"S": "a"}}, {"entity": {"S": "b"}}]}
    assert server.requests[1]["RequestItems"] == left


def test_a_throttle_is_waited_out() -> None:
    with scripted([THROTTLED, THROTTLED, EMPTY]) as server:
        assert dynamodb(server).read(WANTED, soon()) == {"t": []}


def test_throttles_beyond_the_deadline_are_unavailable() -> None:
    with scripted([], otherwise=THROTTLED) as server:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            dynamodb(server).read(WANTED, soon(0.2))
    assert time.monotonic() - started < 0.2 + BUSY


@pytest.mark.parametrize("bad", [THROTTLED, answer(503, {})])
def test_a_table_that_can_take_no_more_is_asked_ever_less_often(bad: Step) -> None:
    """As boto3 does: at an even hundred a second, each thread of each copy kept the throttled table throttled."""
    with scripted([], otherwise=bad) as server, pytest.raises(Unavailable):
        dynamodb(server).put_if_absent("t", {"a": {"S": "b"}}, "a", soon(2.0))
    assert 2 <= len(server.requests) <= 25


def test_a_refusal_is_not_tried_again() -> None:
    with scripted([answer(400, {"__type": "x#AccessDeniedException"})]) as server:
        with pytest.raises(Refused, match="dynamodb answered 400"):
            dynamodb(server).read(WANTED, soon())
        assert len(server.requests) == 1


def test_over_a_hundred_keys_are_read_in_several_calls() -> None:
    with scripted([EMPTY] * 3) as server:
        dynamodb(server).read([Wanted("t", {"entity": {"S": str(n)}}) for n in range(250)], soon())
    assert [len(request["RequestItems"]["t"]["Keys"]) for request in server.requests] == [100, 100, 50]


def test_profiles_and_the_streams_decision_come_in_one_strongly_consistent_read(
    decider: Decider, transaction: Transaction
) -> None:
    with scripted([EMPTY]) as server:
        stored = StoredProfiles(dynamodb(server), "p", "d").look_up(decider, [transaction, transaction], 5.0)
    assert stored == [Stored("new"), Stored("new")]
    (request,) = server.requests
    assert request["RequestItems"] == {
        "p": {"ConsistentRead": True, "Keys": [{"entity": {"S": decider.profile_keys(transaction)[0]}}]},
        "d": {
            "ConsistentRead": True,
            "Keys": [{"transaction_id": {"S": transaction.id}, "origin": {"S": "stream"}}],
        },
    }


# Deadlines


def test_why_profiles_were_not_read_is_told(run: Run) -> None:
    with scripted([], otherwise=answer(400, {"__type": "x#AccessDeniedException"})) as server:
        running = run(StoredProfiles(dynamodb(server), "p", "d"), profile_deadline_ms="5000")
        running.score(a_transaction())
    (warning,) = (line for line in running.lines if line["level"] == "WARNING")
    assert warning["ProfileReadsFailed"] == 1
    assert "dynamodb answered 400 AccessDeniedException" in warning["error"]


@pytest.mark.parametrize("step", [silence, drip, THROTTLED, drop])
def test_an_answer_never_waits_for_profiles_beyond_the_deadline(run: Run, decider: Decider, step: Step) -> None:
    with scripted([], otherwise=step) as server:
        running = run(StoredProfiles(dynamodb(server), "p", "d"), profile_deadline_ms="200")
        started = time.monotonic()
        body = running.score(a_transaction())
        taken = time.monotonic() - started
    assert body["profile"] == "missing"
    assert taken < 0.2 + BUSY


def test_a_name_that_does_not_resolve_is_no_hang(run: Run) -> None:
    place = place_of("dynamodb", {"AWS_ENDPOINT_URL": "http://nowhere.invalid"})
    running = run(StoredProfiles(DynamoDB(Service(place)), "p", "d"), profile_deadline_ms="200")
    assert running.score(a_transaction())["profile"] == "missing"


def test_one_silent_answer_does_not_cost_the_next_its_history(run: Run) -> None:
    with scripted([silence], otherwise=EMPTY) as server:
        running = run(StoredProfiles(dynamodb(server), "p", "d"), profile_deadline_ms="300")
        assert running.score(a_transaction())["profile"] == "missing"
        assert running.score(a_transaction())["profile"] == "new"


# Recording


def test_a_decision_is_put_only_where_there_is_none(decision: Decision) -> None:
    with scripted([KEPT]) as server:
        recorded = DecisionRecorder(dynamodb(server), "d").record([decision], 5.0)
    assert not recorded.failed | recorded.late
    (request,) = server.requests
    assert request["ConditionExpression"] == "attribute_not_exists(#key)"
    assert request["Item"]["origin"] == {"S": "realtime"}


@pytest.mark.parametrize("days", [None, 30])
def test_a_decision_at_checkout_is_kept_as_long_as_one_of_the_stream(decision: Decision, days: int | None) -> None:
    variables = {"FRAUDLINE_DECISIONS_KEEP_DAYS": str(days or "")}
    with scripted([KEPT]) as server:
        DecisionRecorder(dynamodb(server), "d", config_from(variables).keep_days).record([decision], 5.0)
    item = decision_item(decision, Decisions(None, "d", SHOP, days).expires_at(decision.scored_at))  # type: ignore[arg-type]
    assert server.requests[0]["Item"].get("expires_at") == item.get("expires_at")
    assert ("expires_at" in item) == bool(days)


def test_a_decision_that_is_there_already_is_kept_and_no_failure(decision: Decision) -> None:
    refused = answer(400, {"__type": "x#ConditionalCheckFailedException"})
    with scripted([refused]) as server:
        recorded = DecisionRecorder(dynamodb(server), "d").record([decision], 5.0)
    assert not recorded.failed | recorded.late


def test_a_slow_table_delays_an_answer_by_the_budget_only_and_is_told(decision: Decision) -> None:
    with scripted([], otherwise=silence) as server:
        started = time.monotonic()
        recorded = DecisionRecorder(dynamodb(server), "d").record([decision], 0.1)
        taken = time.monotonic() - started
    assert recorded.late == {decision.transaction_id}
    assert taken < 0.1 + BUSY


def test_a_write_that_was_cut_off_is_tried_again(decision: Decision) -> None:
    with scripted([drop, KEPT]) as server:
        recorded = DecisionRecorder(dynamodb(server), "d").record([decision], 5.0)
        assert not recorded.failed | recorded.late
        assert len(server.requests) == 2


def test_a_table_that_refuses_every_write_is_a_failure_that_is_told(decision: Decision) -> None:
    with scripted([], otherwise=answer(400, {"__type": "x#AccessDeniedException"})) as server:
        recorded = DecisionRecorder(dynamodb(server), "d").record([decision], 5.0)
    assert recorded.failed == {decision.transaction_id}
    assert recorded.errors == {
        "dynamodb answered 400 AccessDeniedException: look at its health, throttles and the function's role"
    }


def test_of_a_failure_that_is_not_ours_to_word_only_the_kind_is_told(decision: Decision) -> None:
    class Broken(DynamoDB):
        def put_if_absent(self, table: str, item: Item, key: str, deadline: float) -> bool:
            raise ValueError(f"nobody may read {decision.transaction_id}")

    with scripted([]) as server:
        recorded = DecisionRecorder(Broken(service(server)), "d").record([decision], 5.0)
    assert (recorded.failed, recorded.errors) == ({decision.transaction_id}, {"ValueError"})


def test_a_decision_that_failed_after_its_answer_is_told_with_the_next_call(decision: Decision) -> None:
    other = msgspec.structs.replace(decision, transaction_id="T2")
    refused = slowly(answer(400, {"__type": "x#AccessDeniedException"}))
    with scripted([refused] * 3, otherwise=KEPT) as server:
        recorder = DecisionRecorder(dynamodb(server), "d")
        assert recorder.record([decision], 0.01) == Recorded(late=frozenset({decision.transaction_id}))
        wait(recorder._untold, 10)
        told = recorder.record([other], 5.0)
        assert told.failed == {decision.transaction_id}
        assert "AccessDeniedException" in "".join(told.errors)
        assert recorder.record([], 5.0) == Recorded()


def test_a_decision_that_failed_after_its_answer_and_came_again_is_kept_and_no_failure(decision: Decision) -> None:
    refused = slowly(answer(400, {"__type": "x#AccessDeniedException"}))
    with scripted([refused] * 3, otherwise=KEPT) as server:
        recorder = DecisionRecorder(dynamodb(server), "d")
        assert recorder.record([decision], 0.01).late
        wait(recorder._untold, 10)
        assert recorder.record([decision], 5.0) == Recorded()


def test_while_the_table_is_down_no_more_than_some_hundred_decisions_wait_and_the_others_are_told(
    decision: Decision,
) -> None:
    many = [msgspec.structs.replace(decision, transaction_id=f"T{number}") for number in range(100)]
    with scripted([], otherwise=silence) as server:
        recorder = DecisionRecorder(dynamodb(server), "d")
        calls = [recorder.record(many, 0.01) for _ in range(20)]
    assert [len(call.late) for call in calls[:5]] == [100] * 5
    assert calls[-1].failed == {each.transaction_id for each in many}
    assert calls[-1].errors == {f"{MOST_WAITING} decisions wait to be kept already"}
    assert sum(len(call.late) for call in calls) == MOST_WAITING


def test_what_had_no_room_is_taken_again_once_there_is_some(
    decision: Decision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    first, second, third = (msgspec.structs.replace(decision, transaction_id=id_) for id_ in ("T1", "T2", "T3"))
    with scripted([], otherwise=KEPT) as server:
        recorder = DecisionRecorder(dynamodb(server), "d")
        assert recorder.record([first, second], 5.0) == Recorded()
        assert recorder.record([third], 5.0) == Recorded()

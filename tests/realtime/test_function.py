"""What a call is answered with, in every form it may have."""

import json
import re
import time
import traceback
from typing import Any

import pytest

from fraudline.decision import Decision
from fraudline.features.profile import History
from fraudline.realtime.decide import Decider, Stored
from fraudline.realtime.events import MAX_BODY_BYTES
from fraudline.realtime.ports import Recorded
from fraudline.transactions.transaction import Transaction
from tests.realtime.conftest import Run
from tests.realtime.events import a_transaction, http, http_json, kinesis, rest


class Fixed:
    """A port to profiles that finds the same for everybody."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored

    def look_up(self, decider: Decider, transactions: list[Transaction], seconds: float) -> list[Stored]:
        return [self.stored] * len(transactions)


class Failing:
    """A port to profiles that fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def look_up(self, decider: Decider, transactions: list[Transaction], seconds: float) -> list[Stored]:
        raise self.error


class Kept:
    """A recorder in memory; ids in `lost` it cannot keep."""

    def __init__(self, lost: frozenset[str] = frozenset()) -> None:
        self.decisions: list[Decision] = []
        self.lost = lost

    def record(self, decisions: list[Decision], seconds: float) -> Recorded:
        self.decisions += decisions
        return Recorded(failed=self.lost, errors=frozenset({"the table is gone"} if self.lost else ()))


def history_of(decider: Decider, data: dict[str, Any], hours: int = 1) -> History:
    """A history with one like it, so many hours earlier."""
    transaction = decider.validator.validate(data)
    assert isinstance(transaction, Transaction)
    history = decider.online.new_history()
    decider.online.count(history, transaction, transaction.timestamp - hours * 3_600_000_000)
    return history


# Decisions


def test_a_direct_call_is_answered_as_the_seed_answered_and_with_what_it_takes_to_explain_it(run: Run) -> None:
    response = run().ask({"transaction_data": a_transaction()})
    body = json.loads(response["body"])
    assert response["statusCode"] == 200
    assert list(body) == [
        *("is_fraud", "fraud_probability", "transaction_id", "threshold", "model_version", "reasons", "profile")
    ]
    assert body["is_fraud"] == int(body["fraud_probability"] >= body["threshold"])
    assert 0.0 < body["fraud_probability"] < 1.0


def test_every_form_gives_one_transaction_the_same_score(run: Run) -> None:
    running, data = run(), a_transaction()
    text = json.dumps(data)
    events = [
        {"transaction_data": data},
        {"transaction_data": text},
        http_json({"transaction_data": data}),
        http_json({"transaction_data": text}),
        http(text.join(('{"transaction_data":', "}")).encode()),
        rest(json.dumps({"transaction_data": data})),
        http_json({"transactions": [data]}),
    ]
    bodies = [json.loads(running.ask(event)["body"]) for event in events]
    answers = [body["answers"][0] if "answers" in body else body for body in bodies]
    assert len({answer["fraud_probability"] for answer in answers}) == 1


def test_a_stored_history_changes_the_score_and_is_named(run: Run, decider: Decider) -> None:
    data = a_transaction()
    found = run(Fixed(Stored("found", "0001#s", history_of(decider, data)))).score(data)
    assert found["profile"] == "found"
    assert found["fraud_probability"] != run().score(data)["fraud_probability"]


def test_a_decision_is_kept_with_the_position_its_profile_had(run: Run, decider: Decider) -> None:
    kept, data = Kept(), a_transaction()
    body = run(Fixed(Stored("found", "0001#s", history_of(decider, data))), kept).score(data)
    (decision,) = kept.decisions
    assert (decision.origin, decision.profile_position) == ("realtime", "0001#s")
    assert (decision.score, decision.model_version) == (body["fraud_probability"], body["model_version"])


def test_an_id_that_the_stream_has_decided_gets_that_decision_and_is_not_kept_again(run: Run, decider: Decider) -> None:
    data, first, second = a_transaction(), Kept(), Kept()
    run(recorder=first).score(data)
    # Whatever the profile has become since.
    body = run(Fixed(Stored("recorded", recorded=first.decisions[0])), second).score(data)
    assert body["profile"] == "recorded"
    assert body["fraud_probability"] == first.decisions[0].score
    assert second.decisions == []


def test_an_id_that_the_stream_knows_with_other_values_is_refused(run: Run) -> None:
    kept = Kept()
    run(recorder=kept).score(a_transaction())
    running = run(Fixed(Stored("recorded", recorded=kept.decisions[0])))
    response = running.ask({"transaction_data": a_transaction(amount=1.23)})
    assert response["statusCode"] == 409
    assert json.loads(response["body"])["errors"][0]["code"] == "conflicting_id"


def test_a_batch_has_an_answer_for_each_in_its_order(run: Run) -> None:
    datas = [a_transaction(n) for n in range(100)]
    datas[7] = a_transaction(7, amount=-1)
    body = json.loads(run().ask(http_json({"transactions": datas}))["body"])
    assert [item["status"] for item in body["answers"]] == [400 if n == 7 else 200 for n in range(100)]
    ids = [item.get("transaction_id") for item in body["answers"]]
    assert ids == [None if n == 7 else data["transaction_id"] for n, data in enumerate(datas)]


@pytest.mark.parametrize("bad", [b"null", b'""', b"3", b'"\xff"', b'{"user_id": "\xff"}', b"[]"])
def test_what_is_no_transaction_at_all_is_refused_alone(run: Run, bad: bytes) -> None:
    good = json.dumps(a_transaction()).encode()
    response = run().ask(http(b'{"transactions": [%b, %b]}' % (bad, good)))
    assert response["statusCode"] == 200
    assert [item["status"] for item in json.loads(response["body"])["answers"]] == [400, 200]


# What is not a decision


def test_bad_input_is_told_field_by_field(run: Run) -> None:
    response = run().ask({"transaction_data": a_transaction(amount="12", device_type="fridge", is_vpn=None)})
    errors = json.loads(response["body"])["errors"]
    assert response["statusCode"] == 400
    assert [(error["field"], error["code"]) for error in errors] == [
        ("amount", "amount_not_a_number"),
        ("device_type", "category_unknown"),
        ("is_vpn", "flag_missing"),
    ]


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        (None, 400, "not_an_object"),
        ([], 400, "not_an_object"),
        ({}, 400, "missing"),
        ({"transaction_data": None}, 400, "missing"),
        ({"transaction_data": []}, 400, "not_an_object"),
        ({"transaction_data": "{"}, 400, "not_json"),
        ({"transaction_data": "[" * 100_000}, 413, "too_large"),
        ({"transaction_data": "[" * 50_000}, 400, "not_json"),
        ({"transaction_data": "\ud800"}, 400, "not_json"),
        ({"transaction_data": '{"a": NaN}'}, 400, "not_json"),
        ({"transaction_data": a_transaction(amount=float("nan"))}, 400, "amount_not_finite"),
        ({"transaction_data": a_transaction(amount=float("inf"))}, 400, "amount_not_finite"),
        ({"transaction_data": a_transaction(amount=10**400)}, 400, "amount_out_of_range"),
        ({"transaction_data": a_transaction(timestamp="0001-01-01T00:00:00+14:00")}, 400, "timestamp_out_of_range"),
        ({"transaction_data": a_transaction(timestamp="0001-01-01T00:00:00Z")}, 400, "timestamp_out_of_range"),
        ({"transaction_data": a_transaction(timestamp="9999-12-31T23:59:59Z")}, 400, "timestamp_out_of_range"),
        ({"transaction_data": a_transaction(timestamp="2099-12-31T23:59:59Z")}, 400, "timestamp_in_future"),
        ({"transaction_data": a_transaction(transaction_id="x" * 10_000_000)}, 400, "id_malformed"),
        ({"transaction_data": a_transaction(user_id="\ud800")}, 400, "entity_malformed"),
        (http(None), 400, "not_json"),
        (http("{}"), 400, "missing"),
        (http("[]"), 400, "not_json"),
        (http("[" * 100_000), 400, "not_json"),
        (http(b"\xff\xfe"), 400, "not_json"),
        (http(b'{"transaction_data": {"user_id": "\xff"}}'), 400, "not_json"),
        (http(b'{"transaction_data": "\xff"}'), 400, "not_json"),
        (http('{"transaction_data": null}'), 400, "missing"),
        (http("%%%", base64_encoded=True), 400, "not_base64"),
        (http('{"transaction_data": {"amount": 1e400}}'), 400, "not_json"),
        (http("x" * 10_000_000), 413, "too_large"),
        (http(b"x" * 1_048_577), 413, "too_large"),
        (http("", method="GET"), 405, "method_not_allowed"),
        (rest("", method="GET"), 405, "method_not_allowed"),
        (http_json({"transactions": []}), 400, "batch_size"),
        (http_json({"transactions": [{}] * 101}), 413, "batch_size"),
        (http_json({"transactions": 3}), 400, "not_json"),
        ({"requestContext": 3, "body": 7}, 400, "not_json"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_answered_with_a_reason(run: Run, event: object, status: int, code: str) -> None:
    response = run().ask(event)
    assert (response["statusCode"], json.loads(response["body"])["errors"][0]["code"]) == (status, code)


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_may_have_as_many_bytes_as_it_says_and_not_one_more(run: Run, over: int, encoded: bool) -> None:
    body = json.dumps({"transaction_data": a_transaction()}).encode().ljust(MAX_BODY_BYTES + over)
    answer = run().ask(http(body if encoded else body.decode()))
    assert answer["statusCode"] == (413 if over else 200)


def test_of_a_key_given_twice_the_last_counts_as_everywhere_in_json(run: Run) -> None:
    data = json.dumps(a_transaction())[:-1] + ', "amount": 1.00}'
    twice = run().score(data)
    assert twice["fraud_probability"] == run().score(a_transaction(amount=1.00))["fraud_probability"]


@pytest.mark.parametrize(("setting", "is_fraud"), [({}, 0), ({"without_model": "closed"}, 1)])
@pytest.mark.parametrize("body", [{"transaction_data": {}}, {"transactions": [{}, {}]}])
def test_without_a_model_a_shop_is_told_what_to_do_and_when_to_come_back(
    run: Run, setting: dict[str, str], is_fraud: int, body: object
) -> None:
    response = run(model=False, **setting).ask(http_json(body))
    assert response["statusCode"] == 503
    assert int(response["headers"]["retry-after"]) > 0
    assert json.loads(response["body"])["is_fraud"] == is_fraud


# When something fails


@pytest.mark.parametrize("error", [TimeoutError(), ValueError("U000054 is damaged")])
def test_without_profiles_the_score_knows_no_history_and_says_so(run: Run, error: Exception) -> None:
    running, data = run(Failing(error)), a_transaction()
    body = running.score(data)
    assert body["profile"] == "missing"
    assert body["fraud_probability"] == run().score(data)["fraud_probability"]
    assert running.last["ProfileMisses"] == 1


def test_a_failing_scorer_is_one_records_503_and_its_text_is_not_logged(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run()
    decider = running.models.current
    assert decider is not None
    score = decider.bundle.scorer.score

    def fail(features: list[float]) -> float:
        if features[0] == 66.66:
            raise ArithmeticError("user U000054 has odd features")
        return score(features)

    monkeypatch.setattr(decider.bundle.scorer, "score", fail)
    datas = [a_transaction(1), a_transaction(2, amount=66.66), a_transaction(3)]
    body = json.loads(running.ask(http_json({"transactions": datas}))["body"])
    assert [item["status"] for item in body["answers"]] == [200, 503, 200]
    assert "U000054" not in running.stream.getvalue()
    assert [line["error"] for line in running.lines if line["level"] == "ERROR"] == ["ArithmeticError"]


def test_a_score_that_is_no_probability_is_no_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    running = run()
    assert running.models.current is not None
    monkeypatch.setattr(running.models.current.bundle.scorer, "score", lambda features: float("nan"))
    assert running.ask({"transaction_data": a_transaction()})["statusCode"] == 503


def test_a_decision_that_could_not_be_kept_is_still_the_answer_and_is_counted(run: Run) -> None:
    data = a_transaction()
    running = run(recorder=Kept(frozenset({data["transaction_id"]})))
    assert running.ask({"transaction_data": data})["statusCode"] == 200
    assert running.last["RecordsFailed"] == 1
    assert running.last["record_errors"] == ["the table is gone"]


class Broken(Kept):
    """A recorder with a defect."""

    def record(self, decisions: list[Decision], seconds: float) -> Recorded:
        raise RuntimeError("U000054 cannot be kept")


def test_a_defect_is_a_503_that_says_what_to_do_and_no_trace(run: Run) -> None:
    running = run(recorder=Broken())
    response = running.ask({"transaction_data": a_transaction()})
    assert (response["statusCode"], json.loads(response["body"])["is_fraud"]) == (503, 0)
    assert running.last["Defects"] == 1
    assert re.fullmatch(r"test_function\.py:\d+, record", running.last["place"])
    assert "U000054" not in response["body"] + running.stream.getvalue()


def test_a_defect_fails_a_batch_of_the_stream_so_that_it_comes_again(run: Run) -> None:
    with pytest.raises(RuntimeError, match="the call failed") as raised:
        run(recorder=Broken()).ask(kinesis([json.dumps(a_transaction()).encode()]))
    # Which Lambda logs.
    assert "U000054" not in "".join(traceback.format_exception(raised.value))


# What is logged


def test_a_call_is_one_line_with_its_request_id_and_its_metrics(run: Run) -> None:
    running = run()
    running.ask(http_json({"transactions": [a_transaction(1), a_transaction(2, amount=-3)]}))
    line = running.last
    assert (line["request_id"], line["Kind"], line["level"]) == ("request-1", "batch", "INFO")
    assert (line["Transactions"], line["Refused"], line["refused"]) == (2, 1, {"amount_negative": 1})
    assert len(line["Score"]) == 1
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert all(metric["Name"] in line for metric in directive["Metrics"])
        assert all(dimension in line for dimension in directive["Dimensions"][0])


def test_a_line_names_the_model_that_answered_and_not_the_one_that_took_over_meanwhile(run: Run) -> None:
    running = run()

    class Replaced(Fixed):
        def look_up(self, decider: Decider, transactions: list[Transaction], seconds: float) -> list[Stored]:
            running.models.current = None
            return super().look_up(decider, transactions, seconds)

    running.function._profiles = Replaced(Stored("new"))
    version = running.score(a_transaction())["model_version"]
    assert running.last["model_version"] == version


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"transaction_data": a_transaction()}, "single"),
        (http_json({"transactions": [a_transaction()]}), "batch"),
        (kinesis([json.dumps(a_transaction()).encode()]), "stream"),
    ],
)
def test_the_time_a_shop_waits_is_a_metric_apart_from_that_of_the_streams_batches(
    run: Run, event: dict[str, Any], kind: str
) -> None:
    running = run()
    running.ask(event)
    others, time = running.last["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in time["Metrics"]] == ["Latency"]
    assert (time["Dimensions"], running.last["Kind"]) == ([["Environment", "Contract", "Kind"]], kind)
    assert others["Dimensions"] == [["Environment", "Contract"]]


def test_the_time_a_shop_waits_is_told_in_milliseconds(run: Run) -> None:
    class Slow(Fixed):
        def look_up(self, decider: Decider, transactions: list[Transaction], seconds: float) -> list[Stored]:
            time.sleep(0.05)
            return super().look_up(decider, transactions, seconds)

    running = run(Slow(Stored("new")))
    running.score(a_transaction())
    assert running.last["Latency"] >= 50


def test_metrics_say_whose_environment_they_are_of(run: Run) -> None:
    running = run()
    running.score(a_transaction())
    assert (running.last["Environment"], running.last["Contract"]) == ("test", "ecommerce")


def test_only_the_first_call_is_a_cold_start(run: Run) -> None:
    running = run()
    running.score(a_transaction(1))
    running.score(a_transaction(2))
    assert [line["ColdStarts"] for line in running.lines[-2:]] == [1, 0]


def test_scores_beyond_what_a_metric_takes_go_into_further_lines(run: Run) -> None:
    running = run()
    running.ask(kinesis(json.dumps(a_transaction(n)).encode() for n in range(250)))
    assert [len(line["Score"]) for line in running.lines[-3:]] == [100, 50, 100]
    running.ask(kinesis(json.dumps(a_transaction(n)).encode() for n in range(101)))
    assert [len(line["Score"]) for line in running.lines[-2:]] == [1, 100]


def test_no_line_tells_an_id_of_what_was_scored_or_refused(run: Run) -> None:
    running = run(Failing(TimeoutError()))
    data = a_transaction()
    for event in (
        {"transaction_data": data},
        {"transaction_data": {**data, "amount": "U000054"}},
        {"transaction_data": {**data, "timestamp": data["user_id"]}},
        http(json.dumps(data) + "broken"),
    ):
        running.ask(event)
    assert len(running.lines) >= 4
    for secret in (data["user_id"], data["transaction_id"], str(data["amount"])):
        assert secret not in running.stream.getvalue()

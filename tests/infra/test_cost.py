"""The monthly estimate: sizes are the code's own, fixed parts are Terraform's own, sums can be checked by hand."""

import ast
import io
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from statistics import mean
from typing import get_args

import msgspec
import pytest
import yaml
from prefect._vendor.croniter import croniter  # as Prefect reads a cron line

from fraudline.contract import load_contract
from fraudline.cost import bill
from fraudline.cost.deployment import DEPLOYMENTS, DEV, HOURS, PROD, SCHEDULES, Workload
from fraudline.cost.prices import PRICES as PRICE_FILE
from fraudline.cost.prices import load_prices
from fraudline.decision import Decision, Item, decision_item, digest, pack
from fraudline.errors import BadInput
from fraudline.features.online import OnlineFeatures
from fraudline.profiles import encode_history
from fraudline.realtime import telemetry
from fraudline.realtime.events import Kind
from fraudline.simulate import Population, simulate, to_records
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator

from .conftest import REPO, Plan

PRICES = load_prices()
WORKLOAD = Workload(transactions_per_second=10, users=10_000)


def dollars(estimate: bill.Estimate, service: str, what: str = "") -> float:
    return sum(line.dollars for line in estimate.lines if line.service == service and what in line.what)


def test_the_sum_is_the_sum_of_its_lines_and_says_what_prices_it_rests_on() -> None:
    estimate = bill.estimate(WORKLOAD, DEV, PRICES)
    *rows, (name, title, _, total) = bill.render(estimate)
    assert len(rows) == len(estimate.lines)
    assert (name, total) == ("sum", f"{estimate.dollars:,.2f}")
    assert PRICES.as_of.isoformat() in title
    assert abs(estimate.dollars - sum(line.dollars for line in estimate.lines)) < 1e-9


def test_a_shard_costs_its_hours() -> None:
    estimate = bill.estimate(WORKLOAD, replace(DEV, stream_shards=3), PRICES)
    assert dollars(estimate, "Kinesis", "shards") == pytest.approx(3 * 730 * 0.015)


def test_an_on_demand_stream_pays_a_kibibyte_for_the_smallest_record() -> None:
    estimate = bill.estimate(replace(WORKLOAD, record_bytes=1), PROD, PRICES)
    transactions = 10 * 730 * 3600
    assert dollars(estimate, "Kinesis", "in, rounded") == pytest.approx(transactions / 2**20 * 0.08)


def test_a_transaction_costs_its_decision_twice_its_answer_once_and_its_profile() -> None:
    small = replace(WORKLOAD, decision_bytes=1000, profile_bytes=1000, alert_share=0)
    estimate = bill.estimate(small, DEV, PRICES)
    assert dollars(estimate, "DynamoDB", "writes") == pytest.approx(10 * 730 * 3600 * (2 + 1 + 1) * 0.625 / 1e6)


def test_without_traffic_only_what_stands_there_costs() -> None:
    estimate = bill.estimate(Workload(0, 0), DEV, PRICES)
    assert dollars(estimate, "Lambda") == 0
    assert dollars(estimate, "DynamoDB") == 0
    assert estimate.dollars > 0


@pytest.mark.parametrize("field", ["transactions_per_second", "users", "decision_days", "archive_days"])
def test_more_of_anything_never_costs_less(field: str) -> None:
    more = replace(WORKLOAD, **{field: getattr(WORKLOAD, field) * 2})
    assert bill.estimate(more, PROD, PRICES).dollars > bill.estimate(WORKLOAD, PROD, PRICES).dollars


def test_the_answers_at_checkout_can_be_left_out() -> None:
    estimate = bill.estimate(replace(WORKLOAD, realtime_share=0), DEV, PRICES)
    assert dollars(estimate, "Lambda", "answers") == 0


@pytest.mark.parametrize(
    "bad", [{"transactions_per_second": -1}, {"users": float("nan")}, {"alert_share": 1.5}, {"realtime_share": -0.1}]
)
def test_an_impossible_traffic_is_refused_by_name(bad: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=next(iter(bad))):
        replace(WORKLOAD, **bad)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda text: text.replace("shard_hour = 0.015", "shard_hour = -1"), "shard_hour"),
        (lambda text: text.replace("[s3]", "[s4]"), "s4"),
        (lambda text: text.replace("as_of = 2025-07-31", "as_of = 'soon'"), "as_of"),
        (lambda text: text + "[", "Expected|Invalid"),
    ],
)
def test_a_price_file_with_a_mistake_is_refused_by_name(
    tmp_path: Path, damage: Callable[[str], str], named: str
) -> None:
    text = damage(PRICE_FILE.read_text())
    assert text != PRICE_FILE.read_text()
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(BadInput, match=named):
        load_prices(tmp_path / "prices.toml")


def test_a_price_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"prices\.toml"):
        load_prices(tmp_path / "prices.toml")


def test_every_price_is_used() -> None:
    """A price twice as high shows in the sum of one of the two deployments."""
    values = tomllib.loads(PRICE_FILE.read_text())
    base = {name: bill.estimate(WORKLOAD, d, PRICES).dollars for name, d in DEPLOYMENTS.items()}
    for group, prices in values.items():
        for name in prices if isinstance(prices, dict) else ():
            attribute = "lambda_" if group == "lambda" else group
            dearer = msgspec.structs.replace(
                PRICES,
                **{attribute: msgspec.structs.replace(getattr(PRICES, attribute), **{name: 2 * prices[name]})},
            )
            assert any(bill.estimate(WORKLOAD, d, dearer).dollars > base[which] for which, d in DEPLOYMENTS.items()), (
                f"{group}.{name}"
            )


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_what_stands_there_is_what_terraform_builds(plan_of: Callable[[str], Plan], environment: str) -> None:
    plan, deployment = plan_of(environment), DEPLOYMENTS[environment]
    (stream,) = plan.resources("aws_kinesis_stream")
    assert stream.values["stream_mode_details"][0]["stream_mode"] == deployment.stream_mode
    assert stream.values["retention_period"] == 24 * deployment.stream_days
    assert len(stream.values["shard_level_metrics"]) == 3
    if deployment.stream_mode == "PROVISIONED":
        assert stream.values["shard_count"] == deployment.stream_shards
    assert len(plan.resources("aws_nat_gateway")) == deployment.nat_gateways
    assert bool(plan.resources("aws_lambda_event_source_mapping")) == deployment.lambda_reads_stream
    assert [d.values["multi_az"] for d in plan.resources("aws_db_instance")] == [deployment.database_standby]
    assert len(plan.resources("aws_cloudwatch_metric_alarm")) == deployment.alarms
    assert plan.document["variables"]["region"]["value"] == deployment.region
    landing = plan.one('aws_s3_bucket_lifecycle_configuration.this["landing"]').values["rule"]
    assert not any(rule["expiration"] for rule in landing), "the estimate reckons with an archive kept for good"


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_alarm_on_the_bill_is_silent_in_a_month_of_the_traffic_that_it_is_set_for(environment: str) -> None:
    """Mail goes out at 80%. List prices of the region are up to a fifth above those of the estimate."""
    variables = (REPO / "infra" / f"{environment}.tfvars").read_text()
    (traffic,) = re.findall(r"# For ([\d.]+) transactions? a second of ([\d,]+) users", variables)
    (budget,) = re.findall(r"^monthly_budget_usd += (\d+)$", variables, re.MULTILINE)
    workload = Workload(float(traffic[0]), int(traffic[1].replace(",", "")))
    expected = 1.2 * bill.estimate(workload, DEPLOYMENTS[environment], PRICES).dollars
    assert expected <= 0.8 * int(budget) <= 1.25 * expected


def runs_in_four_weeks(cron: str) -> int:
    start = datetime(2026, 6, 1)
    dates = croniter(cron, start - timedelta(seconds=1))
    return sum(1 for _ in takewhile(lambda day: day < start + timedelta(days=28), dates.all_next(datetime)))


def test_the_flows_that_cost_are_those_of_prefect_yaml_at_their_sizes_and_times() -> None:
    found = {}
    for deployment in yaml.safe_load((REPO / "prefect.yaml").read_text())["deployments"]:
        if schedules := deployment.get("schedules"):
            size = deployment["work_pool"]["job_variables"]
            runs = sum(runs_in_four_weeks(schedule["cron"]) for schedule in schedules)
            name = deployment["entrypoint"].partition(":")[2]
            found[name] = (pytest.approx(runs * HOURS / (28 * 24)), size["cpu"] / 1024, size["memory"] / 1024)
    assert {flow.flow: (flow.runs, flow.cpu, flow.gigabytes) for flow in SCHEDULES} == found


def test_a_flow_costs_its_runs_times_its_minutes_times_its_size() -> None:
    estimate = bill.estimate(WORKLOAD, DEV, PRICES)
    a_minute = (4 * 0.04048 + 16 * 0.004445) / 60
    assert dollars(estimate, "Fargate", "retrain") == pytest.approx(730 / 168 * 30 * a_minute)


def test_a_build_of_lagged_entities_costs_as_much_as_there_is_to_read() -> None:
    def built(archive_days: int, lagged: bool) -> float:
        workload = replace(WORKLOAD, archive_days=archive_days, lagged_entities=lagged)
        estimate = bill.estimate(workload, PROD, PRICES)
        return dollars(estimate, "Fargate", "materialize") + dollars(estimate, "S3", "objects read")

    more = {days: built(days, True) - built(days, False) for days in (365, 3 * 365)}
    document = (REPO / "docs" / "cost.md").read_text()
    assert f"they cost {more[365]:.0f} US$ a month more once the archive is a year" in document
    assert f"and {more[3 * 365]:.0f} US$ once it is three" in document
    (size,) = {flow.cpu for flow in SCHEDULES if flow.flow == "materialize"}
    hour = replace(WORKLOAD, transactions_per_second=1.6e9 / 86400, archive_days=1, lagged_entities=True)
    assert bill.build_minutes(hour, size) == pytest.approx(60)
    assert "Beyond 1.6 billion archived transactions a build takes longer than its hour." in document


def test_every_metric_of_our_own_is_counted() -> None:
    """One for each name and dimensions: those of a call, time by what was asked, events, the champion's age."""
    calls = [
        node
        for folder in ("fraudline/realtime", "tasks")
        for path in (REPO / folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]
    events = {c.args[2].value for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "event"}  # type: ignore[attr-defined]
    events |= {c.args[1].value for c in calls if isinstance(c.func, ast.Name) and c.func.id == "emit"}  # type: ignore[attr-defined]
    by_call = {*telemetry._CALL, "Score"}
    kinds = (len(get_args(Kind)) - 1) * len(telemetry._BY_KIND)
    events |= {"Defects"}
    assert len(events | by_call) + kinds == bill.OWN_METRICS


def test_a_batch_of_the_stream_is_a_call_too() -> None:
    quiet = replace(WORKLOAD, realtime_share=0)
    read = bill.estimate(quiet, DEV, PRICES)
    assert dollars(read, "Lambda", "batches") > 0
    assert dollars(bill.estimate(quiet, replace(DEV, lambda_reads_stream=False), PRICES), "Lambda") == 0


def test_the_log_of_a_call_is_no_longer_than_reckoned() -> None:
    stream = io.StringIO()
    score = [0.12345678901234567]
    counts = (1, 0, 0, 0, 0, 0)  # transactions, and what may have gone wrong with them
    facts = telemetry.CallFacts(
        "0" * 36, "2026-11-24-0123456789abcdef", {"fresh": 1}, {}, (), "single", 7.12345, *counts, score
    )
    telemetry.Telemetry("prod", "ecommerce", stream).call(facts)
    of_lambda = 600
    assert 0.6 * bill.LOG_BYTES < len(stream.getvalue()) + of_lambda < bill.LOG_BYTES


def test_prices_of_another_region_or_of_long_ago_are_said() -> None:
    here, day = replace(DEV, region=PRICES.region), PRICES.as_of
    assert list(bill.doubts(here, PRICES, day + timedelta(days=365))) == []
    (old,) = bill.doubts(here, PRICES, day + timedelta(days=366))
    assert "more than a year old" in old
    (elsewhere,) = bill.doubts(DEV, PRICES, day)
    assert PRICES.region in elsewhere
    assert DEV.region in elsewhere


def item_bytes(item: Item) -> int:
    """A row's size as DynamoDB reckons: names, UTF-8 text, raw bytes, numbers at two digits a byte and one."""
    return sum(len(name) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: dict[str, object]) -> int:
    ((kind, content),) = value.items()
    match kind, content:
        case "S", str():
            return len(content.encode())
        case "B", bytes():
            return len(content)
        case "N", str():
            return (len(content.strip("-").replace(".", "")) + 1) // 2 + 1
        case "L", list():
            return 3 + sum(1 + _value_bytes(v) for v in content)
        case "M", dict():
            return 3 + sum(1 + len(k) + _value_bytes(v) for k, v in content.items())
    return 1


def test_the_sizes_reckoned_with_are_those_the_code_writes() -> None:
    """Measured over the last half of 200 simulated users' 45 days; the defaults are no smaller."""
    contract = load_contract("ecommerce")
    online, validator = OnlineFeatures(contract), Validator(contract)
    records = list(to_records(simulate(Population(users=200))))
    histories = {}
    decisions, profiles = [], []
    for number, record in enumerate(records):
        transaction = validator.decode(record)
        assert isinstance(transaction, Transaction)
        (user,) = transaction.entities
        history = histories.setdefault(user, online.new_history())
        computed = online.features(transaction, history)
        online.count(history, transaction, computed.effective_time)
        if number < len(records) / 2:
            continue
        profiles.append(len(encode_history(history)) + 120)  # key, position and attribute names
        decision = Decision(
            transaction_id=transaction.id,
            origin="stream",
            score=0.12345678901234567,
            is_fraud=False,
            threshold=0.5123456789012345,
            model_version="2026-11-24-0123456789abcdef",
            reasons=("amount_ratio_30d", "new_location", "count_1h"),
            event_time=transaction.timestamp,
            effective_time=computed.effective_time,
            entities={"user": user},
            amount=transaction.amount,
            features=pack(computed.features),
            position="0" * 56 + "#shardId-000000000000",
            profile_position="0" * 56 + "#shardId-000000000000",
            scored_at=transaction.timestamp,
            digest=digest(transaction),
        )
        decisions.append(item_bytes(decision_item(decision)))
    record_bytes = mean(map(len, records))
    decision_bytes = mean(decisions)
    profile_bytes = mean(profiles)
    for measured, assumed in [
        (record_bytes, WORKLOAD.record_bytes),
        (decision_bytes, WORKLOAD.decision_bytes),
        (profile_bytes, WORKLOAD.profile_bytes),
    ]:
        assert 0.6 * assumed <= measured <= assumed


def table(environment: str) -> str:
    """An estimate as docs/cost.md shows it."""
    rows = bill.render(bill.estimate(WORKLOAD, DEPLOYMENTS[environment], PRICES))
    lines = ["| service | what | how much | US$ a month |", "|---|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_documented_estimate_is_the_one_the_code_gives(environment: str) -> None:
    document = (REPO / "docs" / "cost.md").read_text()
    shown = document.split(f"<!-- {environment} -->\n")[1].split(f"<!-- /{environment} -->")[0]
    assert shown == table(environment)

"""What is built: encrypted, closed to the public, recoverable, watched, shaped as the application expects."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from fraudline.adapters.archive.history import FILES
from fraudline.adapters.archive.landing import PREFIX as ARCHIVE
from fraudline.adapters.tables import keys as tables
from fraudline.settings import Settings, load_settings

from .conftest import INFRA, REPO, Plan


@pytest.fixture(params=["dev", "prod"])
def plan(request: pytest.FixtureRequest, plan_of: Callable[[str], Plan]) -> Plan:
    return plan_of(request.param)


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("aws_kinesis_stream", "kms_key_id"),
        ("aws_sns_topic", "kms_master_key_id"),
        ("aws_cloudwatch_log_group", "kms_key_id"),
        ("aws_lambda_function", "kms_key_arn"),
        ("aws_db_instance", "kms_key_id"),
        ("aws_db_instance", "storage_encrypted"),
    ],
)
def test_everything_that_holds_data_is_encrypted_with_our_key(plan: Plan, kind: str, argument: str) -> None:
    assert plan.resources(kind)
    assert all(resource.is_set(argument) for resource in plan.resources(kind))


def test_every_table_is_encrypted_with_our_key(plan: Plan) -> None:
    for table in plan.resources("aws_dynamodb_table"):
        assert table.values["server_side_encryption"][0]["enabled"]
        assert "kms_key_arn" in table.unknown["server_side_encryption"][0]


def test_every_bucket_is_encrypted_with_our_key(plan: Plan) -> None:
    rules = plan.resources("aws_s3_bucket_server_side_encryption_configuration")
    assert len(rules) == len(plan.resources("aws_s3_bucket"))
    for configuration in rules:
        (default,) = configuration.values["rule"][0]["apply_server_side_encryption_by_default"]
        assert default["sse_algorithm"] == "aws:kms"


def test_every_queue_is_encrypted(plan: Plan) -> None:
    for queue in plan.resources("aws_sqs_queue"):
        assert queue.is_set("kms_master_key_id") or queue.values["sqs_managed_sse_enabled"], queue.address


@pytest.mark.parametrize("which", ["dev", "prod", "bootstrap"])
def test_every_bucket_is_closed_to_the_public_versioned_and_refuses_plain_http(
    plan_of: Callable[[str], Plan], which: str
) -> None:
    plan = plan_of(which)
    buckets = len(plan.resources("aws_s3_bucket"))
    blocks = plan.resources("aws_s3_bucket_public_access_block")
    switches = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    assert len(blocks) == buckets
    assert all(block.values[switch] is True for block in blocks for switch in switches)
    versioning = plan.resources("aws_s3_bucket_versioning")
    assert len(versioning) == buckets
    assert all(v.values["versioning_configuration"][0]["status"] == "Enabled" for v in versioning)
    policies = [p for address, p in plan.policies().items() if "aws_s3_bucket_policy" in address]
    assert len(policies) == buckets
    assert all(p["Statement"][0]["Condition"]["Bool"]["aws:SecureTransport"] == "false" for p in policies)


def lifecycles(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """The rules of each bucket, by its short name."""
    found = plan.resources("aws_s3_bucket_lifecycle_configuration")
    rules = {lifecycle.address.split('"')[1]: lifecycle.values["rule"] for lifecycle in found}
    assert rules.keys() == {"landing", "quarantine", "models", "reports"}
    return rules


def test_every_bucket_forgets_old_versions(plan: Plan) -> None:
    for rules in lifecycles(plan).values():
        (tidy,) = [rule for rule in rules if rule["id"] == "tidy"]
        assert tidy["noncurrent_version_expiration"][0]["noncurrent_days"] == 30


def expiring(plan: Plan) -> dict[str, set[str]]:
    """The prefixes of each bucket that expire."""
    return {
        bucket: {rule["filter"][0]["prefix"] for rule in rules if rule["expiration"]}
        for bucket, rules in lifecycles(plan).items()
    }


def test_history_is_kept_for_good(plan: Plan) -> None:
    """Profiles count all of it: what has expired offline would still count online."""
    assert expiring(plan) == {"landing": set(), "quarantine": {""}, "models": set(), "reports": set()}


def test_where_history_must_expire_the_records_of_builds_do_not(plan_of: Callable[..., Plan]) -> None:
    """They lie beside the archive, and are walked to their end."""
    assert expiring(plan_of("prod", landing_days="3650"))["landing"] == {ARCHIVE, FILES}


def test_the_databases_logs_are_written_to_groups_that_expire(plan: Plan) -> None:
    (database,) = plan.resources("aws_db_instance")
    days = {
        group.values["name"]: group.values["retention_in_days"]
        for group in plan.resources("aws_cloudwatch_log_group")
        if group.values["name"].startswith(f"/aws/rds/instance/{database.values['identifier']}/")
    }
    assert {name.rsplit("/", 1)[1] for name in days} == set(database.values["enabled_cloudwatch_logs_exports"])
    assert all(days.values())


def test_every_table_can_be_restored_to_any_second(plan: Plan) -> None:
    for table in plan.resources("aws_dynamodb_table"):
        assert table.values["point_in_time_recovery"][0]["enabled"]


def test_data_of_prod_cannot_be_deleted_by_a_mistake(prod: Plan) -> None:
    assert all(table.values["deletion_protection_enabled"] for table in prod.resources("aws_dynamodb_table"))
    assert all(database.values["deletion_protection"] for database in prod.resources("aws_db_instance"))
    assert not any(bucket.values["force_destroy"] for bucket in prod.resources("aws_s3_bucket"))


def test_dev_can_be_torn_down(dev: Plan) -> None:
    assert not any(table.values["deletion_protection_enabled"] for table in dev.resources("aws_dynamodb_table"))
    assert all(bucket.values["force_destroy"] for bucket in dev.resources("aws_s3_bucket"))


@pytest.mark.parametrize("name", ["decisions", "profiles", "leases", "labels", "erasures"])
def test_tables_have_the_keys_indexes_and_expiry_that_the_application_relies_on(plan: Plan, name: str) -> None:
    expected: tables.Table = getattr(tables, name.upper())
    table = plan.one(f'aws_dynamodb_table.this["{name}"]').values
    assert (table["hash_key"], table["range_key"]) == (expected.key.partition, expected.key.sort)
    assert {a["name"]: a["type"] for a in table["attribute"]} == expected.attributes
    assert {
        index["name"]: tuple((key["attribute_name"], key["key_type"]) for key in index["key_schema"])
        for index in table["global_secondary_index"]
    } == {index: ((key.partition, "HASH"), (key.sort, "RANGE")) for index, key in expected.indexes}
    assert [ttl["attribute_name"] for ttl in table["ttl"]] == [tables.EXPIRES_AT] * expected.expires


def test_the_stream_outlasts_a_week_of_trouble(plan: Plan) -> None:
    (stream,) = plan.resources("aws_kinesis_stream")
    assert stream.values["retention_period"] >= 7 * 24


def test_the_lambda_runs_our_handler_behind_an_alias_and_asks_callers_who_they_are(plan: Plan) -> None:
    (function,) = plan.resources("aws_lambda_function")
    assert function.values["handler"] == "fraudline.realtime.handler.handler"
    assert function.values["publish"] is True
    assert function.values["reserved_concurrent_executions"] > 0
    assert "target_arn" in function.unknown["dead_letter_config"][0]
    (url,) = plan.resources("aws_lambda_function_url")
    assert (url.values["authorization_type"], url.values["qualifier"]) == ("AWS_IAM", "live")


def test_one_poison_record_never_blocks_the_lambdas_shard(plan: Plan) -> None:
    (mapping,) = plan.resources("aws_lambda_event_source_mapping")
    assert mapping.values["function_response_types"] == ["ReportBatchItemFailures"]
    assert mapping.values["bisect_batch_on_function_error"] is True
    assert mapping.values["maximum_retry_attempts"] >= 0
    assert mapping.values["maximum_record_age_in_seconds"] > 0
    assert mapping.unknown["destination_config"][0]["on_failure"][0]["destination_arn"]


def test_nothing_is_reachable_from_the_internet(plan: Plan) -> None:
    assert not any(rule.values["cidr_ipv4"] for rule in plan.resources("aws_vpc_security_group_ingress_rule"))
    assert not any(database.values["publicly_accessible"] for database in plan.resources("aws_db_instance"))
    for service in plan.resources("aws_ecs_service"):
        assert not service.values["network_configuration"][0]["assign_public_ip"]


def test_only_egress_over_https_leaves_the_vpc(plan: Plan) -> None:
    outward = [r.values for r in plan.resources("aws_vpc_security_group_egress_rule") if r.values["cidr_ipv4"]]
    assert {(rule["from_port"], rule["to_port"]) for rule in outward} == {(443, 443)}


def test_every_alarm_tells_somebody(plan: Plan) -> None:
    alarms = plan.resources("aws_cloudwatch_metric_alarm")
    assert all("alarm_actions" in alarm.unknown or alarm.values["alarm_actions"] for alarm in alarms)
    names = {alarm.values["alarm_name"].removeprefix(f"fraudline-{which(plan)}-") for alarm in alarms}
    assert names >= {
        "stream-lag", "stream-write-throttled", "realtime-errors", "realtime-slow", "realtime-throttled",
        "realtime-without-history", "realtime-not-recorded", "realtime-failed-events",
        "alerts-undelivered", "quarantine-growing", "champion-stale",
        "worker-missing", "server-missing", "server-database-full",
    }  # fmt: skip
    assert plan.resources("aws_budgets_budget")


def test_silence_of_whatever_should_be_heard_is_an_alarm(plan: Plan) -> None:
    """A consumer that stopped reports no lag at all: missing figures are the worst ones."""
    breaching = {
        alarm.values["alarm_name"].removeprefix(f"fraudline-{which(plan)}-")
        for alarm in plan.resources("aws_cloudwatch_metric_alarm")
        if alarm.values["treat_missing_data"] == "breaching"
    }
    assert breaching == {"stream-lag", "stream-unattended", "worker-missing", "server-missing", "champion-stale"}


def test_alarms_and_graphs_look_only_at_metrics_that_the_code_writes(plan: Plan) -> None:
    ours = {
        alarm.values["metric_name"]
        for alarm in plan.resources("aws_cloudwatch_metric_alarm")
        if alarm.values["namespace"] == "Fraudline"
    }
    ours |= set(re.findall(r'\["Fraudline", "(\w+)"', (INFRA / "modules/observability/main.tf").read_text()))
    code = "".join(p.read_text() for folder in ("fraudline", "tasks", "flows") for p in (REPO / folder).rglob("*.py"))
    assert ours
    assert {metric for metric in ours if f'"{metric}"' not in code} == set()


def test_the_two_environments_of_an_account_share_no_metric(dev: Plan, prod: Plan) -> None:
    """Else a defect in dev would fire prod's alarms, and a living dev would hide that prod is silent."""
    metrics = [
        {
            (alarm.values["namespace"], alarm.values["metric_name"], tuple(sorted(alarm.values["dimensions"].items())))
            for alarm in plan.resources("aws_cloudwatch_metric_alarm")
            if alarm.values["dimensions"]
        }
        for plan in (dev, prod)
    ]
    assert metrics[0]
    assert metrics[0].isdisjoint(metrics[1])


def test_every_graph_of_our_own_metrics_is_of_one_environment() -> None:
    graphs = (INFRA / "modules/observability/main.tf").read_text().split("graphs = [")[1]
    assert graphs.count('"Fraudline", ') == graphs.count("], local.own")


def test_an_answer_is_slow_by_the_time_a_shop_waits_and_not_by_that_of_the_streams_batches(plan: Plan) -> None:
    slow = plan.one('aws_cloudwatch_metric_alarm.this["realtime-slow"]').values
    assert (slow["metric_name"], slow["dimensions"]["Kind"]) == ("Latency", "single")


def test_the_outputs_are_the_settings_that_the_application_reads(plan: Plan) -> None:
    fields = {f"FRAUDLINE_{name.upper()}" for name in Settings.model_fields}
    # The group that owns the profiles has one name everywhere; the topics' ARNs say their names.
    said = {"FRAUDLINE_CONSUMER", "FRAUDLINE_ALERTS_TOPIC", "FRAUDLINE_ALARMS_TOPIC"}
    assert set(plan.output("settings")) == fields - said


def test_the_names_it_gives_are_ones_that_the_application_accepts(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in plan.output("settings").items():
        monkeypatch.setenv(name, value)
    assert load_settings().to_environment().items() >= plan.output("settings").items()


def test_every_alarm_is_explained_in_the_runbook(prod: Plan) -> None:
    alarms = {
        a.values["alarm_name"].removeprefix("fraudline-prod-") for a in prod.resources("aws_cloudwatch_metric_alarm")
    }
    names = {"throttled" if name.startswith("throttled-") else name for name in alarms}
    text = (REPO / "docs" / "runbook.md").read_text()
    assert not {name for name in names if name not in text}


def test_an_alarm_period_is_one_that_cloudwatch_accepts(plan: Plan) -> None:
    for alarm in plan.resources("aws_cloudwatch_metric_alarm"):
        period, times = alarm.values["period"], alarm.values["evaluation_periods"]
        assert period in (10, 30) or period % 60 == 0
        assert period * times <= (7 * 86400 if period >= 3600 else 86400), alarm.address


def test_containers_get_no_secret_by_their_environment(plan: Plan) -> None:
    names = {
        variable["name"]
        for task in plan.resources("aws_ecs_task_definition")
        for container in json.loads(task.values.get("container_definitions") or "[]")
        for variable in container["environment"]
    }
    assert names
    assert not {name for name in names if name.endswith(("KEY", "PASSWORD", "AUTH_STRING"))}


def which(plan: Plan) -> str:
    return str(plan.document["variables"]["environment"]["value"])

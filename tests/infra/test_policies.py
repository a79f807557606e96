"""Who may do what: nothing by wildcard, nothing outside the boundary, and delivery can lose no data."""

import json
import re
from collections.abc import Callable

import pytest

from .conftest import INFRA, Plan, allowed, as_list

ANY_RESOURCE = re.compile(r'resources\s*=\s*\[\s*"\*"\s*\]')


@pytest.fixture(params=["dev", "prod", "bootstrap"])
def plan(request: pytest.FixtureRequest, plan_of: Callable[[str], Plan]) -> Plan:
    return plan_of(request.param)


def test_no_permission_is_given_by_a_wildcard_in_its_action(plan: Plan) -> None:
    granted = {
        action
        for policy in plan.policies().values()
        for statement in allowed(policy)
        for action in as_list(statement["Action"])
    }
    written = {
        action
        for statement in plan.written_statements()
        if statement.get("effect", {}).get("constant_value") != "Deny"
        for action in statement["actions"]["constant_value"]
    }
    assert granted
    assert written
    assert not {action for action in granted | written if "*" in action}


def test_every_statement_says_its_actions_in_the_file_itself(plan: Plan) -> None:
    assert all("constant_value" in statement["actions"] for statement in plan.written_statements())


def test_only_keys_are_used_by_policies_a_plan_cannot_show(dev: Plan) -> None:
    hidden = {r.address for r in dev.resources("aws_iam_role_policy") if not r.values.get("policy")}
    assert hidden == {
        "module.orchestration.aws_iam_role_policy.flow_key",
        "module.prefect_server[0].aws_iam_role_policy.key",
        "module.prefect_server[0].aws_iam_role_policy.password",
        "module.realtime.aws_iam_role_policy.key",
    }


def test_a_statement_over_all_resources_carries_the_reason_in_a_comment() -> None:
    found = [
        (f"{path.name}:{number + 1}", lines[number - 1].strip())
        for path in INFRA.rglob("*.tf")
        for lines in [path.read_text().splitlines()]
        for number, line in enumerate(lines)
        if ANY_RESOURCE.search(line)
    ]
    assert found
    assert not [place for place, above in found if not above.startswith("#")], "these give no reason"


def test_all_resources_are_only_named_where_the_rule_looks_for_a_reason(plan: Plan) -> None:
    """No `*` comes in by another way than the literal that the test above finds."""
    resources = [statement.get("resources", {}).get("constant_value", []) for statement in plan.written_statements()]
    over_all = [several for several in resources if "*" in several]
    assert over_all
    assert all(several == ["*"] for several in over_all)


def test_only_one_service_or_identity_provider_may_assume_each_role(plan: Plan) -> None:
    found = [policy for address, policy in plan.policies().items() if address.endswith("assume_role_policy")]
    assert found
    for policy in found:
        (statement,) = policy["Statement"]
        ((kind, who),) = statement["Principal"].items()
        assert kind in ("Service", "Federated")
        assert len(as_list(who)) == 1


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_nobody_outside_is_let_in_by_a_policy_on_a_resource(plan_of: Callable[[str], Plan], environment: str) -> None:
    found = [
        (address, statement["Principal"])
        for address, policy in plan_of(environment).policies().items()
        for statement in allowed(policy)
        if "Principal" in statement and not address.endswith("assume_role_policy")
    ]
    assert found
    for address, principal in found:
        assert principal != "*", address
        assert "*" not in as_list(principal.get("AWS", [])), address


def test_github_assumes_a_role_only_from_its_own_environment_or_a_pull_request(bootstrap: Plan) -> None:
    subjects = {
        address: statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
        for address, policy in bootstrap.policies().items()
        if address.endswith("assume_role_policy")
        for statement in policy["Statement"]
    }
    assert {address.split('"')[1]: subject for address, subject in subjects.items()} == {
        "dev-plan": "repo:acme/fraudline:pull_request",
        "prod-plan": "repo:acme/fraudline:pull_request",
        "dev-deploy": "repo:acme/fraudline:environment:dev",
        "prod-deploy": "repo:acme/fraudline:environment:prod",
    }


def test_only_main_delivers_whatever_branches_githubs_environments_let_in(bootstrap: Plan) -> None:
    branches = {
        address.split('"')[1]: policy["Statement"][0]["Condition"]["StringEquals"].get(
            "token.actions.githubusercontent.com:ref"
        )
        for address, policy in bootstrap.policies().items()
        if address.endswith("assume_role_policy")
    }
    main = "refs/heads/main"
    assert branches == {"dev-plan": None, "prod-plan": None, "dev-deploy": main, "prod-deploy": main}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_delivery_pushes_only_where_its_own_environment_pulls_from(
    plan_of: Callable[[str], Plan], bootstrap: Plan, environment: str
) -> None:
    """Else a push to dev could put in place what prod will run."""
    (pushed,) = resources_of(bootstrap, f"{environment}-deploy", "ecr:PutImage")
    assert pushed.split(":", 5)[5] == f"repository/fraudline-{environment}"
    pulled = {
        resource.split(":", 5)[5]
        for policy in plan_of(environment).policies().values()
        for statement in allowed(policy)
        if "ecr:BatchGetImage" in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }
    assert pulled == {f"repository/fraudline-{environment}"}


def actions_of_role(bootstrap: Plan, role: str) -> set[str]:
    """What a role of delivery may do, at least one thing."""
    found = {
        action
        for address, policy in bootstrap.policies().items()
        if f'"{role}-' in address and address.endswith(".policy")
        for statement in allowed(policy)
        for action in as_list(statement["Action"])
    }
    assert found, f"the plan shows no policy of {role}"
    return found


READS_DATA = {
    "dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "kinesis:GetRecords",
    "sqs:ReceiveMessage", "ssm:GetParameter", "ssm:GetParameters", "secretsmanager:GetSecretValue",
}  # fmt: skip
LOSES_DATA = {
    "dynamodb:DeleteItem", "dynamodb:DeleteTable", "dynamodb:PutItem", "dynamodb:UpdateItem",
    "kinesis:DeleteStream", "kms:DisableKey", "kms:ScheduleKeyDeletion", "rds:DeleteDBInstance",
    "s3:DeleteBucket", "s3:DeleteObjectVersion", "sqs:DeleteQueue", "sqs:PurgeQueue",
}  # fmt: skip


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_deliverys_role_has_no_action_that_reads_or_loses_data(bootstrap: Plan, environment: str) -> None:
    assert actions_of_role(bootstrap, f"{environment}-deploy").isdisjoint(READS_DATA | LOSES_DATA)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_only_task_that_delivery_may_run_has_no_role_to_touch_data_with(
    plan_of: Callable[[str], Plan], bootstrap: Plan, environment: str
) -> None:
    (runs,) = resources_of(bootstrap, f"{environment}-deploy", "ecs:RunTask")
    task = plan_of(environment).one("aws_ecs_task_definition.register")
    assert runs.split(":", 5)[5] == f"task-definition/{task.values['family']}:*"
    assert not task.is_set("task_role_arn")


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_pull_request_can_only_look(bootstrap: Plan, environment: str) -> None:
    looks = re.compile(r"\w+:(Describe|Get|List|View)\w+")
    actions = actions_of_role(bootstrap, f"{environment}-plan")
    assert all(looks.fullmatch(action) for action in actions)
    assert actions.isdisjoint(READS_DATA)


def resources_of(bootstrap: Plan, role: str, action: str) -> set[str]:
    """What a role of delivery may do `action` on."""
    return {
        resource
        for address, policy in bootstrap.policies().items()
        if f'"{role}-' in address and address.endswith(".policy")
        for statement in allowed(policy)
        if action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }


@pytest.mark.parametrize("role", ["dev-plan", "dev-deploy", "prod-plan", "prod-deploy"])
def test_the_database_is_looked_up_as_the_provider_does_it_among_all_databases(bootstrap: Plan, role: str) -> None:
    (arn,) = resources_of(bootstrap, role, "rds:DescribeDBInstances")
    assert arn.split(":", 5)[5] == "db:*"


@pytest.mark.parametrize("action", ["rds:CreateDBInstance", "rds:ModifyDBInstance"])
def test_a_database_may_have_the_option_group_that_aws_gives_it(bootstrap: Plan, action: str) -> None:
    names = {arn.split(":", 5)[5] for arn in resources_of(bootstrap, "dev-deploy", action) if ":rds:" in arn}
    assert names >= {"db:fraudline-dev-*", "og:default:postgres-*", "pg:fraudline-dev-*", "subgrp:fraudline-dev-*"}


def test_objects_are_written_and_deleted_by_delivery_only_in_the_state_bucket(bootstrap: Plan) -> None:
    resources = [
        arn
        for address, policy in bootstrap.policies().items()
        if "-deploy-" in address
        for statement in allowed(policy)
        if {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"} & set(as_list(statement["Action"]))
        for arn in as_list(statement["Resource"])
    ]
    assert resources
    assert all(":::fraudline-terraform-" in arn for arn in resources)


def test_every_role_of_a_running_part_stays_within_the_boundary(dev: Plan, bootstrap: Plan) -> None:
    boundary = bootstrap.granted("aws_iam_policy.boundary")
    granted = {
        action
        for address, policy in dev.policies().items()
        if "aws_iam_role_policy" in address
        for statement in allowed(policy)
        for action in as_list(statement["Action"])
    }
    assert granted
    assert granted <= boundary
    for role in dev.resources("aws_iam_role"):
        assert role.values["permissions_boundary"].endswith(":policy/fraudline-boundary"), role.address


def test_delivery_makes_roles_only_with_the_boundary_and_only_those_of_running_parts(
    dev: Plan, bootstrap: Plan
) -> None:
    identity = bootstrap.policies()['aws_iam_policy.github["dev-deploy-identity"].policy']
    makes = next(s for s in identity["Statement"] if "iam:CreateRole" in as_list(s["Action"]))
    assert "iam:PermissionsBoundary" in makes["Condition"]["StringEquals"]
    made = {role.values["name"] for role in dev.resources("aws_iam_role")}
    assert {arn.rsplit("/", 1)[1] for arn in makes["Resource"]} == made


def test_policies_fit_the_sizes_that_iam_allows(plan: Plan) -> None:
    most = {"aws_iam_policy": 6144, "aws_iam_role_policy": 10240}
    sizes = {
        address: (len(json.dumps(policy, separators=(",", ":"))), most[kind])
        for address, policy in plan.policies().items()
        for kind in most
        if f"{kind}." in address
    }
    assert sizes
    assert {address for address, (size, allowed_size) in sizes.items() if size > allowed_size} == set()

"""Delivery's own programs, against Lambda, CloudWatch and ECS of the emulator and a real Prefect server."""

import importlib.util
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from fraudline.adapters.aws.clients import client
from fraudline.local.emulator import Emulator

from .conftest import INFRA, Plan, run

ALARM = "realtime-errors"


def load(name: str) -> ModuleType:
    """A program of infra/delivery, which is no package."""
    spec = importlib.util.spec_from_file_location(name, INFRA / "delivery" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


shift_traffic = load("shift_traffic")
run_task = load("run_task")
register_flows = load("register_flows")


def package(answer: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("code.py", f"def handler(event, context):\n    return {answer!r}\n")
    return data.getvalue()


class Deployment:
    """A function in the emulator with versions 1 and 2, its alias on 1, and an alarm."""

    def __init__(self, function: str) -> None:
        self.functions = client("lambda")
        self.alarms = client("cloudwatch")
        self.function = function
        self.alarm = f"{function}-{ALARM}"
        self.functions.create_function(
            FunctionName=function,
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/realtime",
            Handler="code.handler",
            Code={"ZipFile": package("old")},
            Publish=True,
        )
        self.functions.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
        self.functions.update_function_code(FunctionName=function, ZipFile=package("new"), Publish=True)
        self.alarms.put_metric_alarm(
            AlarmName=self.alarm,
            Namespace="Test",
            MetricName="Errors",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
        )
        self.fire("OK")
        self.slept = 0

    def fire(self, state: str = "ALARM") -> None:
        self.alarms.set_alarm_state(AlarmName=self.alarm, StateValue=state, StateReason="test")

    def alias(self) -> tuple[str, dict[str, float]]:
        found = self.functions.get_alias(FunctionName=self.function, Name="live")
        weights = found.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        return found["FunctionVersion"], {version: float(weight) for version, weight in weights.items()}

    def shift(self, at: dict[int, Callable[[], object]] | None = None, alarms: tuple[str, ...] = ()) -> str:
        """Shift to version 2; `at` tells what happens after how many polls, instead of the time that would pass."""

        def sleep(_: float) -> None:
            self.slept += 1
            (at or {}).get(self.slept, lambda: None)()

        wish = shift_traffic.Shift(self.function, "live", "2", alarms or (self.alarm,))
        clients = shift_traffic.Clients(self.functions, self.alarms, sleep)
        previous: str = shift_traffic.shift_traffic(wish, clients)
        return previous


POLLS_A_STEP = round(shift_traffic.WATCH_SECONDS / shift_traffic.POLL_SECONDS)


@pytest.fixture
def deployment(aws: Emulator, unique: str) -> Deployment:
    return Deployment(unique)


def test_a_good_version_gets_a_tenth_of_the_calls_then_all(deployment: Deployment) -> None:
    seen: list[tuple[str, dict[str, float]]] = []
    look = {1: lambda: seen.append(deployment.alias()), POLLS_A_STEP + 1: lambda: seen.append(deployment.alias())}
    assert deployment.shift(look) == "1"
    assert seen == [("1", {"2": 0.1}), ("2", {})]
    assert deployment.alias() == ("2", {})
    assert deployment.slept == 2 * POLLS_A_STEP


@pytest.mark.parametrize("poll", [1, POLLS_A_STEP, POLLS_A_STEP + 1, 2 * POLLS_A_STEP])
def test_an_alarm_at_any_time_of_the_watch_brings_the_old_version_back(deployment: Deployment, poll: int) -> None:
    with pytest.raises(shift_traffic.RolledBack, match=deployment.alarm):
        deployment.shift({poll: deployment.fire})
    assert deployment.alias() == ("1", {})


def test_a_cancelled_delivery_brings_the_old_version_back(deployment: Deployment) -> None:
    def cancel() -> None:
        raise SystemExit("cancelled")

    with pytest.raises(SystemExit):
        deployment.shift({3: cancel})
    assert deployment.alias() == ("1", {})


def test_a_version_without_a_guard_gets_no_call(deployment: Deployment) -> None:
    with pytest.raises(LookupError, match="no alarm named"):
        deployment.shift(alarms=("misspelt",))
    assert deployment.alias() == ("1", {})


def test_an_alarm_that_fires_already_does_not_keep_its_repair_out(deployment: Deployment) -> None:
    deployment.fire()
    deployment.shift()
    assert deployment.alias() == ("2", {})


def test_a_second_delivery_in_between_is_noticed_and_the_old_version_comes_back(deployment: Deployment) -> None:
    def other() -> None:
        deployment.functions.update_alias(
            FunctionName=deployment.function, Name="live", FunctionVersion="1", Description="by somebody else"
        )

    with pytest.raises(deployment.functions.exceptions.PreconditionFailedException):
        deployment.shift({2: other})
    assert deployment.alias() == ("1", {})


def test_a_version_that_answers_already_is_left_alone(deployment: Deployment) -> None:
    deployment.shift()
    deployment.slept = 0
    assert deployment.shift() == "2"
    assert deployment.slept == 0


def test_terraforms_output_says_what_to_shift(dev: Plan) -> None:
    """The plan knows the names; ids are filled in as AWS would."""
    written = {"function_name": "f", "alias": "live", "version": "7", "canary_alarms": ["a", "b"], "url": "u"}
    outputs = dev.document["configuration"]["root_module"]["outputs"]
    assert set(written) <= set(realtime_names(outputs))
    assert shift_traffic.shift_of(written) == shift_traffic.Shift("f", "live", "7", ("a", "b"))


def realtime_names(outputs: dict[str, Any]) -> set[str]:
    references = outputs["realtime"]["expression"]["references"]
    return {reference.rsplit(".", 1)[1] for reference in references}


@pytest.fixture
def place(aws: Emulator, unique: str) -> Any:
    """A cluster of this test's own, with the task definition of registering."""
    ecs = client("ecs")
    ecs.create_cluster(clusterName=unique)
    definition = ecs.register_task_definition(
        family="fraudline-dev-register",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "prefect", "image": "fraudline", "essential": True}],
    )
    arn = definition["taskDefinition"]["taskDefinitionArn"]
    return run_task.Place(unique, arn, ["subnet-1"], "sg-1", "/ecs/fraudline-dev")


def test_a_task_that_ends_well_is_waited_for(place: Any) -> None:
    ecs, waits = client("ecs"), 0

    def end_after_three_waits(_: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            for task in ecs.list_tasks(cluster=place.cluster)["taskArns"]:
                ecs.stop_task(cluster=place.cluster, task=task)

    run_task.run_task(["python", "infra/delivery/register_flows.py"], place, ecs, end_after_three_waits)
    assert waits == 3


def forgetful(answers: int) -> Any:
    """A client of ECS that does not know a task yet in its first `answers`, as AWS's may."""
    ecs, given = client("ecs"), 0

    def forget(parsed: dict[str, Any], **_: Any) -> None:
        nonlocal given
        given += 1
        if given <= answers:
            parsed.update(tasks=[], failures=[{"arn": "task", "reason": "MISSING"}])

    ecs.meta.events.register("after-call.ecs.DescribeTasks", forget)
    return ecs


def test_a_task_that_ecs_does_not_know_yet_is_waited_for(place: Any) -> None:
    ecs = forgetful(answers=12)
    waits = 0

    def end_at_last(_: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 13:
            for task in ecs.list_tasks(cluster=place.cluster)["taskArns"]:
                ecs.stop_task(cluster=place.cluster, task=task)

    run_task.run_task(["true"], place, ecs, end_at_last)
    assert waits == 13


def test_a_task_that_ecs_never_gets_to_know_fails_the_delivery(place: Any) -> None:
    with pytest.raises(run_task.TaskFailed, match="ECS does not know"):
        run_task.run_task(["true"], place, forgetful(answers=13), lambda _: None)


def test_a_task_that_hangs_fails_the_delivery_and_says_where_its_words_are(place: Any) -> None:
    with pytest.raises(run_task.TaskFailed, match="still runs after 900 s: see log group /ecs/fraudline-dev"):
        run_task.run_task(["sleep", "infinity"], place, client("ecs"), lambda _: None)


@pytest.mark.parametrize(
    ("containers", "message"),
    [
        ([{"name": "prefect", "exitCode": 1, "reason": "Error"}], "exit code 1"),
        ([{"name": "prefect", "reason": "CannotPullContainerError"}], "CannotPullContainerError"),
        ([], "no space"),
    ],
)
def test_a_task_that_ended_badly_says_why(containers: list[dict[str, Any]], message: str) -> None:
    where = run_task.Place("c", "t", ["s"], "g", "/ecs/logs")
    with pytest.raises(run_task.TaskFailed, match=message):
        run_task.judge({"containers": containers, "stoppedReason": "no space"}, where)


def test_a_task_that_ended_with_zero_is_accepted() -> None:
    run_task.judge({"containers": [{"name": "prefect", "exitCode": 0}]}, run_task.Place("c", "t", ["s"], "g", "l"))


def test_the_flows_output_is_what_the_task_runner_reads(dev: Plan) -> None:
    references = dev.document["configuration"]["root_module"]["outputs"]["flows"]["expression"]["references"]
    assert len([r for r in references if r.count(".") == 2]) == len(run_task.Place.__dataclass_fields__)


DEPLOY = {
    "DEPLOY_WORK_POOL": "fraudline",
    "DEPLOY_CLUSTER": "arn:aws:ecs:eu-central-1:111122223333:cluster/fraudline-dev",
    "DEPLOY_TASK_DEFINITION": "fraudline-dev-flow",
    "DEPLOY_SUBNETS": "subnet-1,subnet-2",
    "DEPLOY_SECURITY_GROUP": "sg-1",
    "DEPLOY_CREDENTIAL_SETTING": "PREFECT_API_AUTH_STRING",
    "DEPLOY_CREDENTIAL_ARN": "arn:aws:ssm:eu-central-1:111122223333:parameter/fraudline/dev/prefect-credential",
}


def test_the_registering_task_gets_every_variable_that_registration_reads() -> None:
    main = (INFRA / "modules" / "orchestration" / "main.tf").read_text()
    assert all(f"    {name} " in main for name in DEPLOY)


def pool_template() -> dict[str, Any]:
    from prefect_aws.workers import ECSWorker

    template: dict[str, Any] = register_flows.job_template(DEPLOY, ECSWorker.get_default_base_job_template())
    return template


# In a process of its own: its Prefect server and settings shall meet no other test's.
REGISTERS = """
import asyncio, json, os, sys
sys.path.insert(0, os.environ["DELIVERY"])
import register_flows
from prefect.client.orchestration import get_client
from prefect_aws.workers import ECSWorker
from prefect_aws.workers.ecs_worker import ECSJobConfiguration

default = ECSWorker.get_default_base_job_template()
older = register_flows.job_template(dict(os.environ, DEPLOY_CLUSTER="older"), default)

async def look():
    async with get_client() as prefect:
        pool = await prefect.read_work_pool("fraudline")
        env = {"PREFECT_API_AUTH_STRING": "admin:secret", "PREFECT_API_URL": "http://prefect"}
        job = await ECSJobConfiguration.from_template_and_values(
            pool.base_job_template, {"env": env, "disk": 200}, client=prefect
        )
        deployment = await prefect.read_deployment_by_name("hello/hello")
        return {
            "type": pool.type,
            "pool": deployment.work_pool_name,
            "request": job.task_run_request,
            "secret": job.prefect_api_auth_string_secret_arn,
        }

asyncio.run(register_flows.describe_pool("fraudline", older))
assert register_flows.main() == 0
print("FOUND" + json.dumps(asyncio.run(look())))
"""


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the server holds and the worker makes of it, after registration over an older pool."""
    folder = tmp_path_factory.mktemp("registered")
    (folder / "hello.py").write_text("from prefect import flow\n\n\n@flow\ndef hello() -> None: ...\n")
    deployment = {"name": "hello", "entrypoint": "hello.py:hello", "work_pool": {"name": "fraudline"}}
    (folder / "prefect.yaml").write_text(json.dumps({"pull": [], "deployments": [deployment]}))
    environment = DEPLOY | {
        "DELIVERY": str(INFRA / "delivery"),
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = run([sys.executable, "-c", REGISTERS], folder, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.rsplit("FOUND", 1)[1])
    return found


def test_all_deployments_are_registered_in_the_one_pool(registered: dict[str, Any]) -> None:
    assert (registered["type"], registered["pool"]) == ("ecs", "fraudline")


def test_an_older_pool_is_brought_up_to_date(registered: dict[str, Any]) -> None:
    request = registered["request"]
    assert (request["cluster"], request["taskDefinition"]) == (DEPLOY["DEPLOY_CLUSTER"], "fraudline-dev-flow")


def test_the_worker_need_not_ask_ec2_where_flows_run(registered: dict[str, Any]) -> None:
    network = registered["request"]["networkConfiguration"]["awsvpcConfiguration"]
    assert network["subnets"] == ["subnet-1", "subnet-2"]
    assert network["securityGroups"] == ["sg-1"]


def test_every_job_variable_of_the_deployments_is_one_of_the_pools() -> None:
    deployments = yaml.safe_load((INFRA.parent / "prefect.yaml").read_text())["deployments"]
    asked = {variable for deployment in deployments for variable in deployment["work_pool"]["job_variables"]}
    assert asked
    assert asked <= set(pool_template()["variables"]["properties"])


def test_a_run_is_given_the_disk_it_asks_for(registered: dict[str, Any]) -> None:
    assert registered["request"]["overrides"]["ephemeralStorage"] == {"sizeInGiB": 200}


def test_a_run_that_asks_for_no_disk_gets_the_least_that_ecs_takes() -> None:
    variable = pool_template()["variables"]["properties"]["disk"]
    shape = client("ecs").meta.service_model.shape_for("TaskOverride").members["ephemeralStorage"]
    assert shape.members["sizeInGiB"].type_name == variable["type"] == "integer"
    assert variable["default"] == 21


def test_a_run_is_counted_by_the_budget_as_its_definition_is(registered: dict[str, Any]) -> None:
    """The worker's own labels say nothing of the environment, by whose tag the budget counts."""
    assert registered["request"]["propagateTags"] == "TASK_DEFINITION"


def test_deliverys_own_task_is_counted_by_the_budget_too(place: Any) -> None:
    ecs, requests = client("ecs"), []
    ecs.meta.events.register("provide-client-params.ecs.RunTask", lambda params, **_: requests.append(params))
    with pytest.raises(run_task.TaskFailed, match="still runs"):
        run_task.run_task(["true"], place, ecs, lambda _: None)
    assert [request["propagateTags"] for request in requests] == ["TASK_DEFINITION"]


def test_definitions_of_tasks_carry_the_tag_that_the_budget_counts_by(dev: Plan) -> None:
    (budget,) = dev.resources("aws_budgets_budget")
    assert budget.values["cost_filter"][0]["values"] == ["user:Environment$dev"]
    tags = dev.document["configuration"]["provider_config"]["aws"]["expressions"]["default_tags"][0]["tags"]
    assert "var.environment" in tags["references"]


def test_the_worker_does_not_pass_its_own_credential_in_clear(registered: dict[str, Any]) -> None:
    assert registered["secret"] == DEPLOY["DEPLOY_CREDENTIAL_ARN"]


def test_the_programs_read_their_files_and_say_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "flows.json").write_text(json.dumps({"cluster": "c"}))
    with pytest.raises(TypeError, match="log_group"):
        run_task.main(["--flows", str(tmp_path / "flows.json"), "--", "true"])

"""Run one command as a Fargate task in the deployment's own network, and wait for how it ends.

    python infra/delivery/run_task.py --flows FILE.json -- python infra/delivery/register_flows.py

The file holds Terraform's output `flows`. Delivery so needs neither a route to the Prefect server, which is
private, nor its credential: the task has both.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger("run_task")

CONTAINER = "prefect"  # the flow's container in its task definition
POLL_SECONDS = 5.0
LIMIT_SECONDS = 900.0
KNOWN_WITHIN_SECONDS = 60.0  # ECS may not know a task yet that it has just started


@dataclass(frozen=True)
class Place:
    """Where the task runs: Terraform's output `flows`."""

    cluster: str
    task_definition: str
    subnets: list[str]
    security_group: str
    log_group: str


class TaskFailed(Exception):
    """The task did not end well; the message says how and where its words are."""


def run_task(command: Sequence[str], place: Place, ecs: Any, sleep: Callable[[float], None] = time.sleep) -> None:
    """Run `command` and return when it has ended with 0; `TaskFailed` otherwise. `ecs` is a boto3 client."""
    task = _start(command, place, ecs)
    for poll in range(round(LIMIT_SECONDS / POLL_SECONDS)):
        found = ecs.describe_tasks(cluster=place.cluster, tasks=[task])["tasks"]
        if found and found[0]["lastStatus"] == "STOPPED":
            return judge(found[0], place)
        if not found and poll * POLL_SECONDS >= KNOWN_WITHIN_SECONDS:
            raise TaskFailed(f"ECS does not know {task}, which it has started: see log group {place.log_group}")
        sleep(POLL_SECONDS)
    raise TaskFailed(f"{task} still runs after {LIMIT_SECONDS:.0f} s: see log group {place.log_group}")


def _start(command: Sequence[str], place: Place, ecs: Any) -> str:
    answer = ecs.run_task(
        cluster=place.cluster,
        taskDefinition=place.task_definition,
        launchType="FARGATE",
        propagateTags="TASK_DEFINITION",  # the budget knows what this costs by them
        networkConfiguration={
            "awsvpcConfiguration": {"subnets": place.subnets, "securityGroups": [place.security_group]}
        },
        overrides={"containerOverrides": [{"name": CONTAINER, "command": list(command)}]},
    )
    if answer["failures"]:
        raise TaskFailed(f"the task did not start: {answer['failures'][0]['reason']}")
    return str(answer["tasks"][0]["taskArn"])


def judge(state: dict[str, Any], place: Place) -> None:
    """Accept a stopped task that ended with 0; `TaskFailed` for any other end, one before its start included."""
    container = next((c for c in state["containers"] if c["name"] == CONTAINER), {})
    if container.get("exitCode") != 0:
        reason = container.get("reason") or state.get("stoppedReason") or "no reason given"
        code = container.get("exitCode", "none")
        raise TaskFailed(f"the task ended with exit code {code} ({reason}): see log group {place.log_group}")


def main(arguments: Sequence[str] | None = None) -> int:
    import boto3

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flows", required=True, type=Path, help="Terraform's output `flows` as JSON")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    try:
        run_task(options.command, Place(**json.loads(options.flows.read_text())), boto3.client("ecs"))
    except TaskFailed as failure:
        log.error(failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

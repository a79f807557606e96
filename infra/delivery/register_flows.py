"""Describe the work pool to the Prefect server, then register all deployments of prefect.yaml in it.

Runs inside the deployment (run_task.py), where `DEPLOY_*` and the API's address are set by Terraform. The
pool is prefect-aws's own template with this deployment's places filled in, so prefect.yaml names none.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectAlreadyExists
from prefect_aws.workers import ECSWorker

SECRET_VARIABLES = {
    "PREFECT_API_KEY": "prefect_api_key_secret_arn",
    "PREFECT_API_AUTH_STRING": "prefect_api_auth_string_secret_arn",
}


def job_template(place: Mapping[str, str], template: dict[str, Any]) -> dict[str, Any]:
    """prefect-aws's `template`, its defaults set for this deployment. `place` holds the `DEPLOY_*` variables.

    The network goes into the request itself: given as a variable, the worker would look it up in EC2 and
    need the right to. Tags come from the task definition, for the budget knows what a run costs by them. The disk of
    a run's task is a variable of ours: a backfill is shuffled on it.
    """
    filled = deepcopy(template)
    defaults = {
        "cluster": place["DEPLOY_CLUSTER"],
        "task_definition_arn": place["DEPLOY_TASK_DEFINITION"],
        # The task definition gives the credential; named here, the worker does not pass its own in clear.
        SECRET_VARIABLES[place["DEPLOY_CREDENTIAL_SETTING"]]: place["DEPLOY_CREDENTIAL_ARN"],
    }
    for name, default in defaults.items():
        filled["variables"]["properties"][name]["default"] = default
    # Fargate gives 20 GiB for nothing and takes 21 as the least to ask for.
    filled["variables"]["properties"]["disk"] = {
        "title": "Disk",
        "description": "GiB of disk of a run's task, 21 to 200",
        "type": "integer",
        "default": 21,
    }
    request = filled["job_configuration"]["task_run_request"]
    request["overrides"]["ephemeralStorage"] = {"sizeInGiB": "{{ disk }}"}
    request["propagateTags"] = "TASK_DEFINITION"
    request["networkConfiguration"] = {
        "awsvpcConfiguration": {
            "subnets": place["DEPLOY_SUBNETS"].split(","),
            "securityGroups": [place["DEPLOY_SECURITY_GROUP"]],
            "assignPublicIp": "DISABLED",
        }
    }
    return filled


async def describe_pool(name: str, template: dict[str, Any]) -> None:
    """Create the pool, or bring an existing one up to date."""
    async with get_client() as client:
        try:
            await client.create_work_pool(WorkPoolCreate(name=name, type=ECSWorker.type, base_job_template=template))
        except ObjectAlreadyExists:
            await client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))


def main() -> int:
    template = job_template(os.environ, ECSWorker.get_default_base_job_template())
    asyncio.run(describe_pool(os.environ["DEPLOY_WORK_POOL"], template))
    return subprocess.run(["prefect", "--no-prompt", "deploy", "--all"], check=False).returncode  # nosec B607 # the image's own


if __name__ == "__main__":
    sys.exit(main())

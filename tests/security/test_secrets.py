"""Secrets come from the environment or from AWS, never from a file of the repository or a parameter of a flow."""

import importlib
import inspect
import re
from typing import Any

import pytest
import yaml
from prefect import Flow
from pydantic import SecretStr

from fraudline.settings import Settings
from tests.docs.reading import ROOT, tracked

NAMES = re.compile(r"secret|password|passwd|credential|api_?key|private_?key|(access|auth|bearer|session)_?token", re.I)
# What keys, tokens and passwords in an address look like.
VALUES = {
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a token of GitHub": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{22,}"),
    "a token of Slack": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "a password in an address": re.compile(r"\b[a-z][a-z0-9+]*://[^/\s:@'\"{}$<>]+:[^/\s:@'\"{}$<>]+@[\w.-]"),
    "a password in Terraform": re.compile(r"^\s*\w*(?:password|secret)\w*\s*=\s*\"[^\"$]+\"", re.MULTILINE),
}
FLOWS = sorted(path.stem for path in (ROOT / "flows").glob("*.py") if path.stem not in ("__init__", "defaults"))


def _flows() -> list[Flow[..., Any]]:
    modules = [importlib.import_module(f"flows.{name}") for name in FLOWS]
    own = {id(f): f for m in modules for f in vars(m).values() if isinstance(f, Flow)}
    return list(own.values())


def _names(schema: Any) -> set[str]:
    """Every property of a JSON schema, however deep."""
    if isinstance(schema, list):
        return {name for part in schema for name in _names(part)}
    if not isinstance(schema, dict):
        return set()
    return set(schema.get("properties", ())) | {name for part in schema.values() for name in _names(part)}


def test_no_form_of_a_flow_asks_for_a_secret() -> None:
    flows = _flows()
    assert len(flows) >= len(FLOWS)
    for flow in flows:
        names = _names(flow.parameters.model_dump()) | set(inspect.signature(flow.fn).parameters)
        assert [name for name in names if NAMES.search(name)] == [], flow.name


def test_no_deployment_carries_a_secret() -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    told = [str((d.get("parameters"), d["work_pool"].get("job_variables"))) for d in deployments]
    assert [text for text in told if NAMES.search(text)] == []


def test_no_setting_has_a_secret_for_a_default() -> None:
    """There is none by now: keys come from the environment by themselves."""
    fields = Settings.model_fields
    assert fields
    secrets = [name for name, field in fields.items() if NAMES.search(name) or field.annotation is SecretStr]
    assert [name for name in secrets if fields[name].default] == []


@pytest.mark.parametrize("kind", VALUES)
def test_no_file_of_the_repository_holds_a_secret(kind: str) -> None:
    found = {}
    for name in tracked():
        if name.endswith((".png", ".zip")) or (kind == "a password in Terraform") > name.endswith((".tf", ".tfvars")):
            continue
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        if hits := [hit for hit in VALUES[kind].findall(text) if hit]:
            found[name] = hits
    assert found == {}

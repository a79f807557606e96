"""`fraudline deploy-lambda`: one function for a person to try, on the emulator or in an AWS account for development.

What Terraform has made is delivered from `main`, a tenth of the calls first and under alarms (`infra/delivery`). So
this changes only functions that it has made itself, which carry its tag.
"""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from fraudline.adapters.aws.errors import explained
from fraudline.errors import BadInput, Unavailable
from fraudline.local.functions import Function, deploy, invoke, is_aws, move_alias, open_url, publish, subscribe

OURS = {"ManagedBy": "fraudline deploy-lambda"}
# As in Terraform.
MEMORY_MIB = 512
_WHEEL = re.compile(r"msgspec-[^/]+\.dist-info/WHEEL")
_TAG = re.compile(rb"^Tag: cp3(\d+)-\S+_(x86_64|aarch64)\s*$", re.MULTILINE)


class Package(NamedTuple):
    """A zip that `fraudline package-lambda` made, and what it was made for."""

    data: bytes
    python: str
    architecture: str


@dataclass(frozen=True)
class Deployed:
    """What answers now: the alias names `version`; `previous` is the one before, None at the first time.

    `has_model` is False where it answers 503 for want of one that it can load: there is no champion yet, or its log
    says why it was turned down.
    """

    function: str
    version: str
    alias: str
    previous: str | None
    has_model: bool
    url: str


def read_package(path: Path) -> Package:
    """The zip with the Python version and processor that its compiled library is for."""
    try:
        with zipfile.ZipFile(path) as archive:
            wheels = [archive.read(name) for name in archive.namelist() if _WHEEL.fullmatch(name)]
    except (OSError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} is no package: {error}; make one with `fraudline package-lambda`") from error
    found = _TAG.search(b"".join(wheels))
    if not found:
        raise BadInput(f"{path} holds no function: make it with `fraudline package-lambda`")
    minor, machine = found.group(1).decode(), found.group(2).decode()
    return Package(path.read_bytes(), f"3.{minor}", "arm64" if machine == "aarch64" else machine)


def deploy_to_try(
    client: Any, name: str, alias: str, package: Package, environment: Mapping[str, str], role: str | None
) -> Deployed:
    """Create or update the function, publish a version, ask it, and only if it answers have the alias name it.

    `BadInput` for a function that something else manages, or without a role on AWS.
    """
    _require_ours(client, name)
    function = _function(client, name, package, environment, role)
    deploy(client, function, package.data)
    version = publish(client, name)
    has_model = _answers_with_a_model(client, name, version)
    previous = move_alias(client, name, alias, version)
    return Deployed(name, version, alias, previous, has_model, open_url(client, name, alias))


def arn_of_stream(kinesis: Any, stream: str) -> str:
    """What a function is subscribed to; `NotReady` if there is no such stream."""
    with explained(f"stream {stream!r}"):
        return str(kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"])


def give_second_opinion(functions: Any, deployed: Deployed, stream_arn: str) -> None:
    """Have the alias invoked with the stream's records from now on."""
    subscribe(functions, f"{deployed.function}:{deployed.alias}", stream_arn)


def _function(client: Any, name: str, package: Package, environment: Mapping[str, str], role: str | None) -> Function:
    if role is None and is_aws(client):
        raise BadInput("on AWS a function needs a role: name one with --role (infra/modules/realtime says what it may)")
    function = Function(
        name,
        package.python,
        environment,
        memory=MEMORY_MIB,
        architecture=package.architecture,
        tags=OURS,
    )
    return function if role is None else replace(function, role=role)


def _require_ours(client: Any, name: str) -> None:
    with explained(f"function {name!r}"):
        try:
            tags = client.get_function(FunctionName=name).get("Tags", {})
        except client.exceptions.ResourceNotFoundException:
            return
    if tags.get("ManagedBy") == "terraform":
        raise BadInput(
            f"function {name!r} is Terraform's: it is delivered from main, with a canary (docs/deployment-guide.md);"
            " name another with --name"
        )
    if not OURS.items() <= tags.items():
        raise BadInput(f"function {name!r} was not made by this command and stays as it is: name another with --name")


def _answers_with_a_model(client: Any, name: str, version: str) -> bool:
    """Bad input has an answer, too: whatever goes wrong with an empty transaction is wrong with the package."""
    try:
        answer = invoke(client, name, {"transaction_data": {}}, version)
    except Unavailable as error:
        raise Unavailable(
            f"version {version} does not answer, the alias stays where it is: {error}; package it for the Python it"
            " runs on (an emulator has one for all)"
        ) from error
    return bool(answer["statusCode"] != 503)

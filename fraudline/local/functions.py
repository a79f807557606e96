"""Deploys and calls single Lambda functions, on an emulator or for development; others are Terraform's (`infra/`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fraudline.adapters.aws.errors import explained
from fraudline.errors import Unavailable

_POLL = {"Delay": 1, "MaxAttempts": 60}
# The emulator asks for a role and never looks at it.
_ROLE = "arn:aws:iam::000000000000:role/fraudline-realtime"


@dataclass(frozen=True)
class Function:
    """What Lambda is told about a function; `python` is a version such as "3.12", times are seconds, memory MiB."""

    name: str
    python: str
    environment: Mapping[str, str] = field(default_factory=dict)
    handler: str = "fraudline.realtime.handler.handler"
    timeout: int = 10
    memory: int = 256
    architecture: str = "x86_64"
    role: str = _ROLE
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def configuration(self) -> dict[str, Any]:
        return {
            "FunctionName": self.name,
            "Runtime": f"python{self.python}",
            "Handler": self.handler,
            "Role": self.role,
            "Environment": {"Variables": dict(self.environment)},
            "Timeout": self.timeout,
            "MemorySize": self.memory,
        }


def deploy(client: Any, function: Function, package: bytes) -> None:
    """Create or replace a function by the code in a zip; returns when it can be invoked."""
    with explained(f"function {function.name!r}"):
        try:
            client.create_function(
                **function.configuration,
                Architectures=[function.architecture],
                Code={"ZipFile": package},
                Tags=dict(function.tags),
            )
        except client.exceptions.ResourceConflictException:
            client.update_function_code(
                FunctionName=function.name, ZipFile=package, Architectures=[function.architecture]
            )
            _wait(client, "function_updated_v2", function.name)
            client.update_function_configuration(**function.configuration)
            _wait(client, "function_updated_v2", function.name)
        _wait(client, "function_active_v2", function.name)


def publish(client: Any, name: str) -> str:
    """The version that keeps the function as it is now; returns when it can be invoked."""
    with explained(f"function {name!r}"):
        version = str(client.publish_version(FunctionName=name)["Version"])
        _wait(client, "function_active_v2", name, Qualifier=version)
    return version


def move_alias(client: Any, name: str, alias: str, version: str) -> str | None:
    """Have the alias name the version, all calls at once; the version before, None for a new alias."""
    with explained(f"alias {alias!r} of function {name!r}"):
        try:
            previous = client.get_alias(FunctionName=name, Name=alias)["FunctionVersion"]
        except client.exceptions.ResourceNotFoundException:
            client.create_alias(FunctionName=name, Name=alias, FunctionVersion=version)
            return None
        everything: dict[str, Any] = {"AdditionalVersionWeights": {}}
        client.update_alias(FunctionName=name, Name=alias, FunctionVersion=version, RoutingConfig=everything)
    return str(previous)


def invoke(client: Any, name: str, event: object, qualifier: str = "$LATEST") -> Any:
    """The function's answer to a JSON event; `Unavailable` with its error if it failed."""
    with explained(f"function {name!r}"):
        answer = client.invoke(FunctionName=name, Qualifier=qualifier, Payload=json.dumps(event).encode())
        payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise Unavailable(f"function {name!r} failed: {payload.get('errorMessage', payload)}")
    return payload


def is_aws(client: Any) -> bool:
    """Whether it is AWS that answers; whoever answers at another address is an emulator."""
    return str(urlsplit(client.meta.endpoint_url).hostname).endswith((".amazonaws.com", ".amazonaws.com.cn"))


def open_url(client: Any, name: str, alias: str | None = None) -> str:
    """An address that answers with the function (or its alias): on AWS to signed requests, on an emulator to any.

    An emulator's own is below its endpoint: the name of a Function URL is found by AWS's DNS only.
    """
    which = {"FunctionName": name, **({"Qualifier": alias} if alias else {})}
    with explained(f"function {name!r}"):
        try:
            auth = "AWS_IAM" if is_aws(client) else "NONE"
            url = str(client.create_function_url_config(**which, AuthType=auth)["FunctionUrl"])
        except client.exceptions.ResourceConflictException:
            url = str(client.get_function_url_config(**which)["FunctionUrl"])
    if is_aws(client):
        return url
    identifier = str(urlsplit(url).hostname).split(".")[0]
    return f"{client.meta.endpoint_url}/_aws/lambda-url/{identifier}/"


def subscribe(client: Any, name: str, stream_arn: str) -> str:
    """Have a function invoked with a stream's records from now on; the mapping's id, the same when called again."""
    with explained(f"function {name!r}"):
        mappings = client.list_event_source_mappings(FunctionName=name, EventSourceArn=stream_arn)
        for mapping in mappings["EventSourceMappings"]:
            return str(mapping["UUID"])
        mapping = client.create_event_source_mapping(
            FunctionName=name,
            EventSourceArn=stream_arn,
            StartingPosition="LATEST",
            BatchSize=100,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            # Without these AWS would try a poison batch for a day, and the shard would wait.
            BisectBatchOnFunctionError=True,
            MaximumRetryAttempts=5,
            MaximumRecordAgeInSeconds=3600,
        )
    return str(mapping["UUID"])


def _wait(client: Any, waiter: str, name: str, **which: str) -> None:
    client.get_waiter(waiter).wait(FunctionName=name, WaiterConfig=_POLL, **which)

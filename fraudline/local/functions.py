"""Deploys and calls Lambda functions on an emulator; on AWS Terraform deploys them (`infra/`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fraudline.adapters.aws_errors import explained
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

    @property
    def configuration(self) -> dict[str, Any]:
        return {
            "FunctionName": self.name,
            "Runtime": f"python{self.python}",
            "Handler": self.handler,
            "Role": _ROLE,
            "Environment": {"Variables": dict(self.environment)},
            "Timeout": self.timeout,
            "MemorySize": self.memory,
        }


def deploy(client: Any, function: Function, package: bytes) -> None:
    """Create or replace a function by the code in a zip; returns when it can be invoked."""
    with explained(f"function {function.name!r}"):
        try:
            client.create_function(**function.configuration, Code={"ZipFile": package})
        except client.exceptions.ResourceConflictException:
            client.update_function_code(FunctionName=function.name, ZipFile=package)
            _wait(client, "function_updated_v2", function.name)
            client.update_function_configuration(**function.configuration)
            _wait(client, "function_updated_v2", function.name)
        _wait(client, "function_active_v2", function.name)


def invoke(client: Any, name: str, event: object) -> Any:
    """The function's answer to a JSON event; `Unavailable` with its error if it failed."""
    with explained(f"function {name!r}"):
        answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise Unavailable(f"function {name!r} failed: {payload.get('errorMessage', payload)}")
    return payload


def open_url(client: Any, name: str) -> str:
    """An address that the emulator answers with this function: its Function URL, which only DNS on AWS could find."""
    with explained(f"function {name!r}"):
        try:
            url = client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
        except client.exceptions.ResourceConflictException:
            url = client.get_function_url_config(FunctionName=name)["FunctionUrl"]
    identifier = str(urlsplit(url).hostname).split(".")[0]
    return f"{client.meta.endpoint_url}/_aws/lambda-url/{identifier}/"


def subscribe(client: Any, name: str, stream_arn: str, batch_size: int = 100) -> str:
    """Have a function invoked with a stream's records from now on; the mapping's id, the same when called again."""
    with explained(f"function {name!r}"):
        mappings = client.list_event_source_mappings(FunctionName=name, EventSourceArn=stream_arn)
        for mapping in mappings["EventSourceMappings"]:
            return str(mapping["UUID"])
        mapping = client.create_event_source_mapping(
            FunctionName=name,
            EventSourceArn=stream_arn,
            StartingPosition="LATEST",
            BatchSize=batch_size,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
    return str(mapping["UUID"])


def _wait(client: Any, waiter: str, name: str) -> None:
    client.get_waiter(waiter).wait(FunctionName=name, WaiterConfig=_POLL)

"""The one place where boto3 clients are made.

Where they send is AWS's own business: `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_PROFILE` and the rest of its
standard variables. No code asks whether it runs locally.
"""

import os
from typing import Any

import boto3
from botocore.config import Config

DEFAULT_REGION = "us-east-1"

_CONFIG = Config(
    parameter_validation=False,  # half of boto3's cost; the endpoint validates anyway
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=16,
    tcp_keepalive=True,
)


def client(service: str) -> Any:
    """A boto3 client ("kinesis", "dynamodb", "s3", ...) of a session of its own; it serves many threads."""
    return boto3.session.Session(region_name=_region()).client(service, config=_CONFIG)


def _region() -> str | None:
    """The default region where neither the environment nor a profile names one."""
    if os.environ.get("AWS_REGION"):  # what Lambda and ECS set; boto3 itself reads only AWS_DEFAULT_REGION
        return os.environ["AWS_REGION"]
    return boto3.session.Session().region_name or DEFAULT_REGION

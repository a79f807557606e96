"""The one place where boto3 clients are made.

Where they send is AWS's own business: `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_PROFILE` and the rest of its
standard variables. No code asks whether it runs locally.
"""

import os
import threading
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import NoCredentialsError

from fraudline.adapters.aws.errors import explained

DEFAULT_REGION = "us-east-1"

_CONFIG = Config(
    parameter_validation=False,  # half of boto3's cost; the endpoint validates anyway
    retries={"mode": "standard"},  # as many as AWS_MAX_ATTEMPTS says, by default 3
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=16,
    tcp_keepalive=True,
)


# Making a session costs 70 ms, another client of one 3-30; but making clients of one is not thread-safe.
_session = boto3.session.Session()
_making = threading.Lock()


def client(service: str) -> Any:
    """A boto3 client ("kinesis", "dynamodb", "s3", ...); one client serves many threads."""
    with _making:
        return _session.client(service, region_name=_region(), config=_CONFIG)


def require_credentials() -> None:
    """`Unavailable` where neither the environment, nor a profile, nor a role has any: one answer to all questions."""
    with explained("this deployment"):
        if _session.get_credentials() is None:
            raise NoCredentialsError


def _region() -> str:
    """The region that the environment or a profile names, or the default."""
    # Lambda and ECS set AWS_REGION; boto3 itself reads only AWS_DEFAULT_REGION.
    return os.environ.get("AWS_REGION") or _session.region_name or DEFAULT_REGION

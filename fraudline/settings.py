"""What a deployment is called: names of resources, from the environment (`FRAUDLINE_*`) or by default.

Where AWS is and who we are there, its own variables tell. The real-time function reads its few settings
itself: it must start without pydantic.
"""

import os
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fraudline.errors import BadInput

StreamName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
TableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{3,255}$")]
BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,256}$")]
TopicArn = Annotated[str, StringConstraints(pattern=r"^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,255}$")]
ConsumerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

_PREFIX = "FRAUDLINE_"
# A secret, so no setting: settings are shown in errors, handed to child processes and printed by `fraudline env`.
ERASURE_KEY = f"{_PREFIX}ERASURE_KEY"
_SHORTEST_KEY = 32


class Settings(BaseSettings):
    """One deployment. `contract` is a shipped name or a file; `consumer` the group owning the profiles."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    # Whose metrics these are: both environments may live in one account.
    environment: EnvironmentName = "local"
    contract: str = "ecommerce"
    consumer: ConsumerName = "fraudline"
    stream: StreamName = "fraudline-transactions"
    decisions_table: TableName = "fraudline-decisions"
    profiles_table: TableName = "fraudline-profiles"
    leases_table: TableName = "fraudline-leases"
    labels_table: TableName = "fraudline-labels"
    erasures_table: TableName = "fraudline-erasures"
    landing_bucket: BucketName = "fraudline-landing"
    quarantine_bucket: BucketName = "fraudline-quarantine"
    models_bucket: BucketName = "fraudline-models"
    reports_bucket: BucketName = "fraudline-reports"
    alerts_topic: TopicName = "fraudline-alerts"
    # What publishes alerts needs; it is known once the topic of that name exists.
    alerts_topic_arn: TopicArn | None = None
    # Where the people who run this hear of failed and late runs; alerts of fraud go to others.
    alarms_topic: TopicName = "fraudline-alarms"
    alarms_topic_arn: TopicArn | None = None
    # Decisions are kept for ever unless this is set; a copy of a transaction is known for one for as long.
    decisions_keep_days: Annotated[int, Field(ge=1)] | None = None

    @property
    def buckets(self) -> tuple[str, ...]:
        return (self.landing_bucket, self.quarantine_bucket, self.models_bucket, self.reports_bucket)

    def to_environment(self) -> dict[str, str]:
        """These settings as variables, for a child process or a function."""
        values = self.model_dump(exclude_none=True)
        return {f"{_PREFIX}{name.upper()}": str(value) for name, value in values.items()}


def load_settings(**overrides: Any) -> Settings:
    """The settings of the environment, each `override` instead of it; `BadInput` naming the first bad one."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise BadInput(f"setting {_PREFIX}{name} is {first['input']!r}: {first['msg']}; correct it") from error


def erasure_key() -> bytes | None:
    """The key of erased people's hashes, None where there is none; `BadInput` if it could be guessed."""
    key = os.environ.get(ERASURE_KEY, "")
    if key and len(key) < _SHORTEST_KEY:
        raise BadInput(
            f"{ERASURE_KEY} is shorter than {_SHORTEST_KEY} characters: make one with `openssl rand -hex 32`"
        )
    return key.encode() or None

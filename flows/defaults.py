"""What a request says without being told: this deployment's places, and the moment its run was due.

They are asked for when a request is made, in the process that runs the flow: an untouched form and a schedule mean
the deployment they run in, and a late or repeated run means the day it was due.
"""

from datetime import UTC, date, datetime
from typing import Annotated

from prefect.runtime import flow_run
from pydantic import Field

from fraudline.settings import load_settings

# The server checks a form against its JSON schema, where `format: date` is no more than a hint.
Day = Annotated[date, Field(json_schema_extra={"pattern": r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"})]


def contract() -> str:
    return load_settings().contract


def models() -> str:
    return f"s3://{load_settings().models_bucket}"


def refused_rows() -> str:
    return f"s3://{load_settings().quarantine_bucket}/files"


def quality_reports() -> str:
    return f"s3://{load_settings().reports_bucket}/quality"


def backfills() -> str:
    return f"s3://{load_settings().reports_bucket}/backfills/{{version}}"


def backfill_reports() -> str:
    return f"s3://{load_settings().reports_bucket}/backfill"


def monitor_reports() -> str:
    return f"s3://{load_settings().reports_bucket}/monitor"


def due() -> datetime:
    """When this run was scheduled for; outside of a run, now."""
    return flow_run.scheduled_start_time or datetime.now(UTC)


def due_day() -> date:
    """The day (UTC) of `due`."""
    return due().astimezone(UTC).date()

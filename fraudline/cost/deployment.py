"""What is paid for: the traffic, and what stands there whatever the traffic."""

import math
from dataclasses import dataclass
from typing import Literal

from fraudline.errors import BadInput

HOURS = 730.0  # in an average month, as AWS reckons
SECONDS = HOURS * 3600


@dataclass(frozen=True)
class Workload:
    """The traffic. Sizes are bytes of one record, one decision row and one profile row as the code writes them.

    The archive is kept for good: `archive_days` is how old it is by then. Where the contract has `lagged_entities`,
    all of it is read every hour.
    """

    transactions_per_second: float
    users: int
    decision_days: int = 365
    archive_days: int = 3 * 365
    realtime_share: float = 1.0
    alert_share: float = 0.005
    record_bytes: int = 220
    decision_bytes: int = 1000
    profile_bytes: int = 900
    realtime_milliseconds: float = 20.0
    lagged_entities: bool = False

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise BadInput(f"{name} is {value}: give a finite number that is not negative")
        for name in ("realtime_share", "alert_share"):
            if getattr(self, name) > 1:
                raise BadInput(f"{name} is {getattr(self, name)}: give a share between 0 and 1")

    @property
    def transactions(self) -> float:
        """In a month."""
        return self.transactions_per_second * SECONDS

    @property
    def archived(self) -> float:
        """Transactions in the archive."""
        return self.transactions_per_second * 86400 * self.archive_days


@dataclass(frozen=True)
class Deployment:
    """What stands there whatever the traffic: the values of `infra/<environment>.tfvars` that cost."""

    region: str
    stream_mode: Literal["ON_DEMAND", "PROVISIONED"]
    stream_shards: int
    stream_days: int
    lambda_reads_stream: bool
    nat_gateways: int
    prefect_server: bool
    database_standby: bool
    alarms: int = 23


DEV = Deployment("eu-central-1", "PROVISIONED", 1, 7, True, 1, True, False)
PROD = Deployment("eu-central-1", "ON_DEMAND", 4, 14, True, 2, True, True)
DEPLOYMENTS = {"dev": DEV, "prod": PROD}


@dataclass(frozen=True)
class Schedule:
    """A flow that the clock starts: how often a month, and on how many processors and GiB (`prefect.yaml`).

    `minutes` are from the image's pull to the end, and assumed: the Prefect UI shows what yours take. Those of a build
    of lagged entities are without what it reads.
    """

    flow: str
    runs: float
    minutes: float
    cpu: float
    gigabytes: float


SCHEDULES = (
    Schedule("score_stream", HOURS * 12, 5, 0.5, 2),
    Schedule("data_quality", HOURS + 3 * HOURS / 24, 3, 0.5, 2),
    Schedule("monitor", HOURS / 24, 5, 0.5, 2),
    Schedule("retrain", HOURS / 168, 30, 4, 16),
    Schedule("materialize", HOURS, 5, 4, 16),
    Schedule("forget", HOURS / 24, 10, 4, 16),
)

"""What a deployment costs in a month: traffic times list prices, line by line.

Prices stand in one dated file (`data/prices/`). What is counted is what the code does: the writes of a micro-batch, the
reads of an answer. Where the truth depends on the traffic's shape, the dearer end is taken and said in the line.
"""

import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fraudline.errors import BadInput

PRICES = Path(__file__).parents[1] / "data" / "prices" / "aws-us-east-1.toml"

HOURS = 730.0  # in an average month, as AWS reckons
SECONDS = HOURS * 3600
KIB, GIB = 1024, 1024**3
MILLION = 1e6

Price = Annotated[float, msgspec.Meta(ge=0)]


class Kinesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    shard_hour: Price
    put_million: Price
    extended_shard_hour: Price
    stream_hour: Price
    gigabyte_in: Price
    gigabyte_out: Price
    extended_gigabyte_month: Price
    long_term_gigabyte_month: Price
    shard_metric_month: Price


class DynamoDB(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    write_million: Price
    read_million: Price
    gigabyte_month: Price
    recovery_gigabyte_month: Price


class S3(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    gigabyte_month: Price
    put_thousand: Price
    get_thousand: Price


class Lambda(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    request_million: Price
    gigabyte_second: Price


class Fargate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cpu_hour: Price
    gigabyte_hour: Price


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    nat_hour: Price
    nat_gigabyte: Price
    address_hour: Price


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    instance_hour: Price
    gigabyte_month: Price


class CloudWatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm_month: Price
    dashboard_month: Price
    log_gigabyte: Price
    metric_month: Price


class Messages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    publish_million: Price
    queue_million: Price


class Fixed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_month: Price
    key_ten_thousand: Price
    secret_month: Price
    zone_month: Price


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """List prices of one region in US dollars, as they were on `as_of`."""

    as_of: date
    region: str
    kinesis: Kinesis
    dynamodb: DynamoDB
    s3: S3
    lambda_: Lambda = msgspec.field(name="lambda")
    fargate: Fargate
    network: Network
    database: Database
    cloudwatch: CloudWatch
    messages: Messages
    fixed: Fixed


def load_prices(path: Path = PRICES) -> Prices:
    """The prices in a file of the form of `data/prices/aws-us-east-1.toml`; `BadInput` names what is wrong in it."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Prices)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; name a price file, see {PRICES.name}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {error}; correct it, see {PRICES.name}") from error


@dataclass(frozen=True)
class Workload:
    """The traffic. Sizes are bytes of one record, one decision row and one profile row as the code writes them.

    The archive is kept for good: `archive_days` is how old it is by then.
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

    `minutes` are from the image's pull to the end, and assumed: the Prefect UI shows what yours take.
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

# Metrics of our own, each billed by name and dimensions (fraudline/realtime/telemetry.py, tasks/metrics.py), and those
# that S3 makes of the quarantine's requests.
OWN_METRICS = 16
REQUEST_METRICS = 16
# Bytes of one call in the log: our line, and Lambda's own of its start and its end, with what CloudWatch adds to each.
LOG_BYTES = 1600
# Stream, tables, buckets, queues and topics ask for a data key about every five minutes for each of their callers.
STORES = 14


@dataclass(frozen=True)
class Line:
    """One position of the bill: how much of what, and its price in US dollars a month."""

    service: str
    what: str
    quantity: float
    unit: str
    dollars: float


@dataclass(frozen=True)
class Estimate:
    lines: tuple[Line, ...]
    as_of: date
    region: str

    @property
    def dollars(self) -> float:
        """The month's sum."""
        return math.fsum(line.dollars for line in self.lines)


def estimate(workload: Workload, deployment: Deployment, prices: Prices) -> Estimate:
    """The monthly cost once every store has filled up to its retention, and the archive is as old as it says."""
    parts = (
        _stream(workload, deployment, prices.kinesis),
        _tables(workload, prices.dynamodb),
        _objects(workload, deployment, prices.s3),
        _answers(workload, deployment, prices.lambda_),
        _flows(deployment, prices.fargate),
        _network(workload, deployment, prices.network),
        _server(deployment, prices),
        _watching(workload, deployment, prices.cloudwatch),
        _alerts(workload, prices.messages),
        _key(prices.fixed),
    )
    return Estimate(tuple(line for part in parts for line in part), prices.as_of, prices.region)


def doubts(deployment: Deployment, prices: Prices, today: date) -> Iterator[str]:
    """Why the estimate may be off, each a sentence."""
    if prices.region != deployment.region:
        yield (
            f"the prices are those of {prices.region}, the deployment is in {deployment.region}: "
            f"compare them with AWS's pages, and correct data/prices/{PRICES.name}"
        )
    if (today - prices.as_of).days > 365:
        yield f"the prices are of {prices.as_of.isoformat()}, more than a year old: compare them with AWS's pages"


def render(estimate: Estimate) -> list[tuple[str, str, str, str]]:
    """Rows for a table: service, what, quantity, dollars; the last row is the sum."""
    rows = [
        (line.service, line.what, f"{line.quantity:,.1f} {line.unit}", f"{line.dollars:,.2f}")
        for line in estimate.lines
    ]
    title = f"a month, list prices of {estimate.region}, {estimate.as_of.isoformat()}"
    return [*rows, ("sum", title, "", f"{estimate.dollars:,.2f}")]


def _stream(workload: Workload, deployment: Deployment, price: Kinesis) -> Iterator[Line]:
    gigabytes = workload.transactions * workload.record_bytes / GIB
    shards, days = deployment.stream_shards, deployment.stream_days
    if deployment.stream_mode == "PROVISIONED":
        hours = shards * HOURS
        units = workload.transactions * math.ceil(workload.record_bytes / (25 * KIB)) / MILLION
        yield Line("Kinesis", "shards", hours, "h", hours * price.shard_hour)
        yield Line("Kinesis", "records written", units, "M units", units * price.put_million)
        yield Line("Kinesis", "kept for 2 to 7 days", hours, "shard h", hours * price.extended_shard_hour)
    else:
        billed = workload.transactions * math.ceil(workload.record_bytes / KIB) * KIB / GIB
        readers = 2 if deployment.lambda_reads_stream else 1
        kept = billed * min(days - 1, 6) / (HOURS / 24)
        yield Line("Kinesis", "the stream itself", HOURS, "h", HOURS * price.stream_hour)
        yield Line("Kinesis", "in, rounded up to 1 KiB a record", billed, "GiB", billed * price.gigabyte_in)
        yield Line("Kinesis", f"out, {readers} readers", billed * readers, "GiB", billed * readers * price.gigabyte_out)
        yield Line("Kinesis", "kept for days 2 to 7", kept, "GiB month", kept * price.extended_gigabyte_month)
    long_kept = gigabytes * max(days - 7, 0) / (HOURS / 24)
    yield Line("Kinesis", "kept beyond day 7", long_kept, "GiB month", long_kept * price.long_term_gigabyte_month)
    yield Line("Kinesis", "3 metrics a shard", 3 * shards, "metrics", 3 * shards * price.shard_metric_month)


def _tables(workload: Workload, price: DynamoDB) -> Iterator[Line]:
    decision = math.ceil(workload.decision_bytes / KIB)
    profile = math.ceil(workload.profile_bytes / KIB)
    # A decision also goes into the index of its user, an alert row into that of its day; a realtime one into none.
    a_transaction = decision * (2 + workload.realtime_share + 2 * workload.alert_share) + profile
    writes = workload.transactions * a_transaction / MILLION
    yield Line("DynamoDB", "writes, a profile per transaction", writes, "M units", writes * price.write_million)
    # Strongly consistent: the profile and whether the id is known, again for each answer at checkout.
    a_read = math.ceil(workload.profile_bytes / (4 * KIB)) + math.ceil(workload.decision_bytes / (4 * KIB))
    reads = workload.transactions * a_read * (1 + workload.realtime_share) / MILLION
    yield Line("DynamoDB", "reads", reads, "M units", reads * price.read_million)
    rows = workload.transactions_per_second * 86400 * workload.decision_days * (2 + workload.realtime_share)
    gigabytes = (rows * workload.decision_bytes + workload.users * workload.profile_bytes) / GIB
    yield Line("DynamoDB", f"{workload.decision_days} days kept", gigabytes, "GiB", gigabytes * price.gigabyte_month)
    yield Line("DynamoDB", "point-in-time recovery", gigabytes, "GiB", gigabytes * price.recovery_gigabyte_month)


def _objects(workload: Workload, deployment: Deployment, price: S3) -> Iterator[Line]:
    day = workload.transactions_per_second * 86400 * workload.record_bytes
    gigabytes = day * workload.archive_days / GIB
    # One archive object a batch: of 500 records where traffic fills it, else of one drain a shard every five minutes.
    thousands = max(workload.transactions / 500, deployment.stream_shards * HOURS * 12) / 1000
    # What monitors look at is read about ten times a month; each weekly retrain reads all that has landed.
    months = workload.archive_days * 24 / HOURS
    gets = thousands * (10 + 52 / 12 * months)
    yield Line("S3", f"archive of {workload.archive_days} days", gigabytes, "GiB", gigabytes * price.gigabyte_month)
    yield Line("S3", "objects written, archive", thousands, "k", thousands * price.put_thousand)
    # At the dearer end every batch has a record that is refused.
    yield Line("S3", "objects written, quarantine", thousands, "k", thousands * price.put_thousand)
    yield Line("S3", "objects read", gets, "k", gets * price.get_thousand)


def _batches(workload: Workload, deployment: Deployment) -> float:
    """Calls by which the stream is read for a second opinion: of 100 records, or of what a second brings to a shard."""
    if not deployment.lambda_reads_stream:
        return 0.0
    return max(workload.transactions / 100, min(workload.transactions, deployment.stream_shards * SECONDS))


def _answers(workload: Workload, deployment: Deployment, price: Lambda) -> Iterator[Line]:
    for what, calls in [
        ("answers", workload.transactions * workload.realtime_share),
        ("the stream's batches", _batches(workload, deployment)),
    ]:
        seconds = calls * workload.realtime_milliseconds / 1000 * 0.5  # GiB: the function has 512 MiB
        yield Line("Lambda", what, calls / MILLION, "M", calls / MILLION * price.request_million)
        yield Line("Lambda", f"{what}, time at 512 MiB", seconds, "GiB s", seconds * price.gigabyte_second)


def _fargate(what: str, cpu: float, gigabytes: float, hours: float, price: Fargate) -> Line:
    return Line("Fargate", what, hours, "h", hours * (cpu * price.cpu_hour + gigabytes * price.gigabyte_hour))


def _flows(deployment: Deployment, price: Fargate) -> Iterator[Line]:
    yield _fargate("worker", 0.25, 1, HOURS, price)
    for flow in SCHEDULES:
        what = f"{flow.flow}, {flow.minutes:g} minutes a run"
        yield _fargate(what, flow.cpu, flow.gigabytes, flow.runs * flow.minutes / 60, price)
    if deployment.prefect_server:
        yield _fargate("Prefect server", 0.5, 2, HOURS, price)


def _network(workload: Workload, deployment: Deployment, price: Network) -> Iterator[Line]:
    hours = deployment.nat_gateways * HOURS
    # Tables and buckets are reached by gateway endpoints; the stream's records come through here.
    gigabytes = workload.transactions * workload.record_bytes / GIB
    yield Line("Network", f"{deployment.nat_gateways} NAT gateways", hours, "h", hours * price.nat_hour)
    yield Line("Network", "their public addresses", hours, "h", hours * price.address_hour)
    yield Line("Network", "through them", gigabytes, "GiB", gigabytes * price.nat_gigabyte)


def _server(deployment: Deployment, prices: Prices) -> Iterator[Line]:
    if not deployment.prefect_server:
        return
    copies = 2 if deployment.database_standby else 1
    hours, gigabytes = copies * HOURS, copies * 20
    yield Line("RDS", "PostgreSQL", hours, "h", hours * prices.database.instance_hour)
    yield Line("RDS", "storage", gigabytes, "GiB", gigabytes * prices.database.gigabyte_month)
    yield Line("Secrets Manager", "database password", 1, "secret", prices.fixed.secret_month)
    yield Line("Route 53", "private zone", 1, "zone", prices.fixed.zone_month)


def _watching(workload: Workload, deployment: Deployment, price: CloudWatch) -> Iterator[Line]:
    # Flows log a line a batch, which is nothing beside the function's.
    calls = workload.transactions * workload.realtime_share + _batches(workload, deployment)
    gigabytes = calls * LOG_BYTES / GIB
    metrics = OWN_METRICS + REQUEST_METRICS
    yield Line("CloudWatch", "alarms", deployment.alarms, "alarms", deployment.alarms * price.alarm_month)
    yield Line("CloudWatch", "custom metrics", metrics, "metrics", metrics * price.metric_month)
    yield Line("CloudWatch", "dashboard", 1, "dashboard", price.dashboard_month)
    yield Line("CloudWatch", "logs", gigabytes, "GiB", gigabytes * price.log_gigabyte)


def _alerts(workload: Workload, price: Messages) -> Iterator[Line]:
    millions = workload.transactions * workload.alert_share / MILLION
    yield Line("SNS", "alerts", millions, "M", millions * price.publish_million)
    # Sent, received and deleted.
    yield Line("SQS", "alerts", 3 * millions, "M", 3 * millions * price.queue_million)


def _key(price: Fixed) -> Iterator[Line]:
    yield Line("KMS", "key", 1, "key", price.key_month)
    thousands = STORES * 2 * HOURS * 12 / 1000  # the function and the flows
    yield Line("KMS", "requests, bounded by data keys", thousands, "k", thousands / 10 * price.key_ten_thousand)

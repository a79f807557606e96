"""The month's bill: a function for each service, lines of what and how much of it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from fraudline.cost.deployment import HOURS, SCHEDULES, SECONDS, Deployment, Workload
from fraudline.cost.prices import (
    PRICES,
    S3,
    CloudWatch,
    DynamoDB,
    Fargate,
    Fixed,
    Kinesis,
    Lambda,
    Messages,
    Network,
    Prices,
)

KIB, GIB = 1024, 1024**3
MILLION = 1e6
# Metrics of our own, each billed by name and dimensions (fraudline/realtime/telemetry.py, tasks/metrics.py), and those
# that S3 makes of the quarantine's requests.
OWN_METRICS = 16
REQUEST_METRICS = 16
# Bytes of one call in the log: our line, and Lambda's own of its start and its end, with what CloudWatch adds to each.
LOG_BYTES = 1600
# What a build of lagged entities takes of a core for each archived transaction (benchmarks/archive.py, on disk).
BUILD_MICROSECONDS = 9
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
        _flows(workload, deployment, prices.fargate),
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
    gigabytes = workload.archived * workload.record_bytes / GIB
    # One archive object a batch: of 500 records where traffic fills it, else of one drain a shard every five minutes.
    thousands = max(workload.transactions / 500, deployment.stream_shards * HOURS * 12) / 1000
    # What monitors look at is read about ten times a month; each weekly retrain, and each hourly build of lagged
    # entities, reads all that has landed.
    months = workload.archive_days * 24 / HOURS
    gets = thousands * (10 + (52 / 12 + HOURS * workload.lagged_entities) * months)
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


def _flows(workload: Workload, deployment: Deployment, price: Fargate) -> Iterator[Line]:
    yield _fargate("worker", 0.25, 1, HOURS, price)
    for flow in SCHEDULES:
        minutes = flow.minutes
        if flow.flow == "materialize":
            minutes += build_minutes(workload, flow.cpu)
        what = f"{flow.flow}, {minutes:.3g} minutes a run"
        yield _fargate(what, flow.cpu, flow.gigabytes, flow.runs * minutes / 60, price)
    if deployment.prefect_server:
        yield _fargate("Prefect server", 0.5, 2, HOURS, price)


def build_minutes(workload: Workload, cores: float) -> float:
    """What a build of lagged entities takes to read and deal out the archive, if all cores are busy."""
    return workload.lagged_entities * workload.archived * BUILD_MICROSECONDS / MILLION / 60 / cores


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

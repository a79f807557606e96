"""The steps of the monitor: the champion, its drift, the skew between paths, and what is made of them."""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from fraudline.adapters.archive.window import landed_window
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.live_skew import live_skew, read_pasts
from fraudline.adapters.registry import CHAMPION, open_registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.kinesis import Stream
from fraudline.adapters.tables.decisions import Decisions
from fraudline.adapters.tables.profiles import Profiles
from fraudline.clock import from_micros
from fraudline.contract import Contract
from fraudline.model.bundle import Bundle, load_bundle, read_manifest
from fraudline.printable import markdown_code
from fraudline.quality.measures import Context
from fraudline.quality.monitor_report import monitor_figures, render_monitor, verdict_of
from fraudline.quality.monitoring import LiveSkew, Monitored, monitor
from fraudline.settings import Settings
from fraudline.transactions.landed import Landed
from fraudline.transactions.table import TransactionTable
from tasks import artifacts
from tasks.metrics import emit
from tasks.steps import step

MAKES_CHAMPION = ("promote", "rollback")
PAGE = "monitor.html"
FIGURES = "monitor.json"
READ_SECONDS = 300.0
# Comparing some thousand transactions finds any fault of code; all of a busy day would take its toll on the tables.
SAMPLE = 2_000


@step(name="read the training reference", retries=2, retry_delay_seconds=2)
def training_reference(models: str, contract: Contract) -> dict[str, Any] | None:
    """Histograms of what the champion was trained on; None while there is no champion."""
    registry = open_registry(models, contract.name)
    version = registry.champion()
    return read_manifest(registry.read(version).__getitem__, version).reference if version else None


@step(name="load the champion", retries=2, retry_delay_seconds=2)
def champion(models: str, contract: Contract) -> Bundle:
    registry = open_registry(models, contract.name)
    version = registry.resolve(CHAMPION)
    return load_bundle(registry.read(version).__getitem__, version)


@step(name="tell the champion's age", retries=2, retry_delay_seconds=2)
def tell_age(models: str, settings: Settings, contract: Contract, now: datetime) -> float:
    """Days since a champion was last made, also as a metric: an alarm waits for the one that nobody replaced.

    0 where it was made after `now`, as for a window of the past.
    """
    made = [entry.when for entry in open_registry(models, contract.name).history() if entry.action in MAKES_CHAMPION]
    days = max(0.0, (now - made[-1]).total_seconds() / 86_400) if made else 0.0
    emit({"Environment": settings.environment, "Contract": contract.name}, "ChampionAgeDays", days)
    return days


@step(name="read a window of the archive", retries=2, retry_delay_seconds=5)
def window_of_archive(contract: Contract, settings: Settings, start: int, end: int) -> tuple[Landed, Context]:
    """What batches decided in [start, end) (microseconds) read, and what to judge it by."""
    retention = Stream(AwsJson("kinesis"), settings.stream).retention(within(READ_SECONDS))
    return landed_window(contract, open_objects(f"s3://{settings.landing_bucket}"), start, end, retention)


@step(name="compare paths", retries=2, retry_delay_seconds=5)
def compare_paths(settings: Settings, contract: Contract, start: int, end: int) -> LiveSkew:
    """Of a sample of the transactions of [start, end) (microseconds), evenly spread."""
    pasts = read_pasts(contract, open_objects(f"s3://{settings.landing_bucket}"))
    archived = pasts[0]
    inside = np.flatnonzero((archived.timestamp >= start) & (archived.timestamp < end))
    sample = archived.ids.take(pa.array(inside[:: len(inside) // SAMPLE + 1])).to_pylist()
    dynamodb = DynamoDB(AwsJson("dynamodb"))
    decisions = Decisions(dynamodb, settings.decisions_table, contract)
    profiles = Profiles(dynamodb, settings.profiles_table, settings.decisions_table)
    return live_skew(contract, pasts, sample, decisions, profiles, within(READ_SECONDS))


@step(name="measure drift")
def measure(table: TransactionTable, bundle: Bundle, start: int, end: int, skew: LiveSkew | None) -> Monitored:
    return monitor(table, bundle, start, end, skew)


@step(name="keep and show", retries=2, retry_delay_seconds=5)
def report(seen: Monitored, out: str) -> None:
    """The page and figures into `out`, a table and a summary into Prefect, and what automations act on."""
    objects, name = open_objects(out), f"{from_micros(seen.end):%Y%m%dT%H%M%SZ}-{seen.version}"
    for key, data in ((PAGE, render_monitor(seen)), (FIGURES, monitor_figures(seen))):
        objects.put(key, data)
        objects.put(f"runs/{name}.{key.rpartition('.')[2]}", data)
    contract, verdict = seen.contract.replace("_", "-"), verdict_of(seen)
    rows = [
        {
            "distribution": d.name,
            "index": round(d.psi, 4),
            "p": float(f"{d.p_value:.2g}"),
            "unseen": round(d.unseen, 4),
            "verdict": d.verdict,
        }
        for d in (seen.drift.scores, *seen.drift.features)
    ]
    artifacts.show_table(f"drift-{contract}", rows, f"{seen.version}: {verdict}")
    artifacts.show_markdown(f"monitor-{contract}", _markdown(seen, verdict, f"{out}/{PAGE}"), verdict)
    payload: dict[str, Any] = {
        "version": seen.version,
        "drifted": [d.name for d in seen.drift.drifted],
        "page": f"{out}/{PAGE}",
    }
    if seen.skew:
        payload["skewed"] = seen.skew.named
    artifacts.tell(f"fraudline.monitor.{verdict}", f"fraudline.monitor.{seen.contract}", payload)


def _markdown(seen: Monitored, verdict: str, page: str) -> str:
    lines = [
        f"## {verdict.capitalize()}: {seen.contract}, {seen.version}",
        "",
        f"- {seen.drift.rows:,} transactions, {len(seen.drift.drifted)} distributions moved by more than matters",
        f"- {seen.alerts.seen_per_day:.1f} alerts a day, the evaluation promised {seen.alerts.expected_per_day:.1f}",
    ]
    if seen.performance:
        live, before = seen.performance.live.average_precision, seen.performance.evaluation["average_precision"]
        lines.append(f"- average precision {live:.3f} where labels are in, {before:.3f} in the evaluation")
    if seen.skew:
        paths = seen.skew.paths
        lines.append(f"- {paths.compared:,} transactions on two paths: {paths.equal:,} equal, {paths.stale:,} stale")
        lines += [f"- **skew** in {markdown_code(what)}: {count}" for what, count in seen.skew.named.items()]
    return "\n".join([*lines, "", f"The page: {markdown_code(page)}"]) + "\n"

"""The steps of stream scoring and of building profiles."""

import os
import socket
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.generations import build as generation_build
from fraudline.adapters.generations.build import Built
from fraudline.adapters.registry import CHAMPION, Registry
from fraudline.adapters.review_queue import review_queue
from fraudline.adapters.storage.guarded import Guarded
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.deps import stream_deps
from fraudline.adapters.stream.draining import DrainReport, Limits
from fraudline.adapters.stream.slices import SliceReport, run_slice
from fraudline.adapters.tables.leases import Leases
from fraudline.adapters.tables.profiles import Profiles
from fraudline.adapters.tables.tombstones import erased_people, require_nobody_new
from fraudline.archive import Account
from fraudline.contract import Contract
from fraudline.erasure.files import with_pseudonyms
from fraudline.generation import Generation
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.review import waiting
from fraudline.settings import Settings
from fraudline.transactions.table import TransactionTable
from tasks.artifacts import show_table, tell
from tasks.progress import say
from tasks.steps import step

QUEUE_LENGTH = 50
QUEUE_SECONDS = 30.0


@step(name="load the model", retries=2, retry_delay_seconds=2)
def model(registry: Registry, name: str) -> Bundle:
    """A version or the champion, with the contract it was trained with: that, not a configured one, is scored with."""
    version = registry.resolve(name)
    return load_bundle(registry.read(version).__getitem__, version)


def is_yet_to_begin(settings: Settings, registry: Registry, name: str) -> bool:
    """Whether the champion is asked for, there is none, and no record was ever scored: none has been lost then."""
    if name != CHAMPION or registry.champion():
        return False
    return not Leases(DynamoDB(AwsJson("dynamodb")), settings.leases_table, settings.consumer, worker_id()).rows()


@step(name="drain shards")
def drain_shards(
    settings: Settings, bundle: Bundle, limits: Limits, start: str, stop: Callable[[], bool]
) -> SliceReport:
    """One bounded slice: this worker's share of the shards until caught up. A plain loop: a batch is no task."""
    deps = stream_deps(settings, bundle, worker_id(), stop)
    done = 0

    def on_batch(account: Account) -> None:
        nonlocal done
        done += account.read
        say(f"Scored {done:,} records of {settings.stream}")

    drains: list[DrainReport] = []
    try:
        return run_slice(deps, limits, on_batch, start, drains.append)
    finally:
        # Of all shards but the one that raised, if one did.
        _tell_of(settings.stream, drains)


def _tell_of(stream: str, drains: Sequence[DrainReport]) -> None:
    show_table(f"stream-{stream}", drain_rows(drains), "What became of each shard")
    for drain in drains:
        if drain.flags:
            payload = {"shard": drain.shard, "flags": drain.flags, "lag_seconds": drain.lag_seconds}
            tell("fraudline.stream.flagged", f"fraudline.stream.{stream}.{drain.shard}", payload)


@step(name="show the review queue", retries=2, retry_delay_seconds=2)
def show_queue(settings: Settings, contract: Contract) -> None:
    """The dearest of today's alerts (UTC) that nobody has decided on, for those who begin their day."""
    today, review = datetime.now(UTC).date().isoformat(), review_queue(settings, contract)
    alerts = review.alerts(today, within(QUEUE_SECONDS), QUEUE_LENGTH)
    left = waiting(alerts, review.verdicts(alerts, within(QUEUE_SECONDS)))
    rows = [
        {
            "transaction": alert.transaction_id,
            "expected loss": round(alert.expected_loss, 2),
            "amount": alert.amount,
            "score": round(alert.score, 4),
            "reasons": "; ".join(alert.reasons),
        }
        for alert in left
    ]
    show_table(f"review-{contract.name}", rows, f"Of the {QUEUE_LENGTH} dearest alerts of {today}, those to review")


def drain_rows(drains: Sequence[DrainReport]) -> list[dict[str, object]]:
    return [
        {
            "shard": drain.shard,
            "ended": drain.ended,
            "read": drain.read,
            "scored": drain.scored,
            "quarantined": sum(drain.quarantined.values()),
            "duplicates": drain.duplicates,
            "alerts": drain.alerts,
            "lag (s)": round(drain.lag_seconds, 1),
            "look at": ", ".join(drain.flags),
        }
        for drain in sorted(drains, key=lambda drain: drain.shard)
    ]


def worker_id() -> str:
    """Unlike that of any other worker, and telling where it runs."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@step(name="build profiles")
def build_generation(settings: Settings, table: TransactionTable) -> Built:
    """Profiles of the table's contract, from its transactions and then the archive up to each shard's checkpoint."""
    dynamodb, contract = DynamoDB(AwsJson("dynamodb")), table.contract
    erased = erased_people(settings, contract)
    return generation_build.build_generation(
        Generation(contract),
        with_pseudonyms(table, erased).transactions(),
        Guarded(open_objects(f"s3://{settings.landing_bucket}"), lambda: erased),
        Leases(dynamodb, settings.leases_table, settings.consumer, worker_id()),
        Profiles(dynamodb, settings.profiles_table, settings.decisions_table),
        say,
        partial(require_nobody_new, settings, contract, erased),
    )

"""Everything that stream scoring stands on, made in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fraudline.adapters.archive.landing import Landing
from fraudline.adapters.aws.backoff import never
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.clock import now_micros
from fraudline.adapters.generations.move import Mover
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.guarded import Guarded
from fraudline.adapters.storage.s3 import S3Objects
from fraudline.adapters.stream.alerts import Alerts
from fraudline.adapters.stream.kinesis import Stream
from fraudline.adapters.stream.quarantine import Quarantine
from fraudline.adapters.tables.decisions import Decisions
from fraudline.adapters.tables.leases import Leases
from fraudline.adapters.tables.profiles import Profiles
from fraudline.adapters.tables.tombstones import erased_people
from fraudline.contract import Contract
from fraudline.erasure.people import Erased, nobody
from fraudline.errors import NotReady
from fraudline.microbatch.values import ScoringBundle
from fraudline.model.bundle import load_bundle
from fraudline.settings import Settings


def no_fault(step: str) -> None:
    """The hook of every deployment; chaos tests kill the worker in theirs."""


@dataclass(frozen=True)
class StreamDeps:
    """Where batches are read from and written to, and the model that scores them.

    `bundle_of` loads the bundle of a version, for a batch that an earlier champion began. `erased` reads who is erased;
    each drain asks it, for somebody may be between two of them. `clock` tells when decisions are made. `fault` is
    called with the name of each step of a batch (`batches.STEPS`) as it begins.
    """

    stream: Stream
    leases: Leases
    profiles: Profiles
    decisions: Decisions
    landing: Landing
    quarantine: Quarantine
    alerts: Alerts
    mover: Mover
    bundle: ScoringBundle
    bundle_of: Callable[[str], ScoringBundle]
    erased: Callable[[Contract], Erased] = nobody
    clock: Callable[[], int] = now_micros
    fault: Callable[[str], None] = no_fault


def stream_deps(
    settings: Settings,
    bundle: ScoringBundle,
    worker_id: str,
    stop: Callable[[], bool] = never,
    lease_seconds: float = 30.0,
) -> StreamDeps:
    """The dependencies of a deployment.

    `worker_id` must differ between any two workers that run at a time. Once `stop` says so (it may be asked from any
    thread), work ends after the batch under way, or at its first refused call.
    """
    if settings.alerts_topic_arn is None:
        raise NotReady("no alerts topic: set FRAUDLINE_ALERTS_TOPIC_ARN to the ARN of the topic that takes alerts")
    dynamodb, s3, contract = DynamoDB(AwsJson("dynamodb")), client("s3"), bundle.contract
    registry = Registry(S3Objects(s3, settings.models_bucket), contract.name)
    landing = S3Objects(s3, settings.landing_bucket)
    profiles = Profiles(dynamodb, settings.profiles_table, settings.decisions_table)
    return StreamDeps(
        stream=Stream(AwsJson("kinesis"), settings.stream),
        leases=Leases(dynamodb, settings.leases_table, settings.consumer, worker_id, lease_seconds, stop),
        profiles=profiles,
        decisions=Decisions(dynamodb, settings.decisions_table, contract, settings.decisions_keep_days),
        landing=Landing(landing),
        quarantine=Quarantine(S3Objects(s3, settings.quarantine_bucket)),
        alerts=Alerts(client("sns"), settings.alerts_topic_arn, contract.amount.minor_units),
        # A shard moves between two batches: whoever is erased by then is no longer in what it counts again.
        mover=Mover(Guarded(landing, partial(erased_people, settings, contract)), profiles, registry.champion),
        bundle=bundle,
        bundle_of=lambda version: load_bundle(registry.read(version).__getitem__, version),
        erased=partial(erased_people, settings),
    )

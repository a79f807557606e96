"""The steps of materialize and of applying labels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fraudline.adapters.archive.builds import record_build
from fraudline.adapters.archive.history import landed_keys
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.clock import now_micros
from fraudline.adapters.large.backfill import is_large_history
from fraudline.adapters.large.build import LargeBuild
from fraudline.adapters.large.shuffle import empty, temporary_scratch
from fraudline.adapters.large.workers import Workers, processes
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.s3 import S3Objects
from fraudline.adapters.tables.labels import Labels
from fraudline.adapters.tables.leases import Leases
from fraudline.adapters.tables.profiles import Profiles
from fraudline.adapters.tables.tombstones import erased_people
from fraudline.clock import format_micros
from fraudline.contract import Contract, contract_from
from fraudline.erasure.files import pseudonyms
from fraudline.errors import BadInput, NotReady
from fraudline.features.definition import feature_set
from fraudline.features.profile import LaggedHistory
from fraudline.labels import Verdict
from fraudline.materializing import build_lagged, newest_hour
from fraudline.model.bundle import read_manifest
from fraudline.settings import Settings, load_settings
from tasks import landing
from tasks.meter import meter
from tasks.progress import say
from tasks.steps import step

WRITE_SECONDS = 300.0
AT_ONCE = 500


@step(name="ask for the champion's contract", retries=2, retry_delay_seconds=2)
def contract_in_use(registry: Registry, configured: Contract) -> Contract:
    """The champion's contract; the configured one while there is none."""
    version = registry.champion()
    if version is None:
        return configured
    manifest = read_manifest(registry.read(version).__getitem__, version)
    return contract_from(manifest.contract, f"version {version}")


@step(name="begin to build lagged entities", retries=2, retry_delay_seconds=2)
def begin(settings: Settings, contract: Contract, now: int) -> int:
    """Up to which hour to build at `now`, after noting what is new to this build: all that comes from now on is not.

    Where a build of a later hour has begun already, that one is done again. `BadInput` for an hour that is still to
    come: no build could go before it any more, and all that comes until then would count from then on.
    """
    if newest_hour(contract, now) > newest_hour(contract, now_micros()):
        raise BadInput(f"{format_micros(now)} is still to come: build up to the present, or an earlier moment")
    labels = Labels(DynamoDB(AwsJson("dynamodb")), settings.labels_table)
    landed = S3Objects(client("s3"), settings.landing_bucket)
    if next(landed_keys(landed), None) is None:
        raise NotReady(f"nothing has landed in {landed.location} yet: land files, or score the stream")
    newest = labels.newest_build(within(WRITE_SECONDS))
    through = max(newest_hour(contract, now), newest)
    if through == newest:
        say("This hour was begun before: what has come since then counts from the next one on")
    labels.begin_build(through, within(WRITE_SECONDS))
    record_build(landed, through, landed_keys(landed))
    # One of a later hour may have begun before our record was there, and not have seen it.
    labels.begin_build(through, within(WRITE_SECONDS))
    return through


@dataclass(frozen=True)
class Past:
    """All that has landed: so many transactions, and what they make of lagged entities (`build_lagged`)."""

    contract: Contract
    rows: int
    build: Callable[[int, int], dict[str, LaggedHistory]]


@contextmanager
def past(contract: Contract) -> Iterator[Past]:
    """With labels at their own times: what will be known later is seen later.

    Much is worked on disk, in a temporary folder, by the processes of this machine; little is one table.
    """
    if not is_large_history(landing.landed()):
        table = landing.load_all(contract, landing.ALL_TIMES).table
        yield Past(contract, len(table), partial(build_lagged, table))
        return
    with temporary_scratch("fraudline-build-") as folder, processes(say) as workers:
        build = _dealt_out(contract, folder, workers)
        yield Past(contract, build.rows, build)


@step(name="read and sort by entity", retries=2, retry_delay_seconds=5)
def _dealt_out(contract: Contract, folder: Path, workers: Workers) -> LargeBuild:
    # Of an attempt before this one.
    empty(folder)
    progress = meter(f"materialize-progress-{contract.name}")
    landed = landing.on_disk(contract, landing.ALL_TIMES, folder, workers, progress)
    rename = partial(pseudonyms, erased=erased_people(load_settings(), contract))
    return LargeBuild(contract, landed, rename, folder, workers, progress)


@step(name="build lagged entities")
def build(settings: Settings, past: Past, through: int) -> int:
    """Write every lagged entity's history, then the hour they are built through; how many."""
    say(f"Building lagged entities from {past.rows:,} transactions")
    dynamodb, generation = DynamoDB(AwsJson("dynamodb")), feature_set(past.contract).hash
    profiles = Profiles(dynamodb, settings.profiles_table, settings.decisions_table)
    # In this order: whoever begins a batch after its row was read has read the hour after us.
    newest = profiles.built_through(generation, within(WRITE_SECONDS))
    leases = Leases(dynamodb, settings.leases_table, settings.consumer, "materialize").rows().values()
    hours = [newest, *(lease.intent.built_through or 0 for lease in leases if lease.intent)]
    read_at = min((hour for hour in hours if hour), default=through)
    # Somebody may have been erased since the table was read.
    erased = erased_people(settings, past.contract)
    histories = {erased.key(key): history for key, history in past.build(through, read_at).items()}
    profiles.publish(generation, histories, through, lambda: within(WRITE_SECONDS))
    return len(histories)


@step(name="apply labels", retries=2, retry_delay_seconds=5)
def apply_labels(settings: Settings, verdicts: Mapping[str, Sequence[Verdict]]) -> int:
    """Append each label to the store, once however often it is applied; how many were given."""
    store = Labels(DynamoDB(AwsJson("dynamodb")), settings.labels_table)
    ids = list(verdicts)
    for begin in range(0, len(ids), AT_ONCE):
        store.add_all({id_: verdicts[id_] for id_ in ids[begin : begin + AT_ONCE]}, within(WRITE_SECONDS))
        say(f"Applied labels of {min(begin + AT_ONCE, len(ids)):,} of {len(ids):,} transactions")
    return sum(map(len, verdicts.values()))

"""The steps of materialize and of applying labels."""

from collections.abc import Mapping, Sequence

from fraudline.adapters.aws_json import AwsJson
from fraudline.adapters.backoff import within
from fraudline.adapters.dynamodb import DynamoDB
from fraudline.adapters.labels import Labels
from fraudline.adapters.profiles import Profiles
from fraudline.adapters.registry import Registry
from fraudline.adapters.tombstones import erased_people
from fraudline.bundle import read_manifest
from fraudline.contract import Contract, contract_from
from fraudline.features.definition import feature_set
from fraudline.labels import Verdict
from fraudline.materializing import build_lagged
from fraudline.settings import Settings
from fraudline.table import TransactionTable
from tasks.progress import say
from tasks.steps import step

WRITE_SECONDS = 300.0
SHOWN_EVERY = 500


@step(name="ask for the champion's contract", retries=2, retry_delay_seconds=2)
def contract_in_use(registry: Registry, configured: Contract) -> Contract:
    """The champion's contract; the configured one while there is none."""
    version = registry.champion()
    if version is None:
        return configured
    manifest = read_manifest(registry.read(version).__getitem__, version)
    return contract_from(manifest.contract, f"version {version}")


@step(name="build later entities")
def build(settings: Settings, table: TransactionTable, through: int) -> int:
    """Write every later entity's history, then the hour they are built through; how many."""
    say(f"Building later entities from {len(table):,} transactions")
    # Somebody may have been erased since the table was read.
    erased = erased_people(settings, table.contract)
    histories = {erased.key(key): history for key, history in build_lagged(table, through).items()}
    profiles = Profiles(DynamoDB(AwsJson("dynamodb")), settings.profiles_table, settings.decisions_table)
    profiles.publish(feature_set(table.contract).hash, histories, through, within(WRITE_SECONDS))
    return len(histories)


@step(name="apply labels", retries=2, retry_delay_seconds=5)
def apply_labels(settings: Settings, verdicts: Mapping[str, Sequence[Verdict]]) -> int:
    """Append each label to the store, once however often it is applied; how many were given."""
    store = Labels(DynamoDB(AwsJson("dynamodb")), settings.labels_table)
    given = [(id_, verdict) for id_, told in verdicts.items() for verdict in told]
    for number, (id_, verdict) in enumerate(given, start=1):
        store.add(id_, verdict, within(WRITE_SECONDS))
        if number % SHOWN_EVERY == 0:
            say(f"Applied {number:,} of {len(given):,} labels")
    return len(given)

"""Forgetting a person: the tombstone, the profile between two batches, every store, and a look whether all is gone.

docs/erasure.md is the argument, step by step. Every step may be done again: a run that was killed is simply repeated.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.clock import now_micros
from fraudline.adapters.erasure.decisions import DecisionRows, Digests
from fraudline.adapters.erasure.labels import LabelRows
from fraudline.adapters.erasure.profiles import ProfileRows
from fraudline.adapters.erasure.restores import restorable_days
from fraudline.adapters.erasure.stores import Bucket, Folder, Store, Swept
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.kinesis import Stream
from fraudline.adapters.tables.leases import Lease, Leases
from fraudline.adapters.tables.tombstones import READ_SECONDS, Tombstones
from fraudline.clock import format_micros
from fraudline.contract import Contract
from fraudline.durations import DAY
from fraudline.erasure.people import Erased, Tombstone
from fraudline.errors import BadInput, FraudlineError, LostRace, NotReady
from fraudline.features.definition import feature_set
from fraudline.profiles import generation_in, profile_key
from fraudline.settings import Settings, erasure_key

LEASE_SECONDS = 30.0
# Longer than any slice that prefect.yaml starts.
WAIT_SECONDS = 600.0
_POLL_SECONDS = 0.1

Say = Callable[[str], None]


class Leftover(FraudlineError):
    """After a sweep something still tells of the person: look at the places named, then run it again."""


class StoreReceipt(msgspec.Struct, frozen=True):
    """What one store came to: objects or rows that were changed, old versions that were removed."""

    store: str
    changed: int
    purged: int


class Receipt(msgspec.Struct, frozen=True):
    """What was done about one person. `person` is the keyed hash; nothing here tells the id or the pseudonym.

    `expires` says what still holds the id and until when, as the deployment keeps it.
    """

    person: str
    entity: str
    erased_at: str
    finished_at: str
    stores: tuple[StoreReceipt, ...]
    expires: dict[str, str]

    @property
    def changed(self) -> int:
        return sum(store.changed + store.purged for store in self.stores)


@dataclass(frozen=True)
class Deployment:
    """The stores of one deployment, and folders with copies of what was in them."""

    settings: Settings
    contract: Contract
    dynamodb: DynamoDB
    folders: tuple[str, ...] = ()

    @property
    def tombstones(self) -> Tombstones:
        return Tombstones(self.dynamodb, self.settings.erasures_table, erasure_key())

    @property
    def profiles(self) -> ProfileRows:
        return ProfileRows(self.dynamodb, self.settings.profiles_table)

    def stores(self, erased: Erased) -> list[Store]:
        """In the order they are swept: the archive tells the decisions their digests."""
        settings, s3 = self.settings, client("s3")
        digests = Digests(self.contract, erased)
        return [
            Bucket(s3, settings.landing_bucket, digests.see),
            *(Bucket(s3, bucket) for bucket in settings.buckets if bucket != settings.landing_bucket),
            *(Folder(open_objects(folder)) for folder in self.folders),
            DecisionRows(self.dynamodb, settings.decisions_table, digests.of),
            LabelRows(self.dynamodb, settings.labels_table),
            self.profiles,
        ]


def deployment(settings: Settings, contract: Contract, folders: Sequence[str] = ()) -> Deployment:
    """The deployment that the environment names; `BadInput` for a folder that is not there, before anything is done."""
    for folder in folders:
        if "://" not in folder and not Path(folder).is_dir():
            raise BadInput(f"there is no folder {folder}: check its path, nothing was changed")
    return Deployment(settings, contract, DynamoDB(AwsJson("dynamodb")), tuple(folders))


def forget(of: Deployment, entity: str, id_: str, say: Say) -> Receipt:
    """Erase a person everywhere, for good; `Leftover` if something still tells of them at the end."""
    if entity not in {e.name for e in of.contract.entities}:
        names = ", ".join(e.name for e in of.contract.entities)
        raise BadInput(f"contract {of.contract.name!r} has no entity {entity!r}: name one of {names}")
    say("Waiting for the batches under way")
    tombstone, moved = _bury(of, entity, id_)
    erased = of.tombstones.erased(of.contract, within(READ_SECONDS), ((entity, id_),))
    stores = of.stores(erased)
    swept = [StoreReceipt("profiles in use", moved, 0), *_sweep(stores, erased, say)]
    say("Looking whether anything is left")
    if left := [place for store in stores for place in store.tells_of(id_)]:
        raise Leftover(f"{len(left)} places still tell of the person, the first is {left[0]}: run it again, then look")
    return _receipt(of, tombstone, swept)


def sweep(of: Deployment, say: Say) -> tuple[StoreReceipt, ...]:
    """Erase everybody again who has a tombstone: what a restored backup, an old file or a zombie has brought back."""
    erased = of.tombstones.erased(of.contract, within(READ_SECONDS))
    return tuple(_sweep(of.stores(erased), erased, say)) if erased else ()


def keep(receipt: Receipt, reports: str) -> str:
    """Put the receipt into the reports bucket; its name there."""
    key = f"erasures/{receipt.finished_at}-{receipt.person[:16]}.json"
    open_objects(f"s3://{reports}").put(key, msgspec.json.format(msgspec.json.encode(receipt), indent=1))
    return f"s3://{reports}/{key}"


def _sweep(stores: Sequence[Store], erased: Erased, say: Say) -> list[StoreReceipt]:
    receipts = []
    for store in stores:
        say(f"Sweeping {store.name}")
        done: Swept = store.sweep(erased)
        receipts.append(StoreReceipt(store.name, done.changed, done.purged))
    return receipts


def _bury(of: Deployment, entity: str, id_: str) -> tuple[Tombstone, int]:
    """The person's tombstone, and how many profiles were renamed with it, while the stream is at work on none.

    Whoever takes a lease after this has read the tombstone, and finds the profile under its new name.
    """
    # Read before the stream has to wait for us.
    known = of.profiles.keys_of(entity, id_)
    with _all_leases(of.settings, of.dynamodb) as renewed:
        while True:
            built = of.profiles.generations()
            in_use = {feature_set(of.contract).hash, *(lease.generation for lease in renewed())} - {""}
            generations = in_use.union(built.split())
            keys = known | {profile_key(entity, id_, generation) for generation in generations}
            if there := of.tombstones.of(entity, id_, within(READ_SECONDS)):
                erased = of.tombstones.erased(of.contract, within(READ_SECONDS))
                return there, sum(of.profiles.move(key, erased) for key in keys)
            # A build of lagged entities, or of a generation, asks for no lease: then once more.
            with suppress(LostRace):
                return _bury_now(of, entity, id_, keys, built)


def _bury_now(of: Deployment, entity: str, id_: str, keys: Iterable[str], built: str) -> tuple[Tombstone, int]:
    """Tombstone and profiles in one transaction: nobody knows the pseudonym before its profile is there.

    `LostRace`, and nothing done, if a profile has moved, or others than the generations of `built` are being built.
    """
    tombstone = of.tombstones.new(entity, id_, within(READ_SECONDS))
    new_keys = {key: profile_key(entity, tombstone.pseudonym, generation_in(key)) for key in keys}
    writes, renamed = of.profiles.renames(new_keys)
    of.dynamodb.transact([of.tombstones.write(tombstone), of.profiles.still(built), *writes], within(READ_SECONDS))
    return tombstone, renamed


@contextmanager
def _all_leases(settings: Settings, dynamodb: DynamoDB) -> Iterator[Callable[[], Sequence[Lease]]]:
    """Every lease of the consumer group in our name, as soon as their holders have done their slices.

    What comes renews them and returns them; `NotReady` if one is another's by now.
    """
    worker = f"forget-{secrets.token_hex(4)}"
    leases = Leases(dynamodb, settings.leases_table, settings.consumer, worker, LEASE_SECONDS)
    held: dict[str, Lease] = {}

    def renewed() -> Sequence[Lease]:
        try:
            held.update({shard: leases.renew(lease) for shard, lease in held.items()})
        except LostRace as lost:
            raise NotReady("a worker took a shard over while we slept: run it again") from lost
        return list(held.values())

    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while missing := _missing(leases, held):
            if time.monotonic() > deadline:
                owner = missing[0].owner
                raise NotReady(f"{missing[0].shard} is held by {owner} all the time: stop that worker, run it again")
            leases.report_waiting()
            held |= {lease.shard: mine for lease in missing if (mine := leases.acquire(lease))}
            renewed()
            time.sleep(_POLL_SECONDS)
        yield renewed
    finally:
        for lease in held.values():
            leases.release(lease)
        leases.report_gone()


def _missing(leases: Leases, held: dict[str, Lease]) -> list[Lease]:
    return [lease for shard, lease in leases.rows().items() if shard not in held and not lease.closed]


def _receipt(of: Deployment, tombstone: Tombstone, swept: Sequence[StoreReceipt]) -> Receipt:
    now = now_micros()
    retention = Stream(AwsJson("kinesis"), of.settings.stream).retention(within(READ_SECONDS))
    kept = {f"stream {of.settings.stream}": retention}
    for table in (of.settings.decisions_table, of.settings.labels_table, of.settings.profiles_table):
        if days := restorable_days(of.dynamodb, table):
            kept[f"restores of table {table}"] = days * DAY
    return Receipt(
        tombstone.person,
        tombstone.entity,
        format_micros(tombstone.erased_at),
        format_micros(now),
        tuple(swept),
        {name: format_micros(now + micros) for name, micros in kept.items()},
    )

"""The skew monitor's reading: the stream's decisions and profiles against the other ways to compute the same."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudline.adapters.archive.history import FILES
from fraudline.adapters.archive.reading import read_archive
from fraudline.adapters.aws.backoff import Deadline
from fraudline.adapters.inputs.files import load_transactions
from fraudline.adapters.storage.objects import Objects
from fraudline.adapters.tables.decisions import Decisions
from fraudline.adapters.tables.profiles import Profiles
from fraudline.contract import Contract
from fraudline.decision import REALTIME, Decision
from fraudline.features.offline import offline_features
from fraudline.features.online import OnlineFeatures
from fraudline.features.profile import History
from fraudline.microbatch.values import Reading
from fraudline.profiles import StoredProfile, decode_history, profile_key
from fraudline.quality.monitoring import LiveSkew
from fraudline.quality.skew import Recomputed, compare_offline, compare_paths, profile_differences, rebuild
from fraudline.transactions.table import Integers, TransactionTable, concatenate


def read_pasts(contract: Contract, landing: Objects) -> list[TransactionTable]:
    """What profiles may have counted, in the order it counted: the archive, and files warmed up from before it."""
    archived = read_archive(landing, contract).table
    if not len(archived) or not any(True for _ in landing.list(FILES)):
        return [archived]
    files = load_transactions(contract, [f"{landing.location}/{FILES}"]).table
    only = files.take(~pc.is_in(files.ids, value_set=archived.ids).to_numpy(zero_copy_only=False))
    both = concatenate([only, archived])
    return [archived, both.take(np.argsort(both.effective_time, kind="stable"))]


def live_skew(
    contract: Contract,
    pasts: Sequence[TransactionTable],
    transaction_ids: Sequence[str],
    decisions: Decisions,
    profiles: Profiles,
    deadline: Deadline,
) -> LiveSkew:
    """Compare what was recorded of these transactions with what each of `pasts` makes of them.

    A value that follows from any of them is right: whether profiles were warmed up from files is recorded nowhere.
    """
    online = OnlineFeatures(contract)
    stream = decisions.read(transaction_ids, deadline)
    at_checkout = decisions.read(transaction_ids, deadline, REALTIME)
    entities = sorted({next(iter(decision.entities.values())) for decision in stream.values()})
    settled = _settled(online, pasts[0], entities, decisions, profiles, deadline)
    return LiveSkew(
        paths=compare_paths(stream, at_checkout, online.set.names),
        offline=compare_offline(stream, [_recomputed(past, stream) for past in pasts], online.set),
        profiles_compared=len(settled),
        profiles=_differing_profiles(online, pasts, settled),
    )


def _recomputed(past: TransactionTable, decisions: Mapping[str, Decision]) -> Recomputed:
    """Features by transaction id, of those that were decided on."""
    ids = past.ids.to_pylist()
    wanted = np.array([id_ in decisions for id_ in ids], dtype=bool)
    return dict(zip((id_ for id_ in ids if id_ in decisions), offline_features(past, wanted).tolist(), strict=True))


def _settled(
    online: OnlineFeatures,
    archived: TransactionTable,
    entities: Iterable[str],
    decisions: Decisions,
    profiles: Profiles,
    deadline: Deadline,
) -> dict[str, StoredProfile]:
    """The profiles that stand at their entity's last archived transaction; others moved on while we read."""
    name = online.set.contract.partition_entity.name
    last = {id_: archived.ids[int(rows[-1])].as_py() for id_, rows in _rows_of(archived, entities).items()}
    positions = decisions.read(last.values(), deadline)
    keys = {id_: profile_key(name, id_, online.set.hash) for id_ in last}
    stored = profiles.view(Reading((), (), keys, {}), frozenset(), deadline).profiles
    return {
        id_: profile
        for id_, profile in stored.items()
        if last[id_] in positions and positions[last[id_]].position == profile.position
    }


def _differing_profiles(
    online: OnlineFeatures, pasts: Sequence[TransactionTable], settled: Mapping[str, StoredProfile]
) -> dict[str, int]:
    """How many profiles differ in each part from what every past makes of them."""
    rows = [_rows_of(past, settled) for past in pasts]
    differing: Counter[str] = Counter()
    for id_, profile in settled.items():
        stored = decode_history(profile.history)
        rebuilt = [_rebuilt(online, past.take(at[id_])) for past, at in zip(pasts, rows, strict=True)]
        differing.update(_fewest([profile_differences(stored, history) for history in rebuilt]))
    return dict(differing)


def _fewest(found: list[list[str]]) -> list[str]:
    return min(found, key=len)


def _rebuilt(online: OnlineFeatures, own: TransactionTable) -> History:
    return rebuild(online, zip(own.transactions(), own.effective_time.tolist(), strict=True))


def _rows_of(past: TransactionTable, entities: Iterable[str]) -> dict[str, Integers]:
    """The positions of each of these partition entities' transactions, as far as they have any."""
    codes = past.entities[0]
    wanted = pc.index_in(pa.array(list(entities), pa.string()), value_set=codes.values).to_pylist()
    return {codes.values[code].as_py(): np.flatnonzero(codes.codes == code) for code in wanted if code is not None}

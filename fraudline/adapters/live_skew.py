"""The skew monitor's reading: the stream's decisions and profiles against the other ways to compute the same."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from fraudline.adapters.archive_reader import Counted, archived_table
from fraudline.adapters.backoff import Deadline
from fraudline.adapters.decisions import Decisions
from fraudline.adapters.profiles import Profiles
from fraudline.contract import Contract
from fraudline.decision import Decision
from fraudline.features.offline import offline_features
from fraudline.features.online import OnlineFeatures
from fraudline.microbatch import Reading
from fraudline.profiles import decode_history, profile_key
from fraudline.quality.monitoring import LiveSkew
from fraudline.quality.skew import compare_offline, compare_paths, profile_differences, rebuild

REALTIME = "realtime"


def live_skew(
    contract: Contract,
    archive: Sequence[Counted],
    transaction_ids: Sequence[str],
    decisions: Decisions,
    profiles: Profiles,
    deadline: Deadline,
) -> LiveSkew:
    """Compare what was recorded of these transactions; `archive` holds all of their entities' past, in order."""
    online = OnlineFeatures(contract)
    stream = decisions.read(transaction_ids, deadline)
    at_checkout = decisions.read(transaction_ids, deadline, REALTIME)
    entities = {next(iter(decision.entities.values())) for decision in stream.values()}
    compared, differing = _compare_profiles(online, archive, entities, profiles, deadline)
    return LiveSkew(
        paths=compare_paths(stream, at_checkout, online.set.names),
        offline=compare_offline(stream, _recomputed(contract, archive, stream), online.set),
        profiles_compared=compared,
        profiles=differing,
    )


def _recomputed(
    contract: Contract, archive: Sequence[Counted], decisions: Mapping[str, Decision]
) -> dict[str, list[float]]:
    """Features by transaction id, of those that were decided on."""
    table = archived_table(contract, archive)
    ids = [id_ for id_ in table.ids.to_pylist() if id_ in decisions]
    wanted = np.array([id_ in decisions for id_ in table.ids.to_pylist()])
    return dict(zip(ids, offline_features(table, wanted).tolist(), strict=True))


def _compare_profiles(
    online: OnlineFeatures, archive: Sequence[Counted], entities: set[str], profiles: Profiles, deadline: Deadline
) -> tuple[int, dict[str, int]]:
    """How many profiles stand where the archive ends, and how many of those differ in each part."""
    past: defaultdict[str, list[Counted]] = defaultdict(list)
    for row in archive:
        if row.transaction.entities[0] in entities:
            past[row.transaction.entities[0]].append(row)
    name = online.set.contract.partition_entity.name
    keys = {id_: profile_key(name, id_, online.set.hash) for id_ in past}
    stored = profiles.view(Reading((), (), keys, {}), frozenset(), deadline).profiles
    # A profile that has moved on while we read says nothing.
    settled = [id_ for id_ in stored if stored[id_].position == past[id_][-1].position]
    differing: Counter[str] = Counter()
    for id_ in settled:
        rebuilt = rebuild(online, ((row.transaction, row.effective_time) for row in past[id_]))
        differing.update(profile_differences(decode_history(stored[id_].history), rebuilt))
    return len(settled), dict(differing)

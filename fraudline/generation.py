"""A generation of profiles from history: what a stream that had read these transactions would remember.

A consumer group with new features, or a deployment with a past, starts warm instead of taking everybody for new.
"""

from collections.abc import Iterable, Iterator

from fraudline.contract import Contract
from fraudline.features.definition import feature_set
from fraudline.features.online import OnlineFeatures
from fraudline.features.profile import History
from fraudline.profiles import ProfileChange, encode_history, profile_key
from fraudline.stream import NOTHING, SEQUENCE_DIGITS
from fraudline.transaction import Transaction

# After nothing and before every record of any shard.
FROM_HISTORY = "0" * SEQUENCE_DIGITS + "#history"


def build_histories(contract: Contract, transactions: Iterable[Transaction]) -> dict[str, History]:
    """Histories of the partition entity by id, from transactions in the order they count."""
    online = OnlineFeatures(contract)
    histories: dict[str, History] = {}
    for transaction in transactions:
        id_ = transaction.entities[0]
        history = histories.get(id_) or histories.setdefault(id_, online.new_history())
        online.count(history, transaction, max(transaction.timestamp, history.last))
    return histories


def new_profiles(contract: Contract, histories: dict[str, History]) -> Iterator[ProfileChange]:
    """Histories as profiles that nothing has been counted in since; written only where there is none yet."""
    name, generation = contract.partition_entity.name, feature_set(contract).hash
    for id_, history in histories.items():
        key = profile_key(name, id_, generation)
        yield ProfileChange(key, NOTHING, FROM_HISTORY, encode_history(history))

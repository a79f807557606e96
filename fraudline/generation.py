"""A generation of profiles from history: what a stream that had read these transactions would remember.

A consumer group with new features, or a deployment with a past, starts warm instead of taking everybody for new.
docs/exactly-once.md says why what is built here is what a group with these features would hold.
"""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import NamedTuple

from fraudline.archive import Row
from fraudline.contract import Contract
from fraudline.features.definition import feature_set
from fraudline.features.limits import too_many
from fraudline.features.online import OnlineFeatures
from fraudline.features.profile import History
from fraudline.profiles import ProfileChange, StoredProfile, decode_history, encode_history, profile_key
from fraudline.stream import NOTHING, SEQUENCE_DIGITS
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator

# After nothing and before every record of any shard.
FROM_HISTORY = "0" * SEQUENCE_DIGITS + "#history"


class Counted(NamedTuple):
    """An entity's history and the position of the last record in it; counting moves the history itself on."""

    position: str
    history: History


class ArchivedEvent(NamedTuple):
    """A row of the archive that these features' contract takes for a transaction."""

    row: Row
    transaction: Transaction


class Generation:
    """Counts transactions into the profiles of one contract's features."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._online = OnlineFeatures(contract)
        self._validator = Validator(contract)
        self._entity = contract.partition_entity.name
        self.name = feature_set(contract).hash

    def key(self, id_: str, generation: str = "") -> str:
        """Where the entity's profile is kept, of this generation or the one that is named."""
        return profile_key(self._entity, id_, generation or self.name)

    def events(self, rows: Iterable[Row]) -> list[ArchivedEvent]:
        """The rows that are transactions; what this contract refuses is none, whatever another one said."""
        decoded = ((row, self._validator.decode(bytes(row.record), row.arrived_at)) for row in rows)
        return [ArchivedEvent(row, found) for row, found in decoded if isinstance(found, Transaction)]

    def warm(self, transactions: Iterable[Transaction]) -> dict[str, Counted]:
        """Profiles by entity id of a history, its transactions in the order they count.

        `BadInput` if there are more of one entity than offline code can sum up.
        """
        profiles: dict[str, Counted] = {}
        for transaction in transactions:
            counted = self._of(profiles, transaction, FROM_HISTORY)
            self._online.count(counted.history, transaction, max(transaction.timestamp, counted.history.last))
        for _, history in profiles.values():
            if not self._online.has_room(history):
                raise too_many(self._contract, history.totals[0])
        return profiles

    def count(self, profiles: MutableMapping[str, Counted], events: Iterable[ArchivedEvent]) -> None:
        """Move profiles on by the events they have not counted yet; an entity's events come in their order."""
        for row, transaction in events:
            counted = self._of(profiles, transaction, NOTHING)
            if row.position > counted.position:
                self._online.count(counted.history, transaction, row.effective_time)
                profiles[transaction.entities[0]] = Counted(row.position, counted.history)

    def changes(self, profiles: Mapping[str, Counted], stored: Mapping[str, StoredProfile]) -> Sequence[ProfileChange]:
        """What to write where the stored profiles (by entity id) are behind these: a profile never goes back."""
        at = {id_: stored[id_].position if id_ in stored else NOTHING for id_ in profiles}
        return [
            ProfileChange(self.key(id_), at[id_], counted.position, encode_history(counted.history))
            for id_, counted in profiles.items()
            if counted.position > at[id_]
        ]

    def _of(self, profiles: MutableMapping[str, Counted], transaction: Transaction, position: str) -> Counted:
        id_ = transaction.entities[0]
        return profiles.get(id_) or profiles.setdefault(id_, Counted(position, self._online.new_history()))


def counted(stored: StoredProfile) -> Counted:
    """A stored profile, to be moved on."""
    return Counted(stored.position, decode_history(stored.history))


def differing(profiles: Mapping[str, Counted], others: Mapping[str, StoredProfile]) -> list[str]:
    """Entities whose profiles stand at one position in two generations and have not counted the same transactions.

    How many there were and when the last one counted is told alike by all features.
    """
    return [
        id_
        for id_, other in others.items()
        if other.position == profiles[id_].position and _past(counted(other)) != _past(profiles[id_])
    ]


def _past(profile: Counted) -> tuple[int, int]:
    return profile.history.totals[0], profile.history.last

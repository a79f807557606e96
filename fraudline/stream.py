"""What a shard hands over: records with their positions, and the intent that pins what is done with them."""

import hashlib

import msgspec

from fraudline.errors import BadInput

# Kinesis sequence numbers have 56 digits today; padded, their order is that of text.
SEQUENCE_DIGITS = 56
# A checkpoint is a sequence number, or one of these two before the first record is done.
TRIM_HORIZON = "TRIM_HORIZON"
_AT = "@"
# Before every position: what a profile has counted that has counted nothing.
NOTHING = ""


def position_of(sequence: str, shard: str) -> str:
    """The zero-padded sequence number and the shard: sorts as the stream orders one entity's records.

    >>> position_of("12", "shardId-000000000000") > position_of("9", "shardId-000000000001")
    True
    """
    if len(sequence) > SEQUENCE_DIGITS:
        raise BadInput(f"sequence number {sequence} has over {SEQUENCE_DIGITS} digits: widen positions")
    return f"{sequence:0>{SEQUENCE_DIGITS}}#{shard}"


class Shard(msgspec.Struct, frozen=True):
    """A shard and the hash keys it owns, both ends included; `parents` are what it was split or merged from."""

    id: str
    first_hash: int
    last_hash: int
    parents: tuple[str, ...] = ()

    def owns(self, partition_key: str) -> bool:
        """Whether Kinesis sends this key here when the producer does not interfere."""
        # MD5 is how Kinesis spreads keys, no secret.
        digest = hashlib.md5(partition_key.encode(), usedforsecurity=False).digest()
        return self.first_hash <= int.from_bytes(digest, "big") <= self.last_hash


class Record(msgspec.Struct, frozen=True):
    """One record as Kinesis delivers it; `arrived_at` in microseconds since the epoch.

    `placed_by` is the key that chose the shard, where an erased person's record goes by a pseudonym since.
    """

    sequence: str
    position: str
    partition_key: str
    arrived_at: int
    data: bytes
    placed_by: str = ""


class Intent(msgspec.Struct, frozen=True):
    """Everything about a batch that its records and profiles do not say, written down before it is done.

    `end` is its last sequence number, `records` how many it has, `scored_at` the clock its decisions tell
    (microseconds), `built_through` the hour its lagged entities are read at (None where the contract has none). `name`
    is what its objects are called: a replay that finds its first records expired could not make it out any more.
    """

    end: str
    records: int
    model_version: str
    scored_at: int
    built_through: int | None = None
    name: str = ""


class Batch(msgspec.Struct, frozen=True):
    """At least one record of one shard, in order, and the intent that ends with the last of them."""

    shard: Shard
    records: tuple[Record, ...]
    intent: Intent


def at_timestamp(time: int) -> str:
    """The checkpoint before the first record that arrived at `time` (microseconds since the epoch) or later."""
    return f"{_AT}{time}"


def timestamp_in(checkpoint: str) -> int | None:
    """The time of a checkpoint that is one, else None.

    >>> timestamp_in(at_timestamp(5))
    5
    """
    return int(checkpoint.removeprefix(_AT)) if checkpoint.startswith(_AT) else None

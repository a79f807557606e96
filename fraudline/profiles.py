"""A profile: what is remembered of one entity, up to which position of the stream, and the key it goes under.

A generation is the feature hash: profiles of two feature sets live side by side until the newer one is ready.
"""

import msgspec

from fraudline.features.profile import History, LaggedHistory
from fraudline.stream import NOTHING


class StoredProfile(msgspec.Struct, frozen=True):
    """The partition entity's history, encoded, and the position of the last record it has counted."""

    position: str
    history: bytes


class ProfileChange(msgspec.Struct, frozen=True):
    """A profile to write, if `read_position` is still the stored one (empty: if there is none)."""

    key: str
    read_position: str
    position: str
    history: bytes

    @property
    def is_new(self) -> bool:
        return self.read_position == NOTHING


class Mark(msgspec.Struct, frozen=True):
    """A generation has counted a shard's records up to the sequence number `through` (empty: none).

    Later ones were archived on `day` at the earliest (empty: not known).
    """

    through: str
    day: str


_history = msgspec.msgpack.Decoder(History)
_lagged = msgspec.msgpack.Decoder(LaggedHistory)
_encoder = msgspec.msgpack.Encoder()


def profile_key(entity: str, id_: str, generation: str) -> str:
    """The `entity` key of a profile, such as `user#U1#0f3a…`.

    >>> profile_key("user", "U1", "0f3a")
    'user#U1#0f3a'
    """
    return f"{entity}#{id_}#{generation}"


def generation_in(key: str) -> str:
    """The generation that a profile's key names."""
    return key.rpartition("#")[2]


def built_through_key(generation: str) -> str:
    """The key of the row that says up to which hour a generation's lagged entities are built."""
    return f"#built_through#{generation}"


def mark_key(generation: str, shard: str) -> str:
    """The key of the row that says how much of a shard a generation has counted."""
    return f"#counted#{generation}#{shard}"


# The key of the row that names all generations whose profiles somebody has begun to build.
GENERATIONS = "#generations"


def built_position(through: int) -> str:
    """The position of a lagged entity's profile, by the hour (microseconds) it was built through, in the hours' order.

    >>> built_position(0) < built_position(3_600_000_000) < built_position(36_000_000_000)
    True
    """
    return f"{through:020d}"


def is_built(position: str) -> bool:
    """Whether it is a lagged entity's position, an hour, and none of the stream, which names a shard.

    >>> is_built(built_position(3_600_000_000)), is_built("0" * 56 + "#shardId-000000000000")
    (True, False)
    """
    return "#" not in position


def encode_history(history: History | LaggedHistory) -> bytes:
    return _encoder.encode(history)


def decode_history(data: bytes) -> History:
    return _history.decode(data)


def decode_lagged(data: bytes) -> LaggedHistory:
    return _lagged.decode(data)

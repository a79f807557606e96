"""The DynamoDB tables' keys and indexes; `infra/modules/tables` creates the same on AWS."""

from dataclasses import dataclass
from typing import Literal

AttributeType = Literal["S", "N"]

# What of one user (its transactions in time), and what is to be reviewed today (the dearest first).
BY_ENTITY = "by_entity"
BY_ALERT_DAY = "by_alert_day"
# The attribute that DynamoDB's TTL reads, in epoch seconds; only deployments that want it set it.
EXPIRES_AT = "expires_at"


@dataclass(frozen=True)
class Key:
    """A partition key and a sort key, where there is one."""

    partition: str
    sort: str | None = None

    @property
    def attributes(self) -> tuple[str, ...]:
        return (self.partition,) if self.sort is None else (self.partition, self.sort)


@dataclass(frozen=True)
class Table:
    key: Key
    indexes: tuple[tuple[str, Key], ...] = ()
    expires: bool = False

    @property
    def attributes(self) -> dict[str, AttributeType]:
        """Every key attribute with its type: all are strings but the money."""
        keys = (self.key, *(key for _, key in self.indexes))
        return {name: "N" if name == "expected_loss" else "S" for key in keys for name in key.attributes}


DECISIONS = Table(
    Key("transaction_id", "origin"),
    indexes=((BY_ENTITY, Key("entity", "event_time")), (BY_ALERT_DAY, Key("alert_day", "expected_loss"))),
    expires=True,
)
PROFILES = Table(Key("entity"))
# A lease row holds a position: no TTL may forget it.
LEASES = Table(Key("consumer", "shard"))
LABELS = Table(Key("transaction_id"))
ERASURES = Table(Key("person"))

"""The values the core works on: a valid transaction, or the reasons why a record is not one."""

import msgspec


class Transaction(msgspec.Struct, frozen=True):
    """A record that keeps its contract, in the units of the core.

    `timestamp` is in microseconds since the epoch (UTC), `amount` in integer minor units. `entities`, `categories` and
    `flags` follow the contract's order; a null category is "". `label` is 1, 0 or None where the record does not say.
    """

    id: str
    timestamp: int
    amount: int
    entities: tuple[str, ...]
    categories: tuple[str, ...]
    flags: tuple[int, ...]
    label: int | None = None


class Problem(msgspec.Struct, frozen=True):
    """One reason why a record is refused: the column, a stable code to count by, and a sentence to act on."""

    field: str
    code: str
    message: str


# Of transactions with one id and other values only the first counts: on every path refused by this code.
CONFLICTING_ID = "conflicting_id"
CONFLICT = Problem("", CONFLICTING_ID, "another transaction came first under this id, with other content")


class Rejected(msgspec.Struct, frozen=True):
    """A record that is no transaction, with everything that is wrong with it (at least one problem)."""

    problems: tuple[Problem, ...]

    @property
    def reason(self) -> str:
        """The code the quarantine counts this record under: that of its first problem."""
        return self.problems[0].code

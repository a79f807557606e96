"""How much of one entity can be summed up: offline code computes in 64 bits, so online code counts no further."""

from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.features.constants import OUTLIER_RATIO

MOST = 2**63 - 1


def largest_amount(contract: Contract) -> int:
    """In minor units."""
    return round(contract.amount.max * contract.amount.minor_units)


def fits(count: int, total: int, squares: int, largest: int) -> bool:
    """Whether these totals, and what outliers are told by, are below 2**63; `largest` is the `largest_amount`."""
    return squares <= MOST and OUTLIER_RATIO * total <= MOST and count * largest <= MOST


def too_many(contract: Contract, count: int) -> BadInput:
    """What is said of an input in which one entity has so many transactions that they do not fit."""
    return BadInput(
        f"a {contract.partition_entity.name} has {count:,} transactions, more than can be summed up exactly: leave out"
        " its oldest, or name an entity first that has fewer"
    )

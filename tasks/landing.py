"""Reading transactions, and keeping those that are none where a person finds them."""

from collections.abc import Sequence

from fraudline.adapters.files import load_transactions, rejected_lines
from fraudline.adapters.objects import open_objects
from fraudline.columns import Landed
from fraudline.contract import Contract
from tasks.progress import say
from tasks.steps import step


@step(name="load transactions")
def load(contract: Contract, locations: Sequence[str]) -> Landed:
    return load_transactions(contract, locations, lambda source, rows: say(f"Read {rows:,} rows from {source}"))


@step(name="quarantine rejected rows", retries=2, retry_delay_seconds=2)
def quarantine(landed: Landed, location: str, key: str) -> str | None:
    """Where the rejected rows were put, or None where there are none."""
    if not landed.rejects:
        return None
    objects = open_objects(location)
    objects.put(key, rejected_lines(landed.rejects))
    return f"{objects.location}/{key}"

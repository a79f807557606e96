"""Erasing again everybody who has a tombstone. Raw ids never come here: Prefect keeps what runs are given."""

from dataclasses import asdict, dataclass

from fraudline.adapters.erasure import forgetting
from fraudline.contract import Contract
from fraudline.settings import Settings
from tasks.artifacts import show_table
from tasks.progress import say
from tasks.steps import step


@dataclass(frozen=True)
class Store:
    """What was brought back to one store and has been replaced again."""

    store: str
    changed: int
    purged: int


@step(name="sweep every store", retries=2, retry_delay_seconds=30)
def sweep(settings: Settings, contract: Contract) -> tuple[Store, ...]:
    """All stores, or none if nobody is erased; sweeping twice changes nothing more."""
    swept = forgetting.sweep(forgetting.deployment(settings, contract), say)
    stores = tuple(Store(receipt.store, receipt.changed, receipt.purged) for receipt in swept)
    show_table(f"forget-{contract.name}", [asdict(store) for store in stores], "What had come back of erased people")
    return stores

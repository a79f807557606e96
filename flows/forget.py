"""Forget: keep erased people erased. The erasure itself begins at the command line, which alone is told the id."""

from dataclasses import dataclass

from prefect import flow
from pydantic import BaseModel, Field

from flows import defaults
from fraudline.contract import load_contract
from fraudline.settings import load_settings
from tasks import forgetting
from tasks.artifacts import tag_run


class ForgetRequest(BaseModel):
    """Whose stores to sweep: this deployment's. People are known by their tombstones."""

    contract: str = Field(
        default_factory=defaults.contract,
        description="A shipped contract (ecommerce, cards) or a TOML file; by default the deployment's",
    )


@dataclass(frozen=True)
class ForgetResult:
    """What had come back since the last sweep, and has been replaced again."""

    changed: int
    purged: int


@flow(name="forget", flow_run_name="forget-{request.contract}")
def forget(request: ForgetRequest) -> ForgetResult:
    """Sweep every store for everybody erased: what an old file, a restored table or a zombie has brought back."""
    contract = load_contract(request.contract)
    tag_run(contract=contract.name)
    stores = forgetting.sweep(load_settings(), contract)
    return ForgetResult(sum(store.changed for store in stores), sum(store.purged for store in stores))

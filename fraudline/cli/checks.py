"""What is wrong with a command's input, told before seconds go into importing what would work on it.

Each check is the flow's own.
"""

from collections.abc import Sequence
from typing import Any


def checked_input(contract: str, transactions: Sequence[str]) -> Any:
    """The contract of that name, if there is one and the files are there."""
    from fraudline.contract import load_contract

    definition = load_contract(contract)
    if transactions:
        from fraudline.adapters.inputs.files import require_files

        require_files(transactions)
    return definition


def checked_registry(models: str, contract: Any) -> Any:
    """The registry of the contract's models, if that place can be one."""
    from fraudline.adapters.registry import open_registry

    return open_registry(models, contract.name)

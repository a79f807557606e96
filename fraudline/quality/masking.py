"""Personal data out of reports: ids of people and their transactions keep a few characters to tell them apart."""

import json
import re

from fraudline.contract import Contract

MAX_SHOWN = 48
_HIDDEN = "•••"
_NUMERIC = re.compile(r"[\d.,:/+\-TZeE ]*")
_PERSONAL = re.compile(r"\d{5}|@")


def mask(text: str) -> str:
    """An id nobody can look up: its first and last two characters, if it has enough of them.

    >>> mask("U000123"), mask("U7")
    ('U0•••23', '•••')
    """
    return f"{text[:2]}{_HIDDEN}{text[-2:]}" if len(text) > 6 else _HIDDEN


def personal_columns(contract: Contract) -> frozenset[str]:
    """The transaction's own id and those of its entities."""
    return frozenset((contract.id.column, *(entity.column for entity in contract.entities)))


def shown(contract: Contract, column: str, value: object) -> str:
    """A cell as a report may show it."""
    if value is None or value == "":
        return "(empty)"
    text = value if isinstance(value, str) else json.dumps(value)
    if column in personal_columns(contract) or _is_strange(contract, column, text):
        return mask(text)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text)} characters)"


def plain(value: str) -> str:
    """A category's value, masked where somebody's number or address stands in it.

    >>> plain("Lyon"), plain("U000123")
    ('Lyon', 'U0•••23')
    """
    return mask(value) if _PERSONAL.search(value) else value


def _is_strange(contract: Contract, column: str, text: str) -> bool:
    """A number of a card or an address where a short text belongs: somebody has shifted the columns.

    Of numbers and times it may be any text that is none.
    """
    if column in (contract.amount.column, contract.timestamp.column) and _NUMERIC.fullmatch(text):
        return False
    return _PERSONAL.search(text) is not None

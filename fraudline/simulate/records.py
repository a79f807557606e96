"""Transactions as stream records: one compact JSON object each, what is known at checkout and no label."""

from collections.abc import Iterator, Mapping

import msgspec
import pandas as pd

from fraudline.simulate.transactions import LABEL


def to_records(frame: pd.DataFrame) -> Iterator[bytes]:
    """Encode each row of `frame` in its order, without the label; amounts are numbers with two decimals.

    >>> frame = pd.DataFrame([{"transaction_id": "T1", "amount": 12.5, "is_vpn": 0, "is_fraud": 1}])
    >>> next(to_records(frame))
    b'{"transaction_id":"T1","amount":12.50,"is_vpn":0}'
    """
    return map(encode, rows(frame))


def rows(frame: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Each row of `frame` as a mapping of plain Python values, without the label."""
    names = [str(name) for name in frame.columns if name != LABEL]
    return (dict(zip(names, values, strict=True)) for values in frame[names].itertuples(index=False, name=None))


def encode(row: Mapping[str, object]) -> bytes:
    """One row as compact JSON; an amount that is not a number stays as wrong as it is."""
    return msgspec.json.encode({**row, "amount": msgspec.Raw(_json_amount(row["amount"]))})


def amount_text(amount: float) -> str:
    """An amount with two decimals, or with all it has when they are more."""
    return f"{amount:.2f}" if round(amount, 2) == amount else repr(amount)


def _json_amount(amount: object) -> bytes:
    if not isinstance(amount, float):
        return msgspec.json.encode(amount)
    return b"NaN" if amount != amount else amount_text(amount).encode()

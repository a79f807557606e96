"""Erasure in the decisions table: decisions of every path, and alerts."""

import base64
from collections.abc import Iterator, Mapping

from fraudline.adapters.aws.dynamodb import WRITE_ITEMS, DynamoDB
from fraudline.adapters.erasure.rows import Row, call_deadline, rows_with
from fraudline.adapters.erasure.stores import Swept
from fraudline.archive import decode_archive
from fraudline.contract import Contract
from fraudline.decision import digest
from fraudline.erasure.people import Erased
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator


class Digests:
    """What the archive's transactions of erased people have as digest since, by transaction id.

    A copy that comes late carries the pseudonym, too: by this it is known for a duplicate.
    """

    def __init__(self, contract: Contract, erased: Erased) -> None:
        self._validator = Validator(contract)
        self._pseudonyms = [pseudonym.encode() for pseudonym in erased.pseudonyms]
        self.of: dict[str, bytes] = {}

    def see(self, key: str, data: bytes) -> None:
        """Take note of an archive object; others are none."""
        if not key.startswith("archive/"):
            return
        for row in decode_archive(data).rows:
            record = bytes(row.record)
            if any(pseudonym in record for pseudonym in self._pseudonyms):
                transaction = self._validator.decode(record)
                if isinstance(transaction, Transaction):
                    self.of[transaction.id] = digest(transaction)


class DecisionRows:
    """The decisions table as a store to sweep, after the archive, whose `digests` it takes."""

    def __init__(self, dynamodb: DynamoDB, table: str, digests: Mapping[str, bytes]) -> None:
        self.name = f"table {table}"
        self._dynamodb = dynamodb
        self._table = table
        self._digests = digests

    def sweep(self, erased: Erased) -> Swept:
        changed = 0
        waiting: list[Row] = []
        for row in self._rows():
            if (replaced := erased.value(row)) != row:
                waiting.append(self._with_digest(replaced, erased))
                changed += 1
            if len(waiting) == WRITE_ITEMS:
                self._dynamodb.write(self._table, waiting, call_deadline())
                waiting = []
        self._dynamodb.write(self._table, waiting, call_deadline())
        return Swept(changed)

    def tells_of(self, id_: str) -> Iterator[str]:
        return rows_with(self._rows(), id_, self.name)

    def _with_digest(self, row: Row, erased: Erased) -> Row:
        """The digest is made of the id, too: whoever has the rest could try ids until it fits."""
        if "digest" not in row:
            return row
        old = base64.b64decode(row["digest"]["B"])
        return {**row, "digest": {"B": self._digests.get(row["transaction_id"]["S"]) or erased.digest(old)}}

    def _rows(self) -> Iterator[Row]:
        return self._dynamodb.scan(self._table, call_deadline)

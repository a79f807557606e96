"""The archive in the landing bucket: one object for each batch, created only if absent."""

from fraudline.adapters.storage.objects import NotFound, Objects
from fraudline.archive import Account, Archived, Row, batch_name, decode_archive, encode_archive
from fraudline.stream import Batch

PREFIX = "archive/"
SUFFIX = ".jsonl.gz"


class Landing:
    """Writes and finds a batch's archive object."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def find(self, batch: Batch) -> Archived | None:
        """What an earlier attempt at this batch archived, if one came that far."""
        try:
            return decode_archive(self._objects.get(_key(batch)))
        except NotFound:
            return None

    def archive(self, batch: Batch, account: Account, rows: tuple[Row, ...]) -> bool:
        """Create the object; False if there is one that tells of another outcome."""
        data = encode_archive(account, rows)
        # An answer that got lost makes a retry find what the first try wrote.
        return self._objects.put_new(_key(batch), data) or self._objects.get(_key(batch)) == data


def _key(batch: Batch) -> str:
    return PREFIX + batch_name(batch) + SUFFIX

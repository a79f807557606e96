"""Objects through which no erased id is read or written, however old what lies there or what is written is."""

from collections.abc import Callable, Iterator
from pathlib import Path

from fraudline.adapters.storage.objects import Objects, open_objects
from fraudline.adapters.tables.tombstones import erased_people
from fraudline.contract import load_contract
from fraudline.erasure.people import Erased
from fraudline.settings import erasure_key, load_settings


class Guarded:
    """The objects behind it, but for ids of people who are erased by the time."""

    def __init__(self, objects: Objects, erased: Callable[[], Erased]) -> None:
        self._objects = objects
        self._erased = erased
        self.list, self.exists, self.delete, self.tag = objects.list, objects.exists, objects.delete, objects.tag

    @property
    def location(self) -> str:
        return self._objects.location

    def get(self, key: str) -> bytes:
        return self._without(key, self._objects.get(key))

    def sizes(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """As they are stored: a pseudonym may be longer than the id it stands for."""
        return self._objects.sizes(prefix)

    def fetch(self, key: str, path: Path) -> None:
        """A file is changed in memory, where there is anybody to be replaced in it: it must fit there."""
        if self._erased():
            path.write_bytes(self.get(key))
        else:
            self._objects.fetch(key, path)

    def put(self, key: str, data: bytes) -> None:
        self._objects.put(key, self._without(key, data))

    def put_new(self, key: str, data: bytes) -> bool:
        return self._objects.put_new(key, self._without(key, data))

    def put_if(self, key: str, data: bytes, tag: str) -> bool:
        return self._objects.put_if(key, self._without(key, data), tag)

    def _without(self, key: str, data: bytes) -> bytes:
        erased = self._erased()
        if not erased:
            return data
        # A scoring process goes without Arrow for as long as it can.
        from fraudline.erasure.files import rewritten

        return rewritten(key, data, erased)


def open_guarded(location: str) -> Objects:
    """The objects of `open_objects`, for those who are erased now; without a key nobody is known."""
    objects = open_objects(location)
    if erasure_key() is None:
        return objects
    settings = load_settings()
    erased = erased_people(settings, load_contract(settings.contract))
    return Guarded(objects, lambda: erased)

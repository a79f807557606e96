"""Objects into which no erased id is written: reports and refused rows of files that may be older than an erasure."""

from fraudline.adapters.objects import Objects, open_objects
from fraudline.adapters.tombstones import erased_people
from fraudline.contract import load_contract
from fraudline.erasure import Erased
from fraudline.erasure_files import rewritten
from fraudline.settings import erasure_key, load_settings


class Guarded:
    """The objects behind it, but for what is written."""

    def __init__(self, objects: Objects, erased: Erased) -> None:
        self._objects = objects
        self._erased = erased
        self.get, self.list, self.exists, self.delete = objects.get, objects.list, objects.exists, objects.delete

    @property
    def location(self) -> str:
        return self._objects.location

    def put(self, key: str, data: bytes) -> None:
        self._objects.put(key, rewritten(key, data, self._erased))

    def put_new(self, key: str, data: bytes) -> bool:
        return self._objects.put_new(key, rewritten(key, data, self._erased))


def open_guarded(location: str) -> Objects:
    """The objects of `open_objects`, guarded where there is a key; without one nobody is known."""
    objects = open_objects(location)
    if erasure_key() is None:
        return objects
    settings = load_settings()
    erased = erased_people(settings, load_contract(settings.contract))
    return Guarded(objects, erased) if erased else objects

"""Which model answers: the version in the package, one from the registry, or its champion, followed while we run.

A new champion is loaded, verified and replayed beside the old one, in a thread of its own, and takes over between two
requests. Where requests are few, Lambda lets that thread run for some milliseconds a minute: what was read of a version
is kept until it is loaded, or a load would begin anew each time and never end. One that is damaged, or needs what this
package lacks, is turned down for good and told in the log; the old one stays.
"""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from fraudline.errors import BadInput, NotReady, Tampered, Unavailable
from fraudline.model.bundle import MANIFEST, Bundle, ReadFile, load_bundle
from fraudline.realtime.decide import Decider
from fraudline.realtime.telemetry import Telemetry

if TYPE_CHECKING:
    from fraudline.adapters.registry import Registry

CHAMPION = "champion"
# Beside `fraudline` at the root of a package, where `package_lambda` puts a version.
PACKAGED_MODEL = Path(__file__).parents[2] / "packaged_model"
# Well within the minute that a new champion may take.
CHECK_SECONDS = 30.0
# Without any model a check costs little and is worth much.
RETRY_SECONDS = 2.0


class Source(Protocol):
    """Where versions come from."""

    def wanted(self) -> str:
        """The version that should answer now."""
        ...

    def files(self, version: str) -> ReadFile:
        """Reads a version's files by name."""
        ...


class Packaged:
    """The one version that lies in a folder: of the package, or one that is to be packaged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def wanted(self) -> str:
        try:
            named = msgspec.json.decode(self.files("")(MANIFEST), type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Tampered(f"{self._folder / MANIFEST} is damaged ({error}); do not use it") from error
        return str(named.get("version"))

    def files(self, version: str) -> ReadFile:
        def read(name: str) -> bytes:
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError as error:
                raise Tampered(f"{self._folder} has no {name}; do not use it") from error

        return read


class Registered:
    """A version of the registry, or whichever is its champion."""

    def __init__(self, registry: "Registry", name: str) -> None:
        self._registry = registry
        self._name = name

    def wanted(self) -> str:
        """A champion is asked for each time; a version is what it is."""
        return self._registry.resolve(CHAMPION) if self._name == CHAMPION else self._name

    def files(self, version: str) -> ReadFile:
        published = self._registry.read(version)

        def read(name: str) -> bytes:
            try:
                return published[name]
            except KeyError as error:
                raise Tampered(f"version {version} lacks {name}; do not use it") from error

        return read


class Models:
    """The model in use; every change and everything that goes wrong is told."""

    def __init__(self, source: Source, contract: str, telemetry: Telemetry) -> None:
        self._source = source
        self._contract = contract
        self._telemetry = telemetry
        self._turned_down: set[str] = set()
        # Of the version that is being loaded, the files that have been read.
        self._begun = ""
        self._read: dict[str, bytes] = {}
        self.current: Decider | None = None

    def refresh(self) -> None:
        """Load the wanted version unless it is in use; the one in use stays until that has succeeded."""
        try:
            version = self._source.wanted()
            if self.current is None or version != self.current.bundle.version:
                self._replace(version)
        except (Unavailable, NotReady) as error:
            self._telemetry.event("WARNING", "the model was not looked up", "ModelLookupsFailed", error=str(error))
        except Exception as error:  # whatever is wrong with a new model, the old one goes on answering
            told = f"{type(error).__name__}: {error}"
            self._telemetry.event("ERROR", "the model was turned down", "ModelsTurnedDown", error=told)

    def follow(self) -> threading.Thread:
        """Refresh for ever in a thread that ends with the process."""
        thread = threading.Thread(target=self._follow, name="models", daemon=True)
        thread.start()
        return thread

    def _follow(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(CHECK_SECONDS if self.current else RETRY_SECONDS)
            self.refresh()

    def _replace(self, version: str) -> None:
        if version in self._turned_down:
            raise Tampered(f"version {version} was turned down before; promote another")
        if version != self._begun:
            self._begun, self._read = version, {}
        try:
            self.current = Decider(self._load(version))
        except (Unavailable, NotReady):
            raise
        except Exception:
            self._turned_down.add(version)
            self._read = {}
            raise
        self._read = {}
        self._telemetry.event("INFO", "the model is loaded", "ModelsLoaded", model_version=version)

    def _load(self, version: str) -> Bundle:
        bundle = load_bundle(self._reading(self._source.files(version)), version)
        if bundle.contract.name != self._contract:
            raise BadInput(
                f"version {version} is for contract {bundle.contract.name!r}, FRAUDLINE_CONTRACT is {self._contract!r}"
            )
        return bundle

    def _reading(self, read: ReadFile) -> ReadFile:
        def each_once(name: str) -> bytes:
            if name not in self._read:
                self._read[name] = read(name)
            return self._read[name]

        return each_once

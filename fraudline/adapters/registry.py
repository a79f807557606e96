"""The model registry: immutable versions and an append-only history, the same layout in a folder or in S3.

    <contract>/versions/<as_of>-<content hash>/manifest.json, scorer.json, ...
    <contract>/history/00000001.json, 00000002.json, ...

A version is complete once its manifest is there. A history entry is created only if absent, so of two racing
promotions one wins; the newest entry that makes a champion names it. Nothing is rewritten: to roll back is a
new entry.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from fraudline.adapters.storage.objects import NotFound, Objects, open_objects
from fraudline.errors import BadInput, LostRace, NotReady, Tampered

CHAMPION = "champion"
MANIFEST = "manifest.json"

Action = Literal["promote", "shadow", "reject", "rollback"]
MAKES_CHAMPION = ("promote", "rollback")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ENTRY_KEY = re.compile(r"(\d{8})\.json")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision about a version: what was done, why, on which figures, by whom and when (with a zone)."""

    number: Annotated[int, msgspec.Meta(ge=1, le=99_999_999)]
    action: Action
    version: str
    reason: str
    metrics: dict[str, Any]
    who: str
    when: Annotated[datetime, msgspec.Meta(tz=True)]


class VersionFiles(Mapping[str, bytes]):
    """The files of a published version by name, each read when asked for (and again when asked again)."""

    def __init__(self, objects: Objects, folder: str) -> None:
        self._objects = objects
        self._folder = folder

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._objects.get(self._folder + name)
        except NotFound:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (key.removeprefix(self._folder) for key in self._objects.list(self._folder))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Registry:
    """The versions and the history of one contract's models."""

    def __init__(self, objects: Objects, contract_name: str) -> None:
        self._objects = objects
        self._contract = contract_name
        self._entries: dict[int, Entry] = {}  # entries never change, so each is read once

    @property
    def location(self) -> str:
        return self._objects.location

    @property
    def contract(self) -> str:
        """The contract's name."""
        return self._contract

    # Versions

    def publish(self, version: str, files: Mapping[str, bytes]) -> None:
        """Keep a version for good. Again with the same bytes is fine; with other bytes it is `Tampered`.

        Files go first and the manifest last, so a version that was cut off is not listed and can come again.
        """
        _check_names(version, files)
        for name in sorted(files, key=lambda name: (name == MANIFEST, name)):
            key = self._folder(version) + name
            if not self._objects.put_new(key, files[name]) and self._objects.get(key) != files[name]:
                raise Tampered(
                    f"version {version!r} in {self.location} already has another {name}: versions never "
                    "change; find out who wrote it, and publish under a name made of the content"
                )

    def versions(self) -> list[str]:
        """The complete versions, ascending: by `as_of`, for the name starts with it."""
        root = f"{self._contract}/versions/"
        parts = (key.removeprefix(root).split("/") for key in self._objects.list(root))
        return [part[0] for part in parts if part[1:] == [MANIFEST]]

    def read(self, version: str) -> VersionFiles:
        """The files of a complete version; `BadInput` naming the nearest one if there is none such."""
        self._check_published(version)
        return VersionFiles(self._objects, self._folder(version))

    def resolve(self, name: str) -> str:
        """The version that `name` ("champion" or a version) stands for."""
        if name != CHAMPION:
            self._check_published(name)
            return name
        champion = self.champion()
        if champion is None:
            raise NotReady(f"no champion yet for contract {self._contract!r} in {self.location}{self._remedy()}")
        return champion

    # History

    def history(self) -> list[Entry]:
        """All entries, oldest first."""
        return [self._entry(number) for number in self._numbers()]

    def champion(self) -> str | None:
        """The version that the newest promotion or rollback names."""
        entries = (self._entry(number) for number in reversed(self._numbers()))
        return next((entry.version for entry in entries if entry.action in MAKES_CHAMPION), None)

    def previous_champion(self) -> str | None:
        """The version that `rollback` returns to: who was champion before, rolled-back champions left out."""
        line: list[str] = []
        for entry in self.history():
            if entry.action == "rollback" and entry.version in line:
                del line[len(line) - line[::-1].index(entry.version) :]
            elif entry.action in MAKES_CHAMPION and line[-1:] != [entry.version]:
                line.append(entry.version)
        return line[-2] if len(line) > 1 else None

    def next_number(self) -> int:
        """The number the next entry will have: read it before deciding, pass it as `expected_number`."""
        numbers = self._numbers()
        return numbers[-1] + 1 if numbers else 1

    def append(
        self,
        action: Action,
        version: str,
        reason: str,
        metrics: Mapping[str, Any],
        who: str,
        when: datetime,
        expected_number: int | None = None,
    ) -> Entry:
        """Add an entry about a published version, on the condition that it gets `expected_number`.

        Without that number the entry is the next one, whatever came before it. `LostRace` if somebody else
        has the number: decide again on the new history.
        """
        if when.tzinfo is None:
            raise ValueError("an entry's time needs a zone: the history could not be read back")
        self._check_published(version)
        upcoming = self.next_number()
        number = expected_number or upcoming
        if number > upcoming:
            raise BadInput(f"the history in {self.location} goes on with entry {upcoming}, not {number}")
        entry = Entry(number, action, version, reason, dict(metrics), who, when)
        data = msgspec.json.format(msgspec.json.encode(entry), indent=2)
        key = self._entry_key(number)
        if not self._objects.put_new(key, data) and self._objects.get(key) != data:
            raise LostRace(
                f"entry {number} of the history of {self._contract!r} in {self.location} is somebody else's; "
                "nothing was changed: look at `fraudline models list` and decide again"
            )
        return entry

    def promote(
        self,
        version: str,
        reason: str,
        metrics: Mapping[str, Any],
        who: str,
        when: datetime,
        expected_number: int | None = None,
    ) -> Entry:
        """Make a published version the champion; `BadInput` for the one that is: its age would begin anew."""
        self._check_no_champion(version)
        return self.append("promote", version, reason, metrics, who, when, expected_number)

    def rollback(
        self,
        reason: str,
        who: str,
        when: datetime,
        version: str | None = None,
        expected_number: int | None = None,
    ) -> Entry:
        """Return to the previous champion, or to the `version` named, which is not the present one."""
        number = expected_number or self.next_number()
        target = version or self.previous_champion()
        if target is None:
            raise NotReady(
                f"contract {self._contract!r} has had no earlier champion in {self.location}: name a version"
            )
        self._check_no_champion(target)
        return self.append("rollback", target, reason, {}, who, when, number)

    def _numbers(self) -> list[int]:
        root = f"{self._contract}/history/"
        matches = (_ENTRY_KEY.fullmatch(key.removeprefix(root)) for key in self._objects.list(root))
        numbers = [int(match[1]) for match in matches if match]
        if missing := next((n for n, number in enumerate(numbers, start=1) if n != number), None):
            raise Tampered(
                f"the history of {self._contract!r} in {self.location} lacks entry {missing}: somebody has taken it"
                " out; put it back from the bucket's versions or a backup"
            )
        return numbers

    def _entry(self, number: int) -> Entry:
        if number not in self._entries:
            self._entries[number] = self._decoded(self._objects.get(self._entry_key(number)), number)
        return self._entries[number]

    def _decoded(self, data: bytes, number: int) -> Entry:
        try:
            entry = msgspec.json.decode(data, type=Entry)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Tampered(f"{self._entry_key(number)} in {self.location} is no entry: {error}") from error
        if entry.number != number:
            raise Tampered(f"{self._entry_key(number)} in {self.location} says it is entry {entry.number}")
        return entry

    def _check_published(self, version: str) -> None:
        if not _NAME.fullmatch(version) or not self._objects.exists(self._folder(version) + MANIFEST):
            raise BadInput(f"no version {version!r} in {self.location}: {self._nearest(version)}")

    def _check_no_champion(self, version: str) -> None:
        if version == self.champion():
            raise BadInput(
                f"version {version!r} is already the champion of {self._contract!r} in {self.location}: name another"
            )

    def _remedy(self) -> str:
        """What leads to a first champion."""
        count = len(self.versions())
        if not count:
            return ": run `fraudline retrain` first, or name another contract with --contract"
        last = "".join(f" (last: {e.action} {e.version}, {e.reason})" for e in self.history()[-1:])
        return (
            f", for none of {count} versions was promoted{last}: see them with `fraudline models list`, promote one or"
            " pass --model VERSION"
        )

    def _nearest(self, version: str) -> str:
        versions = self.versions()
        close = difflib.get_close_matches(version, versions, n=1, cutoff=0)
        return f"the nearest is {close[0]!r}" if close else f"contract {self._contract!r} has none yet"

    def _folder(self, version: str) -> str:
        return f"{self._contract}/versions/{version}/"

    def _entry_key(self, number: int) -> str:
        return f"{self._contract}/history/{number:08d}.json"


def open_registry(location: str, contract: str) -> Registry:
    """The registry of a contract's models, by its name, in a folder or below `s3://bucket/prefix`."""
    return Registry(open_objects(location), contract)


def _check_names(version: str, files: Mapping[str, bytes]) -> None:
    if not _NAME.fullmatch(version) or version == CHAMPION:
        raise BadInput(f"{version!r} cannot name a version: use <as of>-<content hash>")
    if MANIFEST not in files:
        raise BadInput(f"version {version!r} has no {MANIFEST}: a bundle cannot be published without one")
    if odd := [name for name in files if not _NAME.fullmatch(name)]:
        raise BadInput(f"version {version!r} has a file {odd[0]!r}: use plain names")

"""A small shop's files and two model versions, made once by the command itself; each test gets a folder with them."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fraudline.adapters.storage.objects import open_objects
from tests.support.command import Person, environment_of_a_fresh_machine
from tests.support.preloaded import Preloaded, preloaded

FIRST_AS_OF, SECOND_AS_OF = date(2026, 2, 18), date(2026, 2, 19)


@dataclass(frozen=True)
class Shop:
    """What the session's commands reported; `folder` holds tx.csv (with dirt), tx.jsonl (without) and models/."""

    folder: Path
    simulated: dict[str, Any]
    first: dict[str, Any]
    second: dict[str, Any]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Made by the installed program itself."""
    folder = tmp_path_factory.mktemp("shop")
    person = Person(tmp_path_factory.mktemp("empty-home"), folder)
    size = ("--users", "300", "--days", "45", "--fraud-rate", "0.03")
    simulated = person.runs("simulate", "--out", "tx.csv", *size, "--dirt", "0.005", "--json").json
    person.runs("simulate", "--out", "tx.jsonl", *size)
    first, second = (
        person.runs("retrain", "--transactions", "tx.csv", "--as-of", str(day), "--models", "models", "--json").json
        for day in (FIRST_AS_OF, SECOND_AS_OF)
    )
    return Shop(folder, simulated, first, second)


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    home = tmp_path_factory.mktemp("empty-home")
    with preloaded(tmp_path_factory.mktemp("streams"), environment_of_a_fresh_machine(home)) as process:
        yield process


@pytest.fixture
def folder(shop: Shop, tmp_path: Path) -> Path:
    """A copy of the shop's files."""
    return Path(shutil.copytree(shop.folder, tmp_path / "work"))


@pytest.fixture
def person(folder: Path, tmp_path: Path, forks: Preloaded) -> Person:
    """Somebody with an empty home and a copy of the shop's files."""
    (tmp_path / "home").mkdir()
    return Person(tmp_path / "home", folder, forks)


def upload(folder: Path, location: str) -> None:
    """A folder's models as the registry at this place."""
    objects = open_objects(location)
    for path in folder.rglob("*"):
        if path.is_file() and "quarantine" not in path.parts:
            objects.put(path.relative_to(folder).as_posix(), path.read_bytes())

"""A person in an empty folder, and a look at what a command has left running."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fraudline.errors import NotReady
from fraudline.local.emulator import emulator_program
from tests.support.command import Person


@pytest.fixture
def person(tmp_path: Path) -> Person:
    try:
        emulator_program()
    except NotReady as missing:
        pytest.skip(f"NO DEMO RUNS HERE: {missing}")
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    return Person(tmp_path / "home", tmp_path / "work")


@pytest.fixture
def still_running(person: Person) -> Callable[[], list[str]]:
    """Command lines of processes that were started for this person: they have the home or the folder in them."""
    places = (str(person.home), str(person.folder))

    def look() -> list[str]:
        found = []
        for process in psutil.process_iter():
            try:
                told = [*process.cmdline(), *process.environ().values()]
            except psutil.Error:
                continue
            if any(place in text for place in places for text in told):
                found.append(" ".join(process.cmdline()))
        return found

    return look

"""A function put together as Lambda has it, with a packaged model, and its lines caught."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fraudline.model.bundle import Bundle, load_bundle
from fraudline.realtime.config import config_from
from fraudline.realtime.decide import Decider
from fraudline.realtime.function import Function
from fraudline.realtime.model import Models, Packaged, Source
from fraudline.realtime.ports import NoRecorder, Profiles, Recorder
from fraudline.realtime.telemetry import Telemetry
from tests.realtime.bundles import Files, bundle_files, version_of, write_version
from tests.realtime.nobody import NoProfiles

CONTEXT = SimpleNamespace(aws_request_id="request-1")


@dataclass
class Running:
    """A function, what it works with, and the lines it wrote."""

    function: Function
    models: Models
    stream: io.StringIO

    def ask(self, event: object) -> dict[str, Any]:
        return self.function.answer(event, CONTEXT)

    def score(self, transaction: object) -> dict[str, Any]:
        """The body of the answer to a direct call."""
        return dict(json.loads(self.ask({"transaction_data": transaction})["body"]))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]


Run = Callable[..., Running]


@pytest.fixture(scope="session")
def files() -> Files:
    return bundle_files()


@pytest.fixture(scope="session")
def packaged(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version's folder, as a package holds it."""
    return write_version(files, tmp_path_factory.mktemp("packaged") / version_of(files))


@pytest.fixture(scope="session")
def bundle(files: Files) -> Bundle:
    return load_bundle(files.__getitem__, version_of(files))


@pytest.fixture(scope="session")
def decider(bundle: Bundle) -> Decider:
    return Decider(bundle)


def make_running(
    packaged: Path,
    profiles: Profiles | None = None,
    recorder: Recorder | None = None,
    source: Source | None = None,
    model: bool = True,
    **settings: str,
) -> Running:
    """A function that, unless told otherwise, has the packaged model, knows no history and keeps nothing."""
    stream = io.StringIO()
    telemetry = Telemetry("test", "ecommerce", stream)
    models = Models(source or Packaged(packaged), "ecommerce", telemetry)
    if model:
        models.refresh()
    config = config_from({f"FRAUDLINE_{name.upper()}": value for name, value in settings.items()})
    function = Function(config, models, profiles or NoProfiles(), recorder or NoRecorder(), telemetry)
    return Running(function, models, stream)


@pytest.fixture
def run(packaged: Path) -> Run:
    """Makes functions."""
    return partial(make_running, packaged)

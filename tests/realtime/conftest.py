"""A function as Lambda runs it, with a packaged model and an AWS where there is one."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from fraudline.bundle import Bundle, load_bundle
from fraudline.realtime.config import Config, config_from
from fraudline.realtime.decide import Decider
from tests.realtime.bundles import Files, bundle_files, version_of, write_version


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


@pytest.fixture
def config() -> Config:
    return config_from({})


@pytest.fixture
def context() -> SimpleNamespace:
    return SimpleNamespace(aws_request_id="request-1")

"""The local AWS that tests run against: one emulator a session over HTTP, names of its own for every test."""

import uuid
from collections.abc import Iterator

import pytest

from fraudline.errors import NotReady
from fraudline.local.emulator import Emulator, emulator_program, environment_of, running_emulator
from fraudline.local.resources import create_resources
from fraudline.settings import Settings
from tests.support.kinesis_local import NotInstallable, running_kinesis
from tests.support.pipeline import deployed, here, pipeline, prefect_server

__all__ = ["deployed", "here", "pipeline", "prefect_server"]


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """ministack for the whole session; use `aws` or `resources` to have the environment point at it."""
    try:
        emulator_program()
    except NotReady as missing:
        pytest.skip(f"NO AWS TESTS RUN HERE: {missing}")
    with running_emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture
def aws(emulator: Emulator) -> Iterator[Emulator]:
    """AWS's own variables, and so every client made in the test, point at the emulator."""
    with environment_of(emulator.environment):
        yield emulator


@pytest.fixture
def unique() -> str:
    """A prefix for names that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def resources(aws: Emulator, unique: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A deployment of this test's own (a stream of four shards, tables, buckets, topic, queue); also in FRAUDLINE_*."""
    names = Settings.model_construct().model_dump(exclude={"contract", "consumer"}, exclude_none=True)
    own = {field: f"{unique}-{name.removeprefix('fraudline-')}" for field, name in names.items()}
    settings = create_resources(Settings(**own))
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture(scope="session")
def kinesis_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of kinesis-local, which reshards right; for `AWS_ENDPOINT_URL_KINESIS`."""
    try:
        with running_kinesis(tmp_path_factory.mktemp("kinesis-local")) as endpoint:
            yield endpoint
    except NotInstallable as missing:
        pytest.skip(f"NO RESHARDING TESTS RUN HERE: {missing}")

"""Two deployments on one stream: one that nothing happens to, and one that everything happens to."""

from collections.abc import Callable

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.adapters.stream.draining import CAUGHT_UP, CLOSED
from fraudline.adapters.stream.producer import Producer
from fraudline.local.resources import create_resources
from fraudline.settings import Settings
from tests.stream.storage import Stored, accounts, balances, notifications, stored
from tests.stream.worker import Orders, Worker

Send = Callable[[list[tuple[str, bytes]]], None]
Expected = Callable[[], tuple[Stored, set[str]]]


def assert_same(settings: Settings, expected: Expected) -> None:
    """The deployment holds what the undisturbed one holds, and its accounts add up."""
    calm, told = expected()
    assert calm.decisions, "nothing was scored: what is equal says nothing"
    disturbed = stored(settings)
    for part in calm._fields:
        assert getattr(disturbed, part) == getattr(calm, part), f"{part} differ"
    assert set(notifications(settings.alerts_topic)) == told
    assert all(map(balances, accounts(settings)))


@pytest.fixture
def send(resources: Settings) -> Send:
    """Puts records on the test's stream."""
    return lambda events: void(Producer(client("kinesis"), resources.stream).send(events))


def void(_: object) -> None:
    """Whatever it is, nobody asks for it."""


@pytest.fixture
def undisturbed(resources: Settings, unique: str) -> Settings:
    """A second deployment that reads the same stream: everything but the stream is its own."""
    names = resources.model_dump(exclude={"contract", "stream", "alerts_topic_arn"}, exclude_none=True)
    own = {field: name.replace(unique, f"{unique}-calm") for field, name in names.items()}
    own["consumer"] = "calm"
    return create_resources(Settings(**own, stream=resources.stream))


@pytest.fixture
def expected(undisturbed: Settings) -> Expected:
    """Runs the undisturbed deployment: what it holds, and which transactions it has told of."""

    def run() -> tuple[Stored, set[str]]:
        report = Worker(undisturbed, Orders("calm", lease_seconds=10.0)).report()
        assert {drain.ended for drain in report.drains} <= {CAUGHT_UP, CLOSED}
        return stored(undisturbed), set(notifications(undisturbed.alerts_topic))

    return run

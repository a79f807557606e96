"""A terminal is forgotten as a person types it: a lagged entity, its profiles made by the hourly build."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.materialize import MaterializeRequest, materialize
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import run_slice
from fraudline.clock import from_micros, parse_timestamp
from fraudline.durations import HOUR
from fraudline.features.profile import LaggedHistory
from fraudline.profiles import built_position, encode_history, profile_key
from fraudline.settings import Settings
from tests.privacy.shop import KEY, objects, rows
from tests.privacy.test_command import forget
from tests.stream.events import BEGIN
from tests.stream.storage import stored
from tests.stream.test_lagged import GENERATION, WORKER, payments
from tests.stream.test_materialize import PACE
from tests.stream.worker import deps_of

TERMINAL = "terminal-0042-at-anns"
EVERYWHERE = {"landing/archive", "landing/files", "quarantine/stream", "decisions", "profiles"}


@pytest.fixture
def cards(resources: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A deployment of the cards contract that knows erased people."""
    monkeypatch.setenv("FRAUDLINE_CONTRACT", "cards")
    monkeypatch.setenv("FRAUDLINE_ERASURE_KEY", KEY)
    return resources.model_copy(update={"contract": "cards"})


def paid(count: int, first: int) -> list[tuple[str, bytes]]:
    """Payments by several cards, every third of them at the terminal."""
    renamed = []
    for number, (card, data) in enumerate(payments(count, first)):
        record: dict[str, Any] = msgspec.json.decode(data)
        renamed.append((card, msgspec.json.encode({**record, "TERMINAL_ID": TERMINAL}) if number % 3 == 0 else data))
    return renamed


def stream(settings: Settings, records: list[tuple[str, bytes]]) -> None:
    Producer(client("kinesis"), settings.stream).send(records)
    run_slice(deps_of(settings, WORKER), Limits())


def build(count: int) -> int:
    return materialize.fn(MaterializeRequest(now=from_micros(BEGIN + count * PACE))).entities


def tells_of(settings: Settings, id_: str) -> set[str]:
    return {place for place, text in [*objects(settings), *rows(settings)] if id_ in text}


def test_a_terminal_is_in_no_store_and_neither_stream_nor_build_brings_it_back(cards: Settings, tmp_path: Path) -> None:
    before = paid(120, 0)
    (card, bad) = before[0]
    torn = bad.replace(b'"TX_AMOUNT":', b'"TX_AMOUNT":-')
    header = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD"
    file = f"{header}\n999999,2026-01-01T10:00:00Z,77,{TERMINAL},12.50,0\n".encode()
    client("s3").put_object(Bucket=cards.landing_bucket, Key="files/past.csv", Body=file)
    stream(cards, [*before, (card, torn)])
    built = build(400)
    assert tells_of(cards, TERMINAL) == EVERYWHERE

    done = forget("-", "--entity", "terminal", "--yes", "--json", typed=f"{TERMINAL}\n")
    assert done.returncode == 0, done.stderr
    assert TERMINAL not in done.stdout + done.stderr
    assert json.loads(done.stdout)["entity"] == "terminal"
    assert tells_of(cards, TERMINAL) == set()

    # The stream goes on with the terminal's history, and so does the next build of it.
    stream(cards, paid(60, 1300))
    assert build(1500) == built
    assert tells_of(cards, TERMINAL) == set()
    assert forget("--again").returncode == 0


def test_what_a_build_under_way_writes_of_a_terminal_takes_the_place_of_what_was_built_before(cards: Settings) -> None:
    """It asked who is erased, then somebody was, then it wrote: an hour that is read must be there for everybody."""
    stream(cards, paid(60, 0))
    before = parse_timestamp(materialize.fn(MaterializeRequest(now=from_micros(BEGIN + 100 * PACE))).through, "UTC")
    profiles = deps_of(cards, WORKER).profiles
    built = {profile_key("terminal", TERMINAL, GENERATION): LaggedHistory(volume=[20, 12345])}
    assert forget("-", "--entity", "terminal", "--yes", typed=f"{TERMINAL}\n").returncode == 0
    profiles.publish(GENERATION, built, before + HOUR, lambda: within(30))
    assert forget("--again").returncode == 0
    assert tells_of(cards, TERMINAL) == set()
    kept = {key: row for key, row in stored(cards).profiles.items() if "#erased-" in key}
    assert [row["position"] for row in kept.values()] == [built_position(before + HOUR)]
    assert [bytes(row["history"].value) for row in kept.values()] == list(map(encode_history, built.values()))

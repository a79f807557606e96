"""Lagged entities: read at one recorded hour, whatever is built meanwhile, so that offline code can follow."""

import json
import random
from contextlib import suppress
from dataclasses import replace

from fraudline.adapters.archive.reading import read_archive
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.deps import StreamDeps
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.slices import run_slice
from fraudline.clock import format_micros
from fraudline.contract import load_contract
from fraudline.decision import pack
from fraudline.durations import MINUTE, floor_hour
from fraudline.features.definition import feature_set
from fraudline.features.offline import offline_features
from fraudline.features.online_lagged import LaggedCounter
from fraudline.features.profile import LaggedHistory
from fraudline.profiles import profile_key
from fraudline.settings import Settings
from fraudline.transactions.table import TransactionTable
from tests.stream.conftest import Send
from tests.stream.events import BEGIN, Sent
from tests.stream.storage import stored
from tests.stream.worker import Orders, deps_of

CARDS = load_contract("cards")
GENERATION = feature_set(CARDS).hash
WORKER = Orders("w", contract="cards")


def payments(count: int, first: int) -> list[Sent]:
    rng = random.Random(first)
    return [
        (
            card := f"C{rng.randrange(8)}",
            json.dumps(
                {
                    "TRANSACTION_ID": number,
                    "TX_DATETIME": format_micros(BEGIN + number * 11 * MINUTE),
                    "CUSTOMER_ID": card,
                    "TERMINAL_ID": f"T{rng.randrange(5)}",
                    "TX_AMOUNT": rng.randrange(100, 9000) / 100,
                }
            ).encode(),
        )
        for number in range(first, first + count)
    ]


def materialized(table: TransactionTable, through: int) -> dict[str, LaggedHistory]:
    """Terminals' volumes of all that counted before `through`, as the hourly flow builds them."""
    counter = LaggedCounter(CARDS.entities[1])
    histories: dict[str, LaggedHistory] = {}
    for transaction, time in zip(table.transactions(), table.effective_time.tolist(), strict=True):
        if time < through:
            key = profile_key("terminal", transaction.entities[1], GENERATION)
            counter.count_transaction(histories.setdefault(key, LaggedHistory()), time, transaction.amount)
    return histories


def archive(settings: Settings) -> TransactionTable:
    return read_archive(open_objects(f"s3://{settings.landing_bucket}"), CARDS).table


def test_offline_code_follows_the_hours_that_decisions_were_made_at(resources: Settings, send: Send) -> None:
    deps = deps_of(resources, WORKER)
    for first in (0, 100, 200):
        send(payments(100, first))
        run_slice(deps, Limits(batch_records=30))
        # The flow runs now and then; twice the stream is hours ahead of it.
        through = floor_hour(BEGIN + (first + 90) * 11 * MINUTE)
        deps.profiles.publish(GENERATION, materialized(archive(resources), through), through, lambda: within(10))
    table = archive(resources)
    features = offline_features(table)
    recorded = {id_: bytes(d["features"].value) for id_, d in stored(resources).decisions.items()}
    assert {id_: pack(features[i]) for i, id_ in enumerate(table.ids.to_pylist())} == recorded
    assert len(set(table.built_through.tolist())) == 3
    assert {int(d["built_through"]) for d in stored(resources).decisions.values()} == set(table.built_through.tolist())


class Died(Exception):
    """The worker's end, for tests in one process."""


def test_a_replay_reads_lagged_entities_at_the_hour_of_the_first_attempt(
    resources: Settings, send: Send, undisturbed: Settings
) -> None:
    send(payments(100, 0))
    for settings in (resources, undisturbed):
        run_slice(deps_of(settings, WORKER), Limits())
    early, late = (floor_hour(BEGIN + 70 * 11 * MINUTE), floor_hour(BEGIN + 90 * 11 * MINUTE))
    for settings in (resources, undisturbed):
        histories = materialized(archive(settings), early)
        deps_of(settings, WORKER).profiles.publish(GENERATION, histories, early, lambda: within(10))
    send(payments(60, 100))
    with suppress(Died):
        run_slice(dying(resources, "commit"), Limits())
    deps = deps_of(resources, WORKER)
    deps.profiles.publish(GENERATION, materialized(archive(resources), late), late, lambda: within(10))
    run_slice(deps, Limits())
    run_slice(deps_of(undisturbed, WORKER), Limits())
    assert stored(resources).decisions == stored(undisturbed).decisions


def dying(settings: Settings, at: str) -> StreamDeps:
    def fault(step: str) -> None:
        if step == at:
            raise Died

    return replace(deps_of(settings, WORKER), fault=fault)

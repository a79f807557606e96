"""Somebody is forgotten while profiles for new features are built: they are of one person, or there are none."""

import multiprocessing
import os
import signal
from collections.abc import Iterable
from typing import Any

import pytest

from fraudline.adapters.erasure.profiles import ProfileRows
from fraudline.adapters.tables.tombstones import Tombstones
from fraudline.contract import load_contract
from fraudline.errors import NotReady
from fraudline.features.definition import feature_set
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from fraudline.transactions.table import TransactionTable, from_transactions
from fraudline.transactions.transaction import Transaction
from tasks import streaming
from tests.privacy.test_beside_the_stream import calm, forget, renamed, send
from tests.stream.events import clean_events
from tests.stream.proxy import Body, proxy
from tests.stream.test_generations import SMALL, longer, profiles_of
from tests.stream.worker import Orders, Worker

__all__ = ["calm", "longer"]


def forget_in_part(settings: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is killed as soon as it has replaced the id in a first object."""
    context: Any = multiprocessing.get_context("fork")
    process: Any = None

    def after(operation: str, body: Body) -> None:
        if operation == "PUT":
            os.kill(process.pid, signal.SIGKILL)

    with proxy(emulator.endpoint, lambda *_: None, after) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        process = context.Process(target=forget, args=(settings,), daemon=True)
        process.start()
        process.join(60)
    assert process.exitcode == -signal.SIGKILL


def test_who_is_erased_while_a_generation_is_built_is_one_person_in_it(
    resources: Settings,
    calm: Settings,
    key: None,
    longer: str,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for part in range(4):
        send(resources, clean_events(50, users=4, seed=part, first=1000 * part))
        Worker(resources, Orders("old", SMALL)).report()
    contract = load_contract(longer)
    generation = feature_set(contract).hash

    class Slow(TransactionTable):
        """A past that takes its time to be counted."""

        def transactions(self) -> Iterable[Transaction]:
            forget_in_part(resources, emulator, monkeypatch)
            return ()

    nothing = from_transactions(contract, [])
    with pytest.raises(NotReady, match="run it again"):
        streaming.build_generation(resources, Slow(**vars(nothing)))
    assert profiles_of(resources, generation) == {}

    pseudonym = forget(resources)
    streaming.build_generation(resources, nothing)
    Worker(calm, Orders("calm", SMALL, contract=longer, bundle_seed=2)).report()
    assert profiles_of(resources, generation) == renamed(profiles_of(calm, generation), pseudonym)


@pytest.mark.parametrize(("owner", "method"), [(ProfileRows, "keys_of"), (Tombstones, "new"), (Tombstones, "write")])
def test_who_is_erased_right_after_a_generation_was_built_does_not_begin_anew_in_it(
    resources: Settings,
    calm: Settings,
    key: None,
    longer: str,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    method: str,
) -> None:
    """It is built after a look for the person's profiles and before the tombstone, and in use before the sweep."""
    for part in range(4):
        send(resources, clean_events(50, users=4, seed=part, first=1000 * part))
        Worker(resources, Orders("old", SMALL)).report()
    contract = load_contract(longer)
    generation = feature_set(contract).hash
    champion = Orders("new", SMALL, contract=longer, bundle_seed=2)
    original, built, swept = getattr(owner, method), list[Any](), list[str]()

    def build_after(*arguments: Any) -> Any:
        found = original(*arguments)
        if not built:
            built.append(streaming.build_generation(resources, from_transactions(contract, [])))
        return found

    def promote(sentence: str) -> None:
        if sentence.startswith("Sweeping"):
            if not swept:
                send(resources, clean_events(50, users=4, seed=9, first=9000))
                Worker(resources, champion).report()
            swept.append(sentence)

    monkeypatch.setattr(owner, method, build_after)
    pseudonym = forget(resources, say=promote)
    assert built
    assert len(swept) > 5
    Worker(calm, champion).report()
    assert profiles_of(resources, generation) == renamed(profiles_of(calm, generation), pseudonym)

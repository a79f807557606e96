"""Which model answers, and what becomes of a bad one."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.errors import Unavailable
from fraudline.local.emulator import Emulator
from fraudline.model.bundle import ReadFile
from fraudline.realtime import model
from fraudline.realtime.model import Models, Packaged, Registered
from fraudline.realtime.start import start
from fraudline.realtime.telemetry import Telemetry
from fraudline.settings import Settings
from tests.realtime.bundles import Files, bundle_files, version_of, write_version
from tests.realtime.conftest import Run, Running
from tests.realtime.events import a_transaction


@pytest.fixture
def registry(tmp_path: Path, files: Files) -> Registry:
    registry = Registry(FolderObjects(tmp_path / "models"), "ecommerce")
    promote(registry, files)
    return registry


@pytest.fixture
def running(run: Run, registry: Registry) -> Running:
    """A function that follows the registry's champion."""
    return run(source=Registered(registry, "champion"))


@pytest.fixture
def newer() -> Files:
    return bundle_files(offset=-0.5)


def promote(registry: Registry, files: Files) -> str:
    version = version_of(files)
    registry.publish(version, files)
    registry.promote(version, "it won", {}, "test", datetime.now(UTC))
    return version


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not true():
        time.sleep(0.01)
    return true()


def test_a_new_champion_takes_over_between_two_calls(running: Running, registry: Registry, newer: Files) -> None:
    before = running.score(a_transaction())
    version = promote(registry, newer)
    running.models.refresh()
    after = running.score(a_transaction())
    assert after["model_version"] == version != before["model_version"]
    assert after["fraud_probability"] != before["fraud_probability"]


def test_the_champion_is_followed_without_a_call(
    running: Running, registry: Registry, newer: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "CHECK_SECONDS", 0.01)
    running.models.follow()
    version = promote(registry, newer)
    assert eventually(lambda: running.score(a_transaction())["model_version"] == version)


def test_the_champion_is_looked_up_within_a_minute() -> None:
    assert model.CHECK_SECONDS < 60


def test_a_rolled_back_champion_answers_again(running: Running, registry: Registry, files: Files, newer: Files) -> None:
    promote(registry, newer)
    running.models.refresh()
    registry.rollback("it was too strict", "test", datetime.now(UTC))
    running.models.refresh()
    assert running.score(a_transaction())["model_version"] == version_of(files)


def test_calls_are_answered_by_the_old_champion_while_a_new_one_loads(
    running: Running, registry: Registry, files: Files, newer: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on, files_of = threading.Event(), threading.Event(), Registered.files

    def slow(source: Registered, version: str) -> ReadFile:
        entered.set()
        assert go_on.wait(10)
        return files_of(source, version)

    monkeypatch.setattr(Registered, "files", slow)
    version = promote(registry, newer)
    loading = threading.Thread(target=running.models.refresh)
    loading.start()
    assert entered.wait(10)
    assert running.score(a_transaction())["model_version"] == version_of(files)
    go_on.set()
    loading.join(10)
    assert running.score(a_transaction())["model_version"] == version


@pytest.mark.parametrize("damaged", ["scorer.json", "golden.jsonl", "manifest.json"])
def test_a_champion_with_a_changed_byte_is_turned_down_with_an_alarm_and_the_old_one_stays(
    running: Running, registry: Registry, files: Files, newer: Files, damaged: str, tmp_path: Path
) -> None:
    version = promote(registry, newer)
    path = tmp_path / "models" / "ecommerce" / "versions" / version / damaged
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    running.models.refresh()
    alarm = running.last
    assert (alarm["level"], alarm["ModelsTurnedDown"]) == ("ERROR", 1)
    assert running.score(a_transaction())["model_version"] == version_of(files)


def test_a_champion_that_lacks_a_file_is_turned_down(
    running: Running, registry: Registry, newer: Files, tmp_path: Path
) -> None:
    version = promote(registry, newer)
    (tmp_path / "models" / "ecommerce" / "versions" / version / "golden.jsonl").unlink()
    running.models.refresh()
    assert "golden.jsonl" in running.last["error"]


def test_a_champion_that_was_turned_down_alarms_at_every_check_and_is_not_loaded_again(
    running: Running, registry: Registry, newer: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = promote(registry, newer)
    path = tmp_path / "models" / "ecommerce" / "versions" / version / "scorer.json"
    path.write_bytes(b"{}")
    running.models.refresh()
    monkeypatch.setattr(Registered, "files", lambda *_: pytest.fail("it was loaded again"))
    running.models.refresh()
    assert [line["ModelsTurnedDown"] for line in running.lines[-2:]] == [1, 1]


def test_a_registry_that_cannot_be_reached_is_a_warning_and_the_next_look_finds_it(
    running: Running, registry: Registry, newer: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = promote(registry, newer)
    with monkeypatch.context() as outage:

        def fail(*_: object) -> str:
            raise Unavailable("s3 did not answer")

        outage.setattr(Registry, "resolve", fail)
        running.models.refresh()
    assert (running.last["level"], running.last["ModelLookupsFailed"]) == ("WARNING", 1)
    running.models.refresh()
    assert running.score(a_transaction())["model_version"] == version


def test_a_champion_is_loaded_in_the_end_where_each_look_is_cut_off_after_one_more_file(
    running: Running, registry: Registry, newer: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where calls are so few that a function is frozen most of the time, and its connections dead thereafter."""
    version, files_of = promote(registry, newer), Registered.files
    reads: list[str] = []

    def cut_off(source: Registered, of: str) -> ReadFile:
        read, left = files_of(source, of), iter([True])

        def once(name: str) -> bytes:
            if not next(left, False):
                raise Unavailable("s3 did not answer")
            reads.append(name)
            return read(name)

        return once

    monkeypatch.setattr(Registered, "files", cut_off)
    for _ in range(3):
        running.models.refresh()
    assert running.score(a_transaction())["model_version"] == version
    assert sorted(reads) == ["golden.jsonl", "manifest.json", "scorer.json"]


def test_of_a_champion_that_gives_way_while_it_loads_nothing_gets_into_the_next(
    running: Running, registry: Registry, newer: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(registry, newer)
    with monkeypatch.context() as outage:
        outage.setattr(Registered, "files", lambda source, version: _only_manifest(newer))
        running.models.refresh()
    version = promote(registry, bundle_files(offset=-0.25))
    running.models.refresh()
    assert running.score(a_transaction())["model_version"] == version


def _only_manifest(files: Files) -> ReadFile:
    def read(name: str) -> bytes:
        if name != "manifest.json":
            raise Unavailable("s3 did not answer")
        return files[name]

    return read


def test_a_function_without_a_champion_gets_its_first_without_a_deploy(
    run: Run, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "RETRY_SECONDS", 0.01)
    registry = Registry(FolderObjects(tmp_path / "empty"), "ecommerce")
    running = run(source=Registered(registry, "champion"))
    running.models.follow()
    assert running.ask({"transaction_data": a_transaction()})["statusCode"] == 503
    promote(registry, files)
    assert eventually(lambda: running.ask({"transaction_data": a_transaction()})["statusCode"] == 200)


def test_a_named_version_is_used_whoever_is_champion(run: Run, registry: Registry, files: Files, newer: Files) -> None:
    promote(registry, newer)
    running = run(source=Registered(registry, version_of(files)))
    assert running.score(a_transaction())["model_version"] == version_of(files)


@pytest.mark.parametrize(("named", "status"), [("", 200), ("champion", 503)])
def test_who_names_a_model_gets_that_one_and_not_what_lies_in_the_package(
    aws: Emulator,
    resources: Settings,
    packaged: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: str,
    status: int,
) -> None:
    """No version is in the registry yet, and nobody looks there again."""
    monkeypatch.setattr(model, "RETRY_SECONDS", 3600.0)
    environment = {**aws.environment, **resources.to_environment(), "FRAUDLINE_MODEL": named}
    function = start({**environment, "FRAUDLINE_PROFILE_DEADLINE_MS": "2000"}, packaged)
    assert function.answer({"transaction_data": a_transaction()}, None)["statusCode"] == status


def test_a_packaged_version_of_another_contract_is_turned_down(run: Run, packaged: Path) -> None:
    running = run()
    models = Models(Packaged(packaged), "cards", Telemetry("test", "cards", running.stream))
    models.refresh()
    assert models.current is None
    assert "FRAUDLINE_CONTRACT is 'cards'" in running.last["error"]


def test_a_packaged_version_that_was_tampered_with_is_turned_down(run: Run, files: Files, tmp_path: Path) -> None:
    folder = write_version({**files, "scorer.json": files["scorer.json"].replace(b"1", b"2", 1)}, tmp_path / "model")
    running = run(source=Packaged(folder))
    assert running.models.current is None
    assert "Tampered" in running.last["error"]

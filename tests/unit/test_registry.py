"""The registry on a folder and on S3: versions never change, and the history only grows."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from fraudline.adapters.aws.clients import client
from fraudline.adapters.registry import CHAMPION, Entry, Registry
from fraudline.adapters.storage.objects import FolderObjects, Objects, open_objects
from fraudline.errors import BadInput, LostRace, NotReady, Tampered
from tests.support.parallel import in_parallel

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OLD, NEW, NEWER = "2026-01-01-aaaa", "2026-02-01-bbbb", "2026-03-01-cccc"


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, unique: str) -> Objects:
    if request.param == "folder":
        return open_objects(str(tmp_path))
    request.getfixturevalue("aws")
    client("s3").create_bucket(Bucket=unique)
    return open_objects(f"s3://{unique}/models")


@pytest.fixture
def registry(objects: Objects) -> Registry:
    return Registry(objects, "ecommerce")


def publish(registry: Registry, *versions: str) -> None:
    for version in versions:
        registry.publish(version, {"manifest.json": b"{}", "scorer.json": version.encode()})


def promote(registry: Registry, version: str, expected_number: int | None = None) -> Entry:
    return registry.promote(version, "it wins", {"average_precision": 0.5}, "ann", NOW, expected_number)


def test_a_published_version_is_listed_and_read_back(registry: Registry) -> None:
    publish(registry, NEW, OLD)
    assert registry.versions() == [OLD, NEW]
    assert dict(registry.read(NEW)) == {"manifest.json": b"{}", "scorer.json": NEW.encode()}
    assert "scorer.onnx" not in registry.read(NEW)


def test_publishing_the_same_bytes_again_changes_nothing(registry: Registry) -> None:
    publish(registry, OLD)
    publish(registry, OLD)
    assert registry.versions() == [OLD]


def test_other_bytes_under_the_same_version_are_refused_and_the_first_ones_stay(registry: Registry) -> None:
    publish(registry, OLD)
    with pytest.raises(Tampered, match=rf"version '{OLD}' in .* already has another scorer\.json"):
        registry.publish(OLD, {"manifest.json": b"{}", "scorer.json": b"other"})
    assert registry.read(OLD)["scorer.json"] == OLD.encode()


def test_a_version_that_was_cut_off_is_not_there_and_can_be_published_again(
    registry: Registry, objects: Objects
) -> None:
    objects.put(f"ecommerce/versions/{OLD}/scorer.json", OLD.encode())
    assert registry.versions() == []
    with pytest.raises(BadInput, match="has none yet"):
        registry.read(OLD)
    publish(registry, OLD)
    assert registry.versions() == [OLD]


class CutOff(FolderObjects):
    """Dies when it has written so many objects."""

    def __init__(self, folder: Path, most: int) -> None:
        super().__init__(folder)
        self._left = most

    def put_new(self, key: str, data: bytes) -> bool:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return super().put_new(key, data)


@pytest.mark.parametrize("written", [0, 1, 2])
def test_whatever_a_publisher_dies_at_its_manifest_is_not_there_before_the_files_it_names(
    tmp_path: Path, written: int
) -> None:
    files = {"a.json": b"1", "manifest.json": b"{}", "scorer.json": b"2"}
    with pytest.raises(KeyboardInterrupt):
        Registry(CutOff(tmp_path, written), "ecommerce").publish(OLD, files)
    registry = Registry(FolderObjects(tmp_path), "ecommerce")
    assert registry.versions() == []
    registry.publish(OLD, files)
    assert dict(registry.read(OLD)) == files


@pytest.mark.parametrize("version", ["champion", "", "../x", "a/b", ".a", "a b", "x" * 129])
def test_a_name_that_is_none_cannot_be_published(registry: Registry, version: str) -> None:
    with pytest.raises(BadInput, match="cannot name a version"):
        registry.publish(version, {"manifest.json": b"{}"})


def test_files_need_plain_names_and_a_manifest(registry: Registry) -> None:
    with pytest.raises(BadInput, match=r"has no manifest\.json"):
        registry.publish(OLD, {"scorer.json": b""})
    with pytest.raises(BadInput, match=r"has a file '\.\./evil'"):
        registry.publish(OLD, {"manifest.json": b"{}", "../evil": b""})


def test_without_a_champion_the_remedy_is_named(registry: Registry) -> None:
    assert registry.champion() is None
    with pytest.raises(NotReady, match=r"no champion yet for contract 'ecommerce' in .*: run `fraudline retrain`"):
        registry.resolve(CHAMPION)


def test_where_all_versions_were_rejected_another_retrain_is_no_remedy(registry: Registry) -> None:
    publish(registry, OLD, NEW)
    registry.append("reject", OLD, "it finds nothing", {}, "ann", NOW)
    last = rf"\(last: reject {OLD}, it finds nothing\)"
    with pytest.raises(NotReady, match=rf"none of 2 versions was promoted {last}: .*`fraudline models list`.* --model"):
        registry.resolve(CHAMPION)


def test_an_unknown_version_is_answered_with_the_nearest(registry: Registry) -> None:
    publish(registry, OLD, NEW)
    with pytest.raises(BadInput, match=f"the nearest is '{NEW}'"):
        registry.resolve("2026-02-01-bbb")
    with pytest.raises(BadInput, match=r"no version '\.\./\.\./etc' in .*: the nearest is '2026-"):
        registry.resolve("../../etc")
    with pytest.raises(BadInput, match="no version"):
        promote(registry, "2026-02-01-bbb")


def test_the_newest_promotion_is_the_champion_whatever_is_shadowed_or_rejected_later(registry: Registry) -> None:
    publish(registry, OLD, NEW, NEWER)
    promote(registry, OLD)
    promote(registry, NEW)
    registry.append("shadow", NEWER, "too close to call", {}, "retrain", NOW)
    registry.append("reject", NEWER, "it loses 40 dollars a day", {}, "retrain", NOW)
    assert registry.resolve(CHAMPION) == registry.champion() == NEW
    assert [(entry.number, entry.action) for entry in registry.history()] == [
        (1, "promote"),
        (2, "promote"),
        (3, "shadow"),
        (4, "reject"),
    ]


def test_the_history_is_read_back_as_it_was_written(registry: Registry, objects: Objects) -> None:
    publish(registry, OLD)
    entry = promote(registry, OLD)
    assert Registry(objects, "ecommerce").history() == [entry]
    assert msgspec.json.decode(objects.get("ecommerce/history/00000001.json")) == {
        "number": 1,
        "action": "promote",
        "version": OLD,
        "reason": "it wins",
        "metrics": {"average_precision": 0.5},
        "who": "ann",
        "when": "2026-03-01T12:00:00Z",
    }


def test_the_champion_is_not_made_champion_again(registry: Registry) -> None:
    """The newest entry that made it tells its age, and an alarm waits for an old one."""
    publish(registry, OLD, NEW)
    promote(registry, NEW)
    promote(registry, OLD)
    before = registry.history()
    with pytest.raises(BadInput, match=f"'{OLD}' is already the champion of 'ecommerce'"):
        promote(registry, OLD)
    with pytest.raises(BadInput, match=f"'{OLD}' is already the champion of 'ecommerce'"):
        registry.rollback("to where we are", "ann", NOW, version=OLD)
    assert registry.history() == before


def test_rolling_back_goes_one_champion_further_each_time(registry: Registry) -> None:
    publish(registry, OLD, NEW, NEWER)
    for version in (OLD, NEW, NEWER):
        promote(registry, version)
    assert registry.rollback("too many alerts", "ann", NOW).version == NEW
    assert registry.rollback("still too many", "ann", NOW).version == OLD
    with pytest.raises(NotReady, match="no earlier champion"):
        registry.rollback("and again", "ann", NOW)
    assert registry.champion() == OLD


def test_a_champion_of_two_times_is_rolled_back_to_the_second_of_them_first(registry: Registry) -> None:
    publish(registry, OLD, NEW, NEWER)
    for version in (OLD, NEW, OLD, NEWER):
        promote(registry, version)
    assert registry.rollback("too many alerts", "ann", NOW).version == OLD
    assert registry.previous_champion() == NEW


def test_who_was_made_champion_twice_in_a_row_is_not_its_own_predecessor(registry: Registry) -> None:
    publish(registry, OLD, NEW)
    for version in (OLD, OLD, NEW):
        registry.append("promote", version, "it wins", {}, "ann", NOW)
    registry.rollback("too many alerts", "ann", NOW)
    assert (registry.champion(), registry.previous_champion()) == (OLD, None)


def test_a_rollback_that_was_decided_before_somebodys_promotion_loses(objects: Objects) -> None:
    class Raced(Registry):
        """Somebody promotes between the look at the history and the entry."""

        def previous_champion(self) -> str | None:
            found = super().previous_champion()
            promote(Registry(objects, "ecommerce"), NEWER)
            return found

    registry = Raced(objects, "ecommerce")
    publish(registry, OLD, NEW, NEWER)
    for version in (OLD, NEW):
        promote(registry, version)
    with pytest.raises(LostRace, match="decide again"):
        registry.rollback("too many alerts", "ann", NOW)
    assert registry.champion() == NEWER


def test_rolling_back_to_a_named_version_is_possible(registry: Registry) -> None:
    publish(registry, OLD, NEW, NEWER)
    for version in (OLD, NEW, NEWER):
        promote(registry, version)
    registry.rollback("back to what we know", "ann", NOW, version=OLD)
    assert registry.champion() == OLD
    promote(registry, NEWER)
    assert registry.previous_champion() == OLD


def test_contracts_do_not_see_each_other(registry: Registry, objects: Objects) -> None:
    publish(registry, OLD)
    promote(registry, OLD)
    other = Registry(objects, "cards")
    assert (other.versions(), other.history(), other.champion()) == ([], [], None)


def test_a_decision_made_on_an_older_history_loses(registry: Registry) -> None:
    publish(registry, OLD, NEW)
    number = registry.next_number()
    promote(registry, OLD, number)
    with pytest.raises(LostRace, match="entry 1 of the history of 'ecommerce'"):
        promote(registry, NEW, number)
    assert registry.champion() == OLD


def test_appending_once_more_what_was_appended_is_harmless(registry: Registry) -> None:
    """A lost answer is followed by a retry: it must not read as somebody else's entry."""
    publish(registry, OLD)
    entries = [registry.append("promote", OLD, "it wins", {}, "ann", NOW, 1) for _ in range(2)]
    assert entries[0] == entries[1]
    assert len(registry.history()) == 1


def test_the_history_has_no_holes(registry: Registry) -> None:
    publish(registry, OLD)
    for number in (2, 7):
        with pytest.raises(BadInput, match=f"goes on with entry 1, not {number}"):
            promote(registry, OLD, number)


def test_of_racing_promotions_one_wins_and_the_others_know(objects: Objects) -> None:
    versions = [f"2026-03-01-{racer:04d}" for racer in range(8)]
    publish(Registry(objects, "ecommerce"), *versions)
    results = in_parallel(lambda me: promote(Registry(objects, "ecommerce"), versions[me], 1), times=8)
    winners = [result for result in results.values() if isinstance(result, Entry)]
    assert len(winners) == 1
    assert all(isinstance(result, LostRace) for result in results.values() if result not in winners)
    assert Registry(objects, "ecommerce").history() == winners


def test_racing_publishers_of_the_same_bytes_all_succeed(objects: Objects) -> None:
    results = in_parallel(lambda me: publish(Registry(objects, "ecommerce"), OLD), times=8)
    assert set(results.values()) == {None}
    assert dict(Registry(objects, "ecommerce").read(OLD))["scorer.json"] == OLD.encode()


def test_a_time_without_a_zone_never_gets_into_the_history(registry: Registry) -> None:
    publish(registry, OLD)
    with pytest.raises(ValueError, match="zone"):
        registry.promote(OLD, "it wins", {}, "ann", NOW.replace(tzinfo=None))
    assert registry.history() == []


@pytest.mark.parametrize("damage", [b"", b"{", b'{"number": 2}', b"\xff", b'{"who": "\xff"}'])
def test_a_damaged_history_is_named(registry: Registry, objects: Objects, damage: bytes) -> None:
    objects.put("ecommerce/history/00000001.json", damage)
    with pytest.raises(Tampered, match=r"ecommerce/history/00000001\.json in .* is no entry"):
        registry.champion()


def test_an_entry_under_another_number_is_named(registry: Registry, objects: Objects) -> None:
    publish(registry, OLD)
    promote(registry, OLD)
    objects.put("ecommerce/history/00000002.json", objects.get("ecommerce/history/00000001.json"))
    with pytest.raises(Tampered, match="says it is entry 1"):
        registry.champion()


def test_a_long_history_is_read_once(registry: Registry, objects: Objects) -> None:
    publish(registry, OLD)
    promote(registry, OLD)
    for day in range(20):
        registry.append("reject", OLD, "no better", {}, "retrain", NOW + timedelta(days=day))
    assert registry.champion() == OLD
    for number in range(1, 22):
        objects.delete(f"ecommerce/history/{number:08d}.json")
        objects.put(f"ecommerce/history/{number:08d}.json", b"not read again")
    assert registry.champion() == OLD


def test_reading_a_registry_in_a_folder_loads_nothing_heavy() -> None:
    """The real-time function reads bundles through it, and must start in a tenth of a second."""
    heavy = {"boto3", "botocore", "numpy", "pandas", "sklearn", "pydantic", "prefect"}
    show = "import sys, fraudline.adapters.registry; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", show], check=True, capture_output=True, text=True).stdout
    assert not heavy & set(loaded.split())

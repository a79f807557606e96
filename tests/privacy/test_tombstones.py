"""The rows of erased people: one for each, under one key for all, and none is known without it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.tables.tombstones import (
    Tombstones,
    erased_people,
    erased_where_known,
    require_nobody_new,
)
from fraudline.contract import load_contract
from fraudline.durations import HOUR
from fraudline.erasure.people import Tombstone
from fraudline.errors import BadInput, LostRace, NotReady
from fraudline.features.definition import feature_set
from fraudline.features.profile import LaggedHistory
from fraudline.profiles import profile_key
from fraudline.settings import ERASURE_KEY, Settings
from tasks import landing, materializing
from tests.stream.events import clean_events
from tests.stream.storage import table_items

KEY = "for tests: forty-eight characters nobody can guess"
SHOP = load_contract("ecommerce")

Store = Callable[..., Tombstones]


@pytest.fixture
def store(resources: Settings) -> Store:
    """The rows as somebody with a key sees them."""

    def of(key: str | None = KEY) -> Tombstones:
        return Tombstones(DynamoDB(AwsJson("dynamodb")), resources.erasures_table, key.encode() if key else None)

    return of


def erase(store: Tombstones, entity: str = "user", id_: str = "U1") -> Tombstone:
    tombstone = store.new(entity, id_, within(10))
    DynamoDB(AwsJson("dynamodb")).transact([store.write(tombstone)], within(10))
    return tombstone


def test_a_person_has_one_tombstone_and_who_comes_second_does_not_replace_it(store: Store, resources: Settings) -> None:
    second = store().new("user", "U1", within(10))
    first = erase(store())
    with pytest.raises(LostRace):
        DynamoDB(AwsJson("dynamodb")).transact([store().write(second)], within(10))
    assert store().of("user", "U1", within(10)) == first
    assert first.pseudonym != second.pseudonym
    assert "U1" not in str(table_items(resources.erasures_table))


def test_a_person_is_known_by_their_entity_and_id(store: Store) -> None:
    tombstone = erase(store(), "terminal", "7")
    assert store().of("terminal", "7", within(10)) == tombstone
    assert store().of("card", "7", within(10)) is None
    assert store().of("terminal", "8", within(10)) is None


def test_ids_that_are_given_are_searched_for_as_they_are(store: Store) -> None:
    tombstone = erase(store())
    erased = store().erased(SHOP, within(10), (("user", "U1"), ("user", "U2")))
    assert erased._known == {"U1": tombstone.pseudonym, "U2": ""}


def test_the_first_key_is_the_only_one(store: Store) -> None:
    """It is remembered even before anybody is erased."""
    assert store().of("user", "U1", within(10)) is None
    another = store("another key of forty-eight characters or so, I say")
    for ask in (
        lambda: another.of("user", "U1", within(10)),
        lambda: another.new("user", "U1", within(10)),
    ):
        with pytest.raises(BadInput, match=f"{ERASURE_KEY} is not the key that people were erased with here"):
            ask()
    erase(store())
    with pytest.raises(BadInput, match="is not the key"):
        another.erased(SHOP, within(10))


def test_of_two_first_keys_at_once_one_is_remembered(store: Store) -> None:
    one, other = store(), store("another key of forty-eight characters or so, I say")
    rows = one._rows(within(10))
    assert one._checked_key(rows, within(10)) == KEY.encode()
    with pytest.raises(LostRace):
        other._checked_key(rows, within(10))
    assert one.of("user", "U1", within(10)) is None


def test_nobody_is_asked_for_a_key_before_somebody_is_erased(store: Store) -> None:
    keyless = store(None)
    assert not keyless.erased(SHOP, within(10)).pseudonyms
    # The row of the key is no person.
    assert store().of("user", "U1", within(10)) is None
    assert not keyless.erased(SHOP, within(10)).pseudonyms
    tombstone = erase(store())
    assert store().erased(SHOP, within(10)).pseudonyms == {tombstone.pseudonym}
    with pytest.raises(NotReady, match=f"people are to be erased and there is no key: set {ERASURE_KEY}"):
        keyless.erased(SHOP, within(10))


def test_who_was_erased_since_is_noticed(store: Store, resources: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ERASURE_KEY, KEY)
    before = erased_people(resources, SHOP)
    require_nobody_new(resources, SHOP, before)
    erase(store())
    with pytest.raises(NotReady, match=r"somebody was erased while this was read.*run it again"):
        require_nobody_new(resources, SHOP, before)
    require_nobody_new(resources, SHOP, erased_people(resources, SHOP))


def test_work_on_files_of_ones_own_knows_who_is_erased_where_there_is_a_key_and_asks_nobody_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tombstone = erase(store())
    monkeypatch.delenv(ERASURE_KEY, raising=False)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        assert not erased_where_known(SHOP).pseudonyms
    monkeypatch.setenv(ERASURE_KEY, KEY)
    assert erased_where_known(SHOP).pseudonyms == {tombstone.pseudonym}


def test_whoever_was_erased_goes_by_the_pseudonym_wherever_the_past_is_read_again(
    store: Store, resources: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that somebody has copied back tells of one person as two."""
    tombstone = erase(store(), "user", "U0")
    monkeypatch.setenv(ERASURE_KEY, KEY)
    data = b"\n".join(data for _, data in clean_events(20, users=2))
    (tmp_path / "own.jsonl").write_bytes(data)
    open_objects(f"s3://{resources.landing_bucket}").put("files/back.jsonl", data)
    for read in (
        lambda: landing.load_all(SHOP, landing.ALL_TIMES),
        lambda: landing.past(SHOP, ()),
        lambda: landing.load(SHOP, [str(tmp_path / "own.jsonl")]),
    ):
        table = read().table
        assert set(table.entities[0].values.to_pylist()) == {"U1", tombstone.pseudonym}
        assert len(table) == 20


def test_a_build_of_what_was_read_before_somebody_was_erased_writes_under_the_pseudonym(
    store: Store, resources: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards, history = load_contract("cards"), LaggedHistory(volume=[1, 1_000])
    generation = feature_set(cards).hash
    tombstone = erase(store(), "terminal", "7")
    monkeypatch.setenv(ERASURE_KEY, KEY)
    read = {profile_key("terminal", id_, generation): history for id_ in ("7", "8")}
    assert materializing.build(resources, materializing.Past(cards, 2, lambda *_: read), HOUR) == 2
    kept = {row["entity"] for row in table_items(resources.profiles_table) if not row["entity"].startswith("#")}
    assert kept == {profile_key("terminal", id_, generation) for id_ in (tombstone.pseudonym, "8")}

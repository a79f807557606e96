"""Profiles for new features, built beside those in use: in the end they are those of a group that always had them."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraudline.adapters.archive.names import archived_batches
from fraudline.adapters.aws.backoff import Deadline
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.generations.build import Built, build_generation
from fraudline.adapters.generations.marks import require_ready
from fraudline.adapters.generations.move import Mover
from fraudline.adapters.storage.objects import Objects, open_objects
from fraudline.adapters.stream.draining import LOST, OUTDATED, Limits
from fraudline.adapters.stream.slices import SliceReport, run_slice
from fraudline.adapters.tables.leases import Lease, Leases
from fraudline.adapters.tables.profiles import Profiles
from fraudline.contract import load_contract
from fraudline.errors import NotReady
from fraudline.features.definition import feature_set
from fraudline.generation import Generation
from fraudline.local.resources import create_resources
from fraudline.profiles import ProfileChange
from fraudline.settings import Settings
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator
from tests.stream.conftest import Send
from tests.stream.events import clean_events, dirty_events
from tests.stream.storage import stored
from tests.stream.test_resharding import put, reshard, resharding
from tests.stream.worker import LEASE_SECONDS, Orders, Worker, deps_of
from tests.support.parallel import in_parallel

__all__ = ["resharding"]

ROOT = Path(__file__).parents[2]
OLD = load_contract("ecommerce")
OLD_GENERATION = feature_set(OLD).hash
SMALL = Limits(batch_records=20, seconds=60.0)
EVENTS = dirty_events(600, users=40)
THIRD = len(EVENTS) // 3


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The shop's contract with other windows: a file."""
    path = tmp_path_factory.mktemp("contract") / "longer.toml"
    text = (ROOT / "data" / "contracts" / "ecommerce.toml").read_text()
    path.write_text(text.replace('windows = ["1h", "1d", "7d", "30d"]', 'windows = ["1h", "2d", "14d", "60d"]'))
    return str(path)


@pytest.fixture
def old() -> Orders:
    """A worker with the features that the stream began with."""
    return Orders("old", SMALL)


@pytest.fixture
def new(longer: str) -> Orders:
    """A worker with the new features."""
    return Orders("new", SMALL, contract=longer, bundle_seed=2)


def run(settings: Settings, orders: Orders, name: str = "") -> SliceReport:
    return run_slice(deps_of(settings, replace(orders, worker=name or orders.worker)), orders.limits)


def build(settings: Settings, longer: str, history: Iterable[Transaction] = (), profiles: type = Profiles) -> Built:
    dynamodb = DynamoDB(AwsJson("dynamodb"))
    return build_generation(
        Generation(load_contract(longer)),
        history,
        open_objects(f"s3://{settings.landing_bucket}"),
        Leases(dynamodb, settings.leases_table, settings.consumer, "builder"),
        profiles(dynamodb, settings.profiles_table, settings.decisions_table),
        lambda sentence: None,
        lambda: None,
    )


def profiles_of(settings: Settings, generation: str) -> dict[str, Any]:
    kept = stored(settings).profiles
    return {key: item for key, item in kept.items() if key.endswith(generation) and not key.startswith("#")}


@pytest.fixture
def assert_always(resources: Settings, undisturbed: Settings, new: Orders) -> Callable[[], None]:
    """The deployment holds, of the new features, what one holds that has read the whole stream with them."""

    def check() -> None:
        Worker(undisturbed, replace(new, worker="calm")).report()
        generation = feature_set(load_contract(new.contract)).hash
        assert profiles_of(resources, generation) == profiles_of(undisturbed, generation)
        ours, calm = stored(resources), stored(undisturbed)
        assert ours.rows == calm.rows
        assert ours.duplicates == calm.duplicates
        assert ours.rejects == calm.rejects
        made = {id_: d for id_, d in ours.decisions.items() if d["model_version"].endswith("2")}
        assert made
        assert made == {id_: calm.decisions[id_] for id_ in made}
        assert ours.decisions.keys() == calm.decisions.keys()

    return check


def test_a_group_that_changes_its_features_halfway_ends_as_if_it_had_always_had_them(
    resources: Settings, send: Send, old: Orders, new: Orders, longer: str, assert_always: Callable[[], None]
) -> None:
    send(EVENTS[:THIRD])
    run(resources, old)
    built = build(resources, longer)
    assert (built.archived, built.refused) == (len(stored(resources).rows), 0)
    assert built.profiles == built.written == len(profiles_of(resources, OLD_GENERATION))
    # Between the build and the switch.
    send(EVENTS[THIRD : 2 * THIRD])
    run(resources, old)
    assert run(resources, new).read == 0
    send(EVENTS[2 * THIRD :])
    run(resources, new)
    assert_always()


def test_a_second_warm_up_from_another_history_does_not_pass_for_done(resources: Settings) -> None:
    """More files, or another day: what the first one wrote would stand, and nobody would be told."""
    decode = Validator(OLD).decode
    past = [decode(data) for _, data in clean_events(200, users=40, seed=9, late=0.0)]
    history = [transaction for transaction in past if isinstance(transaction, Transaction)]
    assert build(resources, "ecommerce", history[:150]).written > 0
    written = profiles_of(resources, OLD_GENERATION)
    with pytest.raises(NotReady, match="empty the profiles table, as nothing has been scored yet"):
        build(resources, "ecommerce", history)
    assert profiles_of(resources, OLD_GENERATION) == written
    assert build(resources, "ecommerce", history[:150]).written == 0


def test_it_starts_from_the_history_that_the_first_generation_was_warmed_up_from(
    resources: Settings, undisturbed: Settings, send: Send, old: Orders, new: Orders, longer: str
) -> None:
    past = [data for _, data in clean_events(200, users=40, seed=9, late=0.0)]
    decode = Validator(OLD).decode
    history = [t for data in past if isinstance(t := decode(data), Transaction)]
    build(resources, "ecommerce", history)
    build(undisturbed, longer, history)
    events = clean_events(200, users=50, first=200)
    send(events[:100])
    run(resources, old)
    with pytest.raises(NotReady, match="warmed up from"):
        build(resources, longer)
    assert profiles_of(resources, feature_set(load_contract(longer)).hash) == {}
    build(resources, longer, history)
    send(events[100:])
    run(resources, new)
    run(undisturbed, new, "calm")
    generation = feature_set(load_contract(longer)).hash
    assert profiles_of(resources, generation) == profiles_of(undisturbed, generation)


@pytest.mark.parametrize("step", ["archive", "commit", "notify"])
def test_a_batch_in_flight_during_the_switch_is_finished_with_the_model_that_began_it(
    resources: Settings, send: Send, old: Orders, new: Orders, longer: str, assert_always: Callable[[], None], step: str
) -> None:
    send(EVENTS[:THIRD])
    run(resources, old)
    build(resources, longer)
    send(EVENTS[THIRD:])
    killed = replace(old, harm=signal.SIGKILL, step=step, count=5)
    Worker(resources, killed).dies()
    assert Worker(resources, new).report().flags == {}
    assert_always()


@pytest.mark.parametrize("step", ["move", "leave", "switch"])
def test_a_worker_killed_while_it_moves_a_shard_changes_nothing(
    resources: Settings, send: Send, old: Orders, new: Orders, longer: str, assert_always: Callable[[], None], step: str
) -> None:
    send(EVENTS[:THIRD])
    run(resources, old)
    build(resources, longer)
    send(EVENTS[THIRD : 2 * THIRD])
    run(resources, old)
    send(EVENTS[2 * THIRD :])
    killed = replace(new, worker="killed", harm=signal.SIGKILL, step=step, count=2)
    Worker(resources, killed).dies()
    assert Worker(resources, new).report().flags == {}
    assert_always()


@pytest.mark.parametrize("step", ["look_up", "decisions", "commit"])
def test_a_zombie_on_the_old_features_that_wakes_up_after_the_switch_changes_nothing(
    resources: Settings, send: Send, old: Orders, new: Orders, longer: str, assert_always: Callable[[], None], step: str
) -> None:
    send(EVENTS[:THIRD])
    run(resources, old)
    build(resources, longer)
    send(EVENTS[THIRD:])
    zombie = Worker(resources, replace(old, worker="zombie", harm=signal.SIGSTOP, step=step, count=5))
    while not zombie.is_frozen():
        time.sleep(0.02)
    time.sleep(LEASE_SECONDS)
    Worker(resources, new).report()
    zombie.send(signal.SIGCONT)
    assert {drain.ended for drain in zombie.report().drains} & {LOST, OUTDATED}
    assert Worker(resources, replace(new, worker="after")).report().read == 0
    assert_always()


class Dying(Profiles):
    """A build's store that dies in the middle of its writes."""

    def commit(self, changes: Sequence[ProfileChange], deadline: Deadline) -> None:
        super().commit(changes[: len(changes) // 2], deadline)
        raise KeyboardInterrupt


def test_a_build_killed_in_the_middle_is_no_generation_until_the_next_one_is_done(
    resources: Settings, send: Send, old: Orders, new: Orders, longer: str, assert_always: Callable[[], None]
) -> None:
    send(EVENTS[:THIRD])
    run(resources, old)
    with suppress(KeyboardInterrupt):
        build(resources, longer, profiles=Dying)
    generation = feature_set(load_contract(longer)).hash
    assert 0 < len(profiles_of(resources, generation)) < 40
    with pytest.raises(NotReady, match="warm-up"):
        require_ready(resources, generation)
    with pytest.raises(NotReady, match="warm-up"):
        run(resources, new)
    run(resources, old)
    # The stream has moved on meanwhile.
    send(EVENTS[THIRD : 2 * THIRD])
    run(resources, old)
    built = build(resources, longer)
    assert built.written <= built.profiles
    require_ready(resources, generation)
    assert build(resources, longer).written == 0
    send(EVENTS[2 * THIRD :])
    run(resources, new)
    assert_always()


class Gaps:
    """A listing that began before some objects were there and ended after later ones were."""

    def __init__(self, objects: Objects, missed: set[str]) -> None:
        self._objects = objects
        self._missed = missed

    def list(self, prefix: str) -> Iterator[str]:
        return (key for key in self._objects.list(prefix) if key not in self._missed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)


class Began:
    """Leases as they were when a build began."""

    def __init__(self, rows: Mapping[str, Lease]) -> None:
        self._rows = rows

    def rows(self) -> Mapping[str, Lease]:
        return self._rows


def test_a_build_looks_at_nothing_beyond_the_checkpoints_it_began_with(
    resources: Settings, send: Send, old: Orders, new: Orders, longer: str, assert_always: Callable[[], None]
) -> None:
    send(EVENTS[:THIRD])
    run(resources, old)
    rows = deps_of(resources, old).leases.rows()
    landing = open_objects(f"s3://{resources.landing_bucket}")
    before = set(landing.list("archive/"))
    send(EVENTS[THIRD : 2 * THIRD])
    run(resources, old)
    added: dict[str, str] = {}
    for batch in sorted(archived_batches(landing), key=lambda batch: batch.first):
        if batch.key not in before:
            added.setdefault(batch.shard, batch.key)
    assert len(added) == 4
    began: Any = Began(rows)
    dynamodb = DynamoDB(AwsJson("dynamodb"))
    profiles = Profiles(dynamodb, resources.profiles_table, resources.decisions_table)
    generation = Generation(load_contract(longer))
    gaps: Any = Gaps(landing, set(added.values()))
    assert build_generation(generation, (), gaps, began, profiles, lambda sentence: None, lambda: None).profiles > 0
    send(EVENTS[2 * THIRD :])
    run(resources, new)
    assert_always()


def test_builds_and_workers_at_the_same_time_write_the_same(
    resources: Settings, send: Send, old: Orders, new: Orders, longer: str, assert_always: Callable[[], None]
) -> None:
    send(EVENTS[:THIRD])
    run(resources, old)
    build(resources, longer)
    send(EVENTS[THIRD:])
    run(resources, replace(old, limits=Limits(records=40, batch_records=20)))

    def work(me: int) -> object:
        return build(resources, longer) if me % 2 else run(resources, new, f"new{me}")

    done = in_parallel(work, 4)
    assert all(isinstance(result, Built | SliceReport) for result in done.values()), done
    run(resources, new)
    assert_always()


def test_back_to_the_old_features_and_forth_again_loses_nothing(
    resources: Settings, undisturbed: Settings, send: Send, old: Orders, new: Orders, longer: str, unique: str
) -> None:
    generation = feature_set(load_contract(longer)).hash
    send(EVENTS[:THIRD])
    run(resources, old)
    build(resources, longer)
    for number, orders in enumerate((new, old, new, old)):
        require_ready(resources, generation)
        require_ready(resources, OLD_GENERATION)
        send(EVENTS[THIRD + number * 80 : THIRD + (number + 1) * 80])
        assert run(resources, orders).read > 0
    run(undisturbed, old, "calm")
    assert profiles_of(resources, OLD_GENERATION) == profiles_of(undisturbed, OLD_GENERATION)
    run(resources, new)
    another = undisturbed.model_dump(exclude={"contract", "stream", "alerts_topic_arn"}, exclude_none=True)
    own = {field: name.replace(unique, f"{unique}-again") for field, name in another.items()}
    always = create_resources(Settings(**own, stream=resources.stream))
    run(always, new, "always")
    assert profiles_of(resources, generation) == profiles_of(always, generation)


def test_a_worker_that_still_has_the_former_champion_leaves_moved_shards_alone(
    resources: Settings, send: Send, old: Orders, new: Orders, longer: str
) -> None:
    send(EVENTS[:THIRD])
    run(resources, old)
    build(resources, longer)
    run(resources, new)
    send(EVENTS[THIRD:])
    deps = deps_of(resources, old)
    champion = deps_of(resources, new).bundle.version
    late = replace(deps, mover=Mover(deps.mover._landing, deps.profiles, lambda: champion))
    report = run_slice(late, SMALL)
    assert {drain.ended for drain in report.drains} == {OUTDATED}
    assert report.read == 0
    assert run(resources, new).read > 0


def test_children_of_a_reshard_after_the_build_count_what_their_parents_had_left(
    resharding: Settings, undisturbed: Settings, old: Orders, new: Orders, longer: str
) -> None:
    events = dirty_events(240, users=20)
    put(resharding, events[:80])
    run(resharding, old)
    build(resharding, longer)
    put(resharding, events[80:120])
    reshard(resharding, 4)
    put(resharding, events[120:160])
    # The parents, and one child in part, under the old features still.
    run(resharding, replace(old, limits=Limits(records=30, batch_records=10)))
    put(resharding, events[160:])
    require_ready(resharding, feature_set(load_contract(longer)).hash)
    run(resharding, new)
    run(undisturbed, new, "calm")
    generation = feature_set(load_contract(longer)).hash
    assert profiles_of(resharding, generation) == profiles_of(undisturbed, generation)
    assert stored(resharding).decisions.keys() == stored(undisturbed).decisions.keys()

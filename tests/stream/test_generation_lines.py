"""Which shards a generation must have counted before one can move to it, and what marks and builds say of that."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fraudline.adapters.archive.names import archived_batches
from fraudline.adapters.aws.backoff import Deadline, within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.generations.build import Built, build_generation
from fraudline.adapters.generations.marks import Line, checkpoint_mark, line_of, require_ready
from fraudline.adapters.generations.move import Mover
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.stream.deps import StreamDeps
from fraudline.adapters.stream.draining import STOPPED, Limits, drain
from fraudline.adapters.stream.slices import run_slice
from fraudline.adapters.tables.leases import Lease, Leases
from fraudline.adapters.tables.profiles import Profiles
from fraudline.clock import parse_timestamp
from fraudline.contract import load_contract
from fraudline.errors import LostRace, NotReady
from fraudline.features.definition import feature_set
from fraudline.generation import Generation
from fraudline.profiles import Mark, ProfileChange, mark_key
from fraudline.settings import Settings
from fraudline.stream import TRIM_HORIZON, Shard, at_timestamp
from tests.stream.conftest import Send, void
from tests.stream.events import clean_events, sent
from tests.stream.storage import table_items
from tests.stream.test_generations import ROOT, longer, profiles_of
from tests.stream.worker import Orders, deps_of
from tests.support.parallel import in_parallel

__all__ = ["longer"]

OLD, NEW = "old", "new"
SMALL = Limits(batch_records=5, seconds=60.0)


@pytest.fixture
def profiles(resources: Settings) -> Profiles:
    return Profiles(DynamoDB(AwsJson("dynamodb")), resources.profiles_table, resources.decisions_table)


def lease(shard: str, *parents: str, checkpoint: str = "17", generation: str = OLD, seen_through: int = 0) -> Lease:
    return Lease(shard, parents, checkpoint, 0, generation=generation, seen_through=seen_through)


def rows_of(*leases: Lease) -> dict[str, Lease]:
    return {lease.shard: lease for lease in leases}


def shards(*names: str) -> frozenset[str]:
    return frozenset(names)


def line(profiles: Profiles, shard: str, rows: Mapping[str, Lease]) -> Line:
    return line_of(shard, rows, NEW, profiles, within(10))


def test_a_shard_is_marked_up_to_its_checkpoint_from_the_day_before_it_was_seen() -> None:
    """Times of arrival are approximate: around midnight the next record may tell the day before."""
    seen = parse_timestamp("2026-03-01T00:00:01Z", "UTC")
    assert checkpoint_mark(lease("a", seen_through=seen)) == Mark("17", "2026-02-28")
    assert checkpoint_mark(lease("a")) == Mark("17", "")
    assert checkpoint_mark(lease("a", checkpoint=TRIM_HORIZON)) == Mark("", "")
    assert checkpoint_mark(lease("a", checkpoint=at_timestamp(seen), seen_through=seen)) == Mark("", "2026-02-28")


def test_what_nobody_has_counted_is_ready(profiles: Profiles) -> None:
    found = line(profiles, "a", rows_of(lease("a", generation="")))
    assert (found.shards, found.is_built) == (shards(), True)
    found = line(profiles, "a", rows_of(lease("a", generation=NEW)))
    assert (found.shards, found.is_built) == (shards(), True)


def test_a_shard_that_another_generation_has_counted_needs_a_mark(profiles: Profiles) -> None:
    rows = rows_of(lease("a"), lease("b"))
    found = line(profiles, "a", rows)
    assert (found.shards, found.behind, found.is_built, found.since) == (shards("a"), shards("a"), False, "")
    profiles.mark(NEW, {"a": Mark("17", "2026-03-01")}, within(10))
    found = line(profiles, "a", rows)
    assert (found.shards, found.behind, found.is_built, found.through("a")) == (shards("a"), shards(), True, "17")
    profiles.mark(NEW, {"a": Mark("16", "2026-02-27")}, within(10))
    found = line(profiles, "a", rows)
    assert (found.behind, found.is_built, found.since) == (shards("a"), True, "2026-02-27")
    assert not line(profiles, "b", rows).is_built


def test_a_child_needs_all_that_it_came_from(profiles: Profiles) -> None:
    rows = rows_of(lease("a"), lease("b"), lease("c", "a", "b", generation=""))
    profiles.mark(NEW, {"a": Mark("16", "2026-03-02")}, within(10))
    assert not line(profiles, "c", rows).is_built
    profiles.mark(NEW, {"b": Mark("16", "2026-03-01")}, within(10))
    found = line(profiles, "c", rows)
    assert (found.shards, found.behind, found.is_built) == (shards("a", "b"), shards("a", "b"), True)
    assert found.since == "2026-03-01"


def test_a_parent_that_the_new_generation_has_counted_to_its_end_ends_the_line(profiles: Profiles) -> None:
    rows = rows_of(lease("a"), lease("b", "a", generation=NEW), lease("c", "b"))
    found = line(profiles, "c", rows)
    assert (found.shards, found.is_built) == (shards("c"), True)


def test_a_parent_whose_row_is_gone_counts_by_its_mark_alone(profiles: Profiles) -> None:
    """Without one the group has never read it, or an expired one had nothing to count."""
    rows = rows_of(lease("c", "gone", generation=""))
    assert line(profiles, "c", rows).shards == shards()
    profiles.mark(NEW, {"gone": Mark("9", "2026-03-01")}, within(10))
    found = line(profiles, "c", rows)
    assert (found.shards, found.behind, found.since, found.is_built) == (
        shards("gone"),
        shards("gone"),
        "2026-03-01",
        True,
    )


def test_a_child_that_was_counted_after_its_parent_expired_is_not_built(profiles: Profiles) -> None:
    assert not line(profiles, "c", rows_of(lease("c", "gone"))).is_built
    assert not line(profiles, "c", rows_of(lease("c"))).is_built


def test_only_the_shards_that_are_not_built_are_named(resources: Settings, profiles: Profiles) -> None:
    leases = Leases(DynamoDB(AwsJson("dynamodb")), resources.leases_table, resources.consumer, "w")
    for shard in deps_of(resources, Orders("w")).stream.shards(within(10)):
        leases.create(shard, TRIM_HORIZON)
    require_ready(resources, NEW)
    for one in sorted(leases.rows().values(), key=lambda lease: lease.shard)[:2]:
        own = leases.acquire(one)
        assert own is not None
        leases.renew(own, checkpoint="17", generation=OLD)
    profiles.mark(NEW, {"shardId-000000000000": Mark("17", "")}, within(10))
    with pytest.raises(NotReady, match=r"generation new is not built for shardId-000000000001: run"):
        require_ready(resources, NEW)


def test_of_generations_that_are_announced_at_once_each_is_named(profiles: Profiles) -> None:
    """One whose name begins another's, too."""
    names = [f"g{number}" for number in range(11)]
    for name in ("g10", "g1"):
        profiles.announce(name, within(10))
    done = in_parallel(lambda me: profiles.announce(names[me], within(30)), len(names))
    assert set(done.values()) == {None}
    assert sorted(profiles._announced(within(10)).split()) == sorted(names)


def build(settings: Settings, contract: str, leases: Leases | None = None, profiles: Profiles | None = None) -> Built:
    dynamodb = DynamoDB(AwsJson("dynamodb"))
    return build_generation(
        Generation(load_contract(contract)),
        (),
        open_objects(f"s3://{settings.landing_bucket}"),
        leases or Leases(dynamodb, settings.leases_table, settings.consumer, "builder"),
        profiles or Profiles(dynamodb, settings.profiles_table, settings.decisions_table),
        void,
        lambda: None,
    )


def marks_of(settings: Settings, generation: str) -> dict[str, str]:
    start = mark_key(generation, "")
    found = {row["entity"]: row for row in table_items(settings.profiles_table) if row["entity"].startswith(start)}
    return {key.removeprefix(start): row["through"] for key, row in found.items()}


def test_a_build_counts_shards_whose_rows_are_gone_to_their_ends(resources: Settings, send: Send, longer: str) -> None:
    send(clean_events(40, users=10))
    deps = deps_of(resources, Orders("old"))
    run_slice(deps, SMALL)
    for row in deps.leases.rows().values():
        assert deps.leases.retire(row)
    built = build(resources, longer)
    assert (built.archived, built.profiles) == (40, 10)
    landing = open_objects(f"s3://{resources.landing_bucket}")
    ends = {batch.shard: batch.last for batch in sorted(archived_batches(landing), key=lambda batch: batch.first)}
    assert marks_of(resources, feature_set(load_contract(longer)).hash) == ends != {}


def test_a_build_counts_nothing_of_a_shard_that_has_been_new_since_it_began(
    resources: Settings, send: Send, longer: str
) -> None:
    """Of its objects the listing may have seen the later ones only."""
    send(clean_events(40, users=10))
    deps = deps_of(resources, Orders("old"))
    run_slice(deps, SMALL)
    told = [{}, deps.leases.rows(), deps.leases.rows()]

    class Began(Leases):
        """None of them was there yet when the build began."""

        def rows(self) -> dict[str, Lease]:
            return told.pop(0)

    leases = Began(DynamoDB(AwsJson("dynamodb")), resources.leases_table, resources.consumer, "builder")
    assert build(resources, longer, leases).archived == 0
    assert marks_of(resources, feature_set(load_contract(longer)).hash) == {}


def test_rows_that_the_new_contract_refuses_explain_as_many_profiles_that_differ(
    resources: Settings, send: Send, tmp_path: Path
) -> None:
    records = [
        msgspec.json.decode(data) | {"device_type": "tablet" if 5 <= number < 10 else "mobile"}
        for number, (_, data) in enumerate(clean_events(15, users=1, late=0.0))
    ]
    send([sent(record | {"user_id": f"U{number % 5}"}) for number, record in enumerate(records)])
    run_slice(deps_of(resources, Orders("old")), SMALL)
    path = tmp_path / "narrow.toml"
    text = (ROOT / "data" / "contracts" / "ecommerce.toml").read_text()
    path.write_text(text.replace('"desktop", "tablet"]', '"desktop"]'))
    built = build(resources, str(path))
    assert (built.archived, built.refused, built.profiles, built.written) == (10, 5, 5, 5)


def moved(settings: Settings, longer: str, send: Send) -> Orders:
    """Orders of a worker for which a shard has many batches to count before it can move."""
    send(clean_events(40, users=1))
    deps = deps_of(settings, Orders("old"))
    run_slice(deps, replace(SMALL, records=5))
    build(settings, longer)
    run_slice(deps, SMALL)
    return Orders("new", SMALL, contract=longer, bundle_seed=2, lease_seconds=60)


def taken(deps: StreamDeps) -> tuple[Lease, Shard]:
    """The lease on the only shard that has records."""
    (shard,) = (shard for shard in deps.stream.shards(within(10)) if shard.owns("U0"))
    lease = deps.leases.acquire(deps.leases.rows()[shard.id])
    assert lease is not None
    return lease, shard


def test_a_move_that_is_told_to_stop_leaves_the_shard_where_it_was(
    resources: Settings, send: Send, longer: str
) -> None:
    orders, steps = moved(resources, longer, send), list[str]()
    deps = replace(deps_of(resources, orders, lambda: bool(steps)), fault=steps.append)
    lease, shard = taken(deps)
    assert drain(deps, lease, shard, SMALL, void).ended == STOPPED
    assert steps == ["move"]
    assert deps.leases.rows()[shard.id].generation == lease.generation == feature_set(load_contract("ecommerce")).hash


def test_a_lease_is_kept_while_its_shard_moves(resources: Settings, send: Send, longer: str) -> None:
    orders = replace(moved(resources, longer, send), lease_seconds=3)
    terms: list[int] = []
    deps = deps_of(resources, orders)
    lease, shard = taken(deps)

    def fault(step: str) -> None:
        if step == "move":
            terms.append(deps.leases.rows()[shard.id].expires_at)
            time.sleep(0.4)

    assert drain(replace(deps, fault=fault), lease, shard, SMALL, void).read == 0
    assert len(terms) == 7
    assert len(set(terms)) > 1
    assert deps.leases.rows()[shard.id].generation == feature_set(load_contract(longer)).hash


class Raced(Profiles):
    """Of the first three writes a rival was faster at a part, and has lost it again to who was there before."""

    races = 0

    def commit(self, changes: Sequence[ProfileChange], deadline: Deadline) -> None:
        if self.races == 3:
            super().commit(changes, deadline)
            return
        self.races += 1
        super().commit(changes[1:], deadline)
        raise LostRace("a rival was faster")


def test_a_build_that_others_are_faster_at_writes_everything(resources: Settings, send: Send, longer: str) -> None:
    send(clean_events(40, users=10))
    run_slice(deps_of(resources, Orders("old")), SMALL)
    raced = Raced(DynamoDB(AwsJson("dynamodb")), resources.profiles_table, resources.decisions_table)
    assert build(resources, longer, profiles=raced).profiles == 10
    assert raced.races == 3
    assert len(profiles_of(resources, feature_set(load_contract(longer)).hash)) == 10


def test_a_move_that_others_are_faster_at_counts_everything_once(
    resources: Settings, undisturbed: Settings, send: Send, longer: str
) -> None:
    events = clean_events(60, users=8)
    send(events[:30])
    old, new = Orders("old"), Orders("new", SMALL, contract=longer, bundle_seed=2)
    run_slice(deps_of(resources, old), SMALL)
    build(resources, longer)
    send(events[30:])
    run_slice(deps_of(resources, old), SMALL)
    deps = deps_of(resources, new)
    raced = Raced(DynamoDB(AwsJson("dynamodb")), resources.profiles_table, resources.decisions_table)
    run_slice(replace(deps, mover=Mover(deps.mover._landing, raced, deps.mover._champion)), SMALL)
    run_slice(deps_of(undisturbed, new), SMALL)
    generation = feature_set(load_contract(longer)).hash
    assert raced.races == 3
    assert profiles_of(resources, generation) == profiles_of(undisturbed, generation) != {}

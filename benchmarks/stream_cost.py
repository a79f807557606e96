"""What a streamed transaction costs its client in CPU, from record bytes to decision, archive, profile and checkpoint.

Runs against the embedded emulator, whose own CPU is not counted, in batches of 500: both contracts, with 20 and with 1
transaction of each user in a batch. Beside it, on the same records: (a) async-kinesis, the seed's scikit-learn
pipeline on the batch and boto3's `batch_writer`; (b) a call of that pipeline and a `put_item` for each record. They
keep no profiles, no archive and no promise. Also the core alone, and with --growth whether its cost grows.

    python benchmarks/stream_cost.py
    python benchmarks/stream_cost.py --growth
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from fraudline.adapters.aws_json import AwsJson
from fraudline.adapters.backoff import within
from fraudline.adapters.clients import client
from fraudline.adapters.draining import Limits
from fraudline.adapters.producer import Producer
from fraudline.adapters.slices import run_slice
from fraudline.adapters.stream_deps import stream_deps
from fraudline.archive import Account, Row, encode_archive
from fraudline.clock import format_micros, parse_timestamp
from fraudline.contract import Contract, load_contract
from fraudline.decision import Decision, decision_item
from fraudline.durations import MINUTE
from fraudline.features.definition import feature_set
from fraudline.local.emulator import environment_of, running_emulator
from fraudline.local.resources import create_resources
from fraudline.microbatch import MicroBatches, View
from fraudline.profiles import StoredProfile
from fraudline.scoring import Calibration, Curve, LinearModel, LinearScorer
from fraudline.settings import Settings
from fraudline.stream import Batch, Intent, Record, Shard, position_of

BATCH = 500
WARM_UP = 1_000
BEGIN = parse_timestamp("2026-01-05T08:00:00Z", "UTC")
KNOTS = 8
FLAGGED = 0.01
# Of a batch with 20 of each user: records, intent, 6 look-ups, archive, 21 of decisions and alerts, commit, checkpoint.
CALLS = 32
ASYNC_KINESIS = "3.0.1"
BASELINES = Path(__file__).with_name("stream_baselines.py")

Sent = tuple[str, bytes]


@dataclass(frozen=True)
class Model:
    """A linear model of the shipped form with random curves: what it costs does not depend on what it has learned."""

    contract: Contract
    scorer: LinearScorer
    version: str
    threshold: float

    def reasons(self, features: Sequence[float]) -> list[str]:
        shares = self.scorer.contributions(features)
        strongest = max(range(len(shares)), key=shares.__getitem__)
        return [feature_set(self.contract).features[strongest].sentence]


def model(contract: Contract, seed: int = 0) -> Model:
    """Scores are spread; the threshold flags about one in a hundred transactions."""
    rng = random.Random(seed)
    names = feature_set(contract).names
    pieces = KNOTS + 1
    curves = tuple(
        Curve(
            name,
            tuple(float(2**knot) for knot in range(KNOTS)),
            tuple(rng.uniform(-1, 1) for _ in range(pieces)),
            tuple(rng.uniform(-0.01, 0.01) for _ in range(pieces)),
        )
        for name in names
    )
    bundle = Model(contract, LinearScorer(LinearModel(-3.0, curves, Calibration(), (0.0,) * len(names))), "v1", 1.0)
    scores = sorted(decision.score for batch in decided(bundle, events(contract, 2_000, 100)) for decision in batch)
    return replace(bundle, threshold=scores[int(len(scores) * (1 - FLAGGED))])


def events(contract: Contract, count: int, users: int, seed: int = 0) -> list[Sent]:
    """Transactions of `users` in time order, in no user's order, as a producer sends them."""
    rng = random.Random(seed)
    make = ecommerce_event if contract.name == "ecommerce" else cards_event
    return [make(number, f"U{rng.randrange(users)}", rng) for number in range(count)]


def ecommerce_event(number: int, user: str, rng: random.Random) -> Sent:
    record = {
        "transaction_id": f"t{number:09d}",
        "user_id": user,
        "timestamp": format_micros(BEGIN + number * MINUTE // 4),
        "amount": rng.randrange(100, 50_000) / 100,
        "device_type": rng.choice(("mobile", "desktop", "tablet")),
        "location": rng.choice(("Paris", "Lyon", "Nice", "Lille")),
        "is_vpn": rng.randrange(2),
        "card_type": rng.choice(("credit", "debit", "prepaid")),
    }
    return user, json.dumps(record).encode()


def cards_event(number: int, user: str, rng: random.Random) -> Sent:
    record = {
        "TRANSACTION_ID": number,
        "TX_DATETIME": format_micros(BEGIN + number * MINUTE // 4),
        "CUSTOMER_ID": user,
        "TERMINAL_ID": f"T{rng.randrange(10_000)}",
        "TX_AMOUNT": rng.randrange(100, 9_000) / 100,
    }
    return user, json.dumps(record).encode()


def decided(bundle: Model, sent: Sequence[Sent]) -> Iterator[Sequence[Decision]]:
    """The core alone on everything sent, batch after batch, profiles in a dictionary."""
    core, shard = MicroBatches(bundle), Shard("s", 0, 2**128)
    profiles: dict[str, StoredProfile] = {}
    for first in range(0, len(sent), BATCH):
        records = tuple(
            Record(str(n), position_of(str(n), "s"), key, BEGIN + 2**50, data)
            for n, (key, data) in enumerate(sent[first : first + BATCH], first + 1)
        )
        batch = Batch(shard, records, Intent(records[-1].sequence, len(records), "v1", BEGIN, 0))
        reading = core.read(batch)
        known = {id_: profiles[key] for id_, key in reading.profile_keys.items() if key in profiles}
        outcome = core.decide(batch, reading, View(known, {}, {}))
        profiles.update((c.key, StoredProfile(c.position, c.history)) for c in outcome.changes)
        yield outcome.decisions


@dataclass(frozen=True)
class Cost:
    """Microseconds of this process's CPU an event."""

    name: str
    events: int
    cpu: float

    def line(self, ours: float) -> str:
        return f"{self.name:52} {self.events:8d} {self.cpu:10.0f} {self.cpu / ours:8.1f}x"


def core_cost(contract: Contract, count: int, users: int) -> Cost:
    bundle, sent = model(contract), events(contract, count, users)
    begin = time.process_time()
    done = sum(len(batch) for batch in decided(bundle, sent))
    return Cost(f"{contract.name}: core alone, {users} users", done, (time.process_time() - begin) / done * 1e6)


def stream_cost(contract: Contract, count: int, per_user: int) -> Cost:
    """One shard, drained by the shipped slice."""
    settings = one_shard(contract, f"{contract.name}-{per_user}")
    users = BATCH // per_user if per_user > 1 else 20 * BATCH
    Producer(client("kinesis"), settings.stream).send(events(contract, WARM_UP + count, users))
    deps = stream_deps(settings, model(contract), "benchmark")
    run_slice(deps, Limits(records=WARM_UP))
    begin = time.process_time()
    report = run_slice(deps, Limits(seconds=3600, records=10**9))
    cpu = time.process_time() - begin
    assert report.scored == count, report
    return Cost(f"{contract.name}: fraudline, {per_user} of each user in a batch", count, cpu / count * 1e6)


def one_shard(contract: Contract, name: str) -> Settings:
    names = Settings.model_construct().model_dump(exclude={"contract", "consumer"}, exclude_none=True)
    own = {field: f"{name}-{value}" for field, value in names.items()}
    return create_resources(Settings(contract=contract.name, **own), shards=1)


def floor(contract: Contract, count: int) -> str:
    """Where the CPU of an event goes, each part measured alone; what is left over is threads, waiting and garbage."""
    bundle, sent = model(contract), events(contract, count, BATCH // 20)
    core = core_cost(contract, count, BATCH // 20).cpu
    batches = list(decided(bundle, sent))
    rows = cpu(lambda: [msgspec.json.encode([decision_item(d) for d in batch]) for batch in batches]) / count
    raw = [Row(position_of(str(n), "s"), BEGIN, BEGIN, msgspec.Raw(data)) for n, (_, data) in enumerate(sent)]
    account = Account("s", "", "", "v1", BEGIN, None, BATCH, BATCH, (), (), ())
    archive = cpu(lambda: [encode_archive(account, raw[at : at + BATCH]) for at in range(0, count, BATCH)]) / count
    calls = call_cost() * CALLS / BATCH
    parts = {"core": core, "rows as JSON": rows, "archive": archive, f"{CALLS} calls a batch": calls}
    told = " + ".join(f"{name} {value:.0f}" for name, value in parts.items())
    return f"the floor in this design: {told} = {sum(parts.values()):.0f} µs"


def call_cost(calls: int = 300) -> float:
    """Microseconds of CPU that one signed call costs, whatever it is about."""
    service = AwsJson("dynamodb")
    service.call("ListTables", {}, "DynamoDB", within(10))
    return cpu(lambda: [service.call("ListTables", {}, "DynamoDB", within(10)) for _ in range(calls)]) / calls


def cpu(work: Callable[[], object]) -> float:
    """Microseconds of this process's CPU."""
    begin = time.process_time()
    work()
    return (time.process_time() - begin) * 1e6


def baseline_costs(count: int, single: int) -> list[Cost]:
    """The two others, each in a process of its own that tells its CPU."""
    settings = one_shard(load_contract("ecommerce"), "baselines")
    Producer(client("kinesis"), settings.stream).send(events(load_contract("ecommerce"), WARM_UP + count, 25))
    packages = installed(f"async-kinesis=={ASYNC_KINESIS}")
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    command = [sys.executable, str(BASELINES), settings.stream, settings.decisions_table]
    told = subprocess.run(
        [*command, str(WARM_UP), str(count), str(single)], env=environment, check=True, capture_output=True, text=True
    )
    return [Cost(**json.loads(line)) for line in told.stdout.splitlines()]


def installed(requirement: str) -> Path:
    """A folder with a package that only this benchmark needs, and what it needs."""
    folder = Path(__file__).parent.parent / "out" / requirement.replace("==", "-")
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--quiet", "--target", str(folder), requirement]
        subprocess.run(command, check=True)
    return folder


def print_costs(count: int, single: int) -> None:
    print(f"{'':52} {'events':>8} {'µs CPU':>10} {'':>8}")
    with (
        TemporaryDirectory() as directory,
        running_emulator(Path(directory)) as emulator,
        environment_of(emulator.environment),
    ):
        ours = stream_cost(load_contract("ecommerce"), count, 20)
        print(ours.line(ours.cpu), flush=True)
        for name, per_user in (("ecommerce", 1), ("cards", 20), ("cards", 1)):
            print(stream_cost(load_contract(name), count, per_user).line(ours.cpu), flush=True)
        for name in ("ecommerce", "cards"):
            print(core_cost(load_contract(name), count, 25).line(ours.cpu), flush=True)
        for cost in baseline_costs(count, single):
            print(cost.line(ours.cpu), flush=True)
        print(floor(load_contract("ecommerce"), count))


def print_growth(largest: int) -> None:
    print(f"{'':52} {'events':>8} {'µs CPU':>10} {'':>8}")
    first = core_cost(load_contract("ecommerce"), 10_000, 100)
    for count, users in ((10_000, 100), (10_000, 100_000), (100_000, 100), (largest, 100), (largest, 100_000)):
        print(core_cost(load_contract("ecommerce"), count, users).line(first.cpu), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000, help="events of each measurement")
    parser.add_argument("--single", type=int, default=100, help="events of the record-by-record measurement")
    parser.add_argument("--growth", action="store_true", help="the core from 10 k to 1 M events, 100 to 100 k users")
    arguments = parser.parse_args()
    if arguments.growth:
        print_growth(1_000_000)
    else:
        print_costs(arguments.events, arguments.single)


if __name__ == "__main__":
    main()

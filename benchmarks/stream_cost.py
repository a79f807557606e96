"""What a streamed transaction costs its client in CPU, from record bytes to decision, archive, profile and checkpoint.

Runs against the embedded emulator, whose own CPU is not counted, in batches of 500: both contracts, with 20 and with 1
transaction of each user in a batch, terminals known, one transaction in a hundred flagged. Beside it, on the same
records: (a) async-kinesis, the seed's scikit-learn pipeline on the batch and boto3's `batch_writer`; (b) a call of that
pipeline and a `put_item` for each record. They keep no profiles, no archive and no promise, and flag nothing. Also the
core alone. Each is the lowest of several rounds. Whether the cost grows is `stream_growth.py`'s question.

    python -m benchmarks.stream_cost
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.stream_events import BATCH, BEGIN, Core, Lagged, batches, events, model, terminals
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.stream.deps import StreamDeps, stream_deps
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.producer import Producer
from fraudline.adapters.stream.slices import rarer_collections, run_slice
from fraudline.archive import Account, Row, encode_archive
from fraudline.contract import Contract, load_contract
from fraudline.decision import decision_item
from fraudline.features.definition import feature_set
from fraudline.local.emulator import environment_of, running_emulator
from fraudline.local.resources import create_resources
from fraudline.profiles import profile_key
from fraudline.settings import Settings

WARM_UP = 1_000
# Of a batch with 20 of each user: records, intent, 6 look-ups, archive, 21 of decisions and alerts, commit, checkpoint.
CALLS = 32
# About what a call of 25 rows takes the emulator.
PAUSE_SECONDS = 0.015
ASYNC_KINESIS = "3.0.1"
BASELINES = "benchmarks.stream_baselines"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cost:
    """Microseconds of this process's CPU an event."""

    name: str
    events: int
    cpu: float

    def line(self, ours: float) -> str:
        return f"{self.name:52} {self.events:8d} {self.cpu:10.0f} {self.cpu / ours:8.1f}x"


def core_cost(contract: Contract, count: int, users: int) -> Cost:
    sent, lagged = events(contract, count, users), terminals(contract)
    core = Core(model(contract).flagging(sent, lagged), lagged)
    with rarer_collections():
        for batch in batches(sent):
            core.do(batch)
    return Cost(f"{contract.name}: core alone, {users} users", count, core.seconds / count * 1e6)


def stream_cost(contract: Contract, count: int, per_user: int, run: int) -> Cost:
    """One shard, drained by the shipped slice."""
    settings = one_shard(contract, f"{contract.name}-{per_user}-{run}")
    users = BATCH // per_user if per_user > 1 else 20 * BATCH
    sent, lagged = events(contract, WARM_UP + count, users), terminals(contract)
    Producer(client("kinesis"), settings.stream).send(sent)
    deps = stream_deps(settings, model(contract).flagging(sent, lagged), "benchmark")
    materialize(deps, lagged)
    # No worker holds these: the garbage collector would walk them at the stream's expense.
    del sent, lagged
    run_slice(deps, Limits(records=WARM_UP))
    begin = time.process_time()
    report = run_slice(deps, Limits(seconds=3600, records=10**9))
    cpu = time.process_time() - begin
    assert report.scored == count, report
    return Cost(f"{contract.name}: fraudline, {per_user} of each user in a batch", count, cpu / count * 1e6)


def materialize(deps: StreamDeps, lagged: Lagged) -> None:
    contract = deps.bundle.contract
    generation = feature_set(contract).hash
    keys = {
        profile_key(contract.lagged_entities[index].name, id_, generation): history
        for (index, id_), history in lagged.items()
    }
    deps.profiles.publish(generation, keys, BEGIN, lambda: within(300))


def one_shard(contract: Contract, name: str) -> Settings:
    names = Settings.model_construct().model_dump(exclude={"contract", "consumer"}, exclude_none=True)
    own = {field: f"{name}-{value}" for field, value in names.items()}
    return create_resources(Settings(contract=contract.name, **own), shards=1)


def floor(contract: Contract, count: int) -> str:
    """Where the CPU of an event goes, each part measured alone; what is left over is larger requests, colder caches."""
    sent = events(contract, count, BATCH // 20)
    core = Core(model(contract).flagging(sent, {}))
    account = Account("s", "", "", "v1", BEGIN, None, BATCH, BATCH, (), (), ())
    rows = archive = 0.0
    with rarer_collections():
        for batch in batches(sent):
            decided = core.do(batch).decisions
            raw = [
                Row(d.position, BEGIN, BEGIN, msgspec.Raw(data)) for d, (_, data) in zip(decided, batch, strict=True)
            ]
            rows += cpu(lambda decided=decided: msgspec.json.encode([decision_item(d) for d in decided]))
            archive += cpu(lambda raw=raw: encode_archive(account, raw))
    parts = {
        "core": core.seconds * 1e6 / count,
        "rows as JSON": rows / count,
        "archive": archive / count,
        f"{CALLS} calls a batch": call_cost() * CALLS / BATCH,
    }
    told = " + ".join(f"{name} {value:.0f}" for name, value in parts.items())
    return f"the floor in this design: {told} = {sum(parts.values()):.0f} µs"


def call_cost(calls: int = 300) -> float:
    """Microseconds of CPU that one signed call costs, whatever it is about.

    Each comes after a pause, as those of a batch come after another's answer: what the caches held has gone by then.
    """
    service = AwsJson("dynamodb")

    def call() -> None:
        time.sleep(PAUSE_SECONDS)
        service.call("ListTables", {}, "DynamoDB", within(10))

    call()
    return sum(cpu(call) for _ in range(calls)) / calls


def cpu(work: Callable[[], object]) -> float:
    """Microseconds of this process's CPU."""
    begin = time.process_time()
    work()
    return (time.process_time() - begin) * 1e6


def baseline_costs(count: int, single: int, run: int) -> list[Cost]:
    """The two others, each in a process of its own that tells its CPU."""
    settings = one_shard(load_contract("ecommerce"), f"baselines-{run}")
    Producer(client("kinesis"), settings.stream).send(events(load_contract("ecommerce"), WARM_UP + count, 25))
    packages = installed(f"async-kinesis=={ASYNC_KINESIS}")
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    command = [sys.executable, "-m", BASELINES, settings.stream, settings.decisions_table]
    told = subprocess.run(
        [*command, str(WARM_UP), str(count), str(single)],
        env=environment,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [Cost(**json.loads(line)) for line in told.stdout.splitlines()]


def installed(requirement: str) -> Path:
    """A folder with a package that only this benchmark needs, and what it needs."""
    folder = ROOT / "out" / requirement.replace("==", "-")
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--quiet", "--target", str(folder), requirement]
        subprocess.run(command, check=True)
    return folder


def costs(count: int, single: int, run: int) -> Iterator[Cost]:
    for name in ("ecommerce", "cards"):
        for per_user in (20, 1):
            yield stream_cost(load_contract(name), count, per_user, run)
    for name in ("ecommerce", "cards"):
        yield core_cost(load_contract(name), count, 25)
    yield from baseline_costs(count, single, run)


def print_costs(count: int, single: int, rounds: int) -> None:
    lowest: dict[str, Cost] = {}
    with (
        TemporaryDirectory() as directory,
        running_emulator(Path(directory)) as emulator,
        environment_of(emulator.environment),
    ):
        for run in range(rounds):
            for cost in costs(count, single, run):
                lowest[cost.name] = min(cost, lowest.get(cost.name, cost), key=lambda cost: cost.cpu)
        told = floor(load_contract("ecommerce"), count)
    print(f"{'':52} {'events':>8} {'µs CPU':>10} {'':>8}")
    ours = next(iter(lowest.values())).cpu
    for cost in lowest.values():
        print(cost.line(ours))
    print(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000, help="events of each measurement")
    parser.add_argument("--single", type=int, default=100, help="events of the record-by-record measurement")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    arguments = parser.parse_args()
    print_costs(arguments.events, arguments.single, arguments.rounds)


if __name__ == "__main__":
    main()

"""The real-time function beside the seed's: cold start, warm answers, memory and package.

Trains both kinds of model on a simulated population, packages them, and measures each in fresh processes of one thread:
ours on an interpreter that has nothing but the package, the seed's (a random forest of 200 trees in a pickled
scikit-learn pipeline, a data frame for each call) on this one. Times are CPU, for other work on the machine adds to
the wall clock's; cold starts include the interpreter's own.

    python -m benchmarks.realtime
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import joblib
import msgspec
import pandas as pd

from benchmarks.seed_baseline import fit_seed_pipeline
from fraudline.clock import day_start
from fraudline.contract import load_contract
from fraudline.durations import DAY
from fraudline.features.online import OnlineFeatures
from fraudline.profiles import encode_history
from fraudline.realtime.packaging import package_lambda
from fraudline.simulate import LABEL, Population, simulate
from fraudline.simulate.records import rows
from fraudline.training.candidates import CANDIDATES
from fraudline.training.challenger import refit
from fraudline.training.dataset import prepare
from fraudline.training.plan import Plan
from fraudline.training.publishing import assemble
from fraudline.training.walk_forward import measure_candidate
from fraudline.transactions.table import from_transactions
from fraudline.transactions.transaction import Transaction
from fraudline.transactions.validation import Validator

PROCESS = Path(__file__).with_name("realtime_process.py")
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
POPULATION = Population(users=1_500, days=80, seed=0)
MIB = 2**20
# One thread, wherever a library would start several.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Nobody listens there: the clients are made, and the answer comes without a history.
NOWHERE = {
    "AWS_ENDPOINT_URL": "https://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "FRAUDLINE_RECORD_DECISIONS": "false",
}


@dataclass(frozen=True)
class Measurement:
    """Medians over fresh processes: CPU seconds to the first answer and of warm ones, bytes of memory.

    `loading` are seconds by the wall clock of answers given while models are loaded all the time.
    """

    cold: float
    memory: float
    warm: list[float]
    loading: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=10, help="fresh processes for each cold start")
    parser.add_argument("--calls", type=int, default=5_000, help="warm answers")
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        benchmark(Path(scratch), options.processes, options.calls)


def benchmark(folder: Path, processes: int, calls: int) -> None:
    frame = simulate(POPULATION)
    event = {"transaction_data": json.dumps(next(rows(frame.tail(1))))}
    linear, trees = (packaged(folder, frame, kind) for kind in ("linear", "trees"))
    pipeline = folder / "seed.joblib"
    seeds = fit_seed_pipeline(frame)
    # As everything here: one thread. Two would only add their hand-over to each call.
    seeds.set_params(forest__n_jobs=1)
    joblib.dump(seeds, pipeline)
    job = {"event": event, "history": thirty_days(event).hex()}

    def ours(package: Path, handler: str = "ours", **more: Any) -> Measurement:
        bare = {**job, "handler": handler, "paths": [str(package)], **more}
        return measure([sys.executable, "-I", "-S", str(PROCESS)], bare, processes, {})

    measured = {
        "linear": ours(linear, calls=calls, loads=20),
        "trees": ours(trees, calls=calls),
        "linear, AWS clients ready": measure(
            [sys.executable, "-I", "-S", str(PROCESS)],
            {**job, "handler": "ours_on_aws", "paths": [str(linear)]},
            processes,
            NOWHERE,
        ),
        "seed": measure(
            [sys.executable, str(PROCESS)],
            {**job, "handler": "seed", "paths": [], "pipeline": str(pipeline), "calls": max(calls // 50, 20)},
            max(processes // 3, 1),
            {},
        ),
    }
    show(measured)
    show_clients(linear, job, processes)
    show_packages(folder)


def packaged(folder: Path, frame: pd.DataFrame, kind: str) -> Path:
    """A zip with a model of this kind, made and unpacked."""
    version = folder / kind / "version"
    version.mkdir(parents=True)
    for name, data in trained(frame, kind).items():
        (version / name).write_bytes(data)
    report = package_lambda(folder / f"{kind}.zip", HERE, bundle=version)
    with zipfile.ZipFile(report.path) as archive:
        archive.extractall(folder / kind / "package")
    return folder / kind / "package"


def trained(frame: pd.DataFrame, kind: str) -> dict[str, bytes]:
    """A version's files: the first candidate of the kind, measured and refitted as `fraudline retrain` does."""
    contract = load_contract("ecommerce")
    validator = Validator(contract)
    records = [{**record, LABEL: int(label)} for record, label in zip(rows(frame), frame[LABEL], strict=True)]
    valid = [t for t in map(validator.validate, records) if isinstance(t, Transaction)]
    as_of = day_start(POPULATION.start) + POPULATION.days * DAY
    plan = Plan(contract, as_of, candidates=tuple(c for c in CANDIDATES if c.kind == kind)[:1])
    table = from_transactions(contract, valid).sorted()
    dataset = prepare(table, plan)
    measured = measure_candidate(plan.candidates[0], dataset, plan)
    return assemble(refit(measured, dataset, plan, "the only one", (measured,)), table, plan)[1]


def thirty_days(event: dict[str, str]) -> bytes:
    """The stored history of a busy user: three purchases a day for forty days up to the event."""
    contract = load_contract("ecommerce")
    last, online, choose = (
        Validator(contract).decode(event["transaction_data"].encode()),
        OnlineFeatures(contract),
        random.Random(1),
    )
    assert isinstance(last, Transaction)
    history = online.new_history()
    times = sorted(last.timestamp - choose.randrange(1, 40 * DAY) for _ in range(120))
    for time in times:
        earlier = msgspec.structs.replace(last, timestamp=time, amount=choose.randrange(500, 20_000))
        online.count(history, earlier, time)
    return encode_history(history)


def measure(command: Sequence[str], job: dict[str, Any], processes: int, environment: dict[str, str]) -> Measurement:
    """One process answers many calls, the others only the first."""
    full = {**ONE_THREAD, "PATH": os.environ["PATH"], **environment}
    first_only = {name: value for name, value in job.items() if name not in ("calls", "loads")}
    results = []
    for number in range(processes):
        told = json.dumps(job if number == 0 else first_only)
        done = subprocess.run([*command, told], env=full, capture_output=True, text=True, check=True)
        results.append(json.loads(done.stdout.splitlines()[-1]))
    return Measurement(
        cold=statistics.median(result["cold_cpu"] for result in results),
        memory=statistics.median(result["memory"] for result in results),
        warm=results[0].get("warm", []),
        loading=results[0].get("loading", []),
    )


def show(measured: dict[str, Measurement]) -> None:
    seed = measured["seed"]
    print(f"{'':28}{'cold CPU':>12}{'seed/this':>11}{'warm p50':>12}{'p99':>12}{'seed/this':>11}{'memory':>11}")
    for name, m in measured.items():
        line = f"{name:28}{m.cold * 1e3:9.0f} ms{seed.cold / m.cold:10.1f}x"
        if m.warm:
            p50, p99 = percentile(m.warm, 50), percentile(m.warm, 99)
            ratio = percentile(seed.warm, 50) / p50
            line += f"{p50 * 1e6:9.0f} µs{p99 * 1e6:9.0f} µs{ratio:10.0f}x"
        else:
            line += " " * 35
        print(f"{line}{m.memory / MIB:7.1f} MiB")
    loading = measured["linear"].loading
    print(
        "linear, while champions load one after the other, by the wall clock:"
        f" p50 {percentile(loading, 50) * 1e6:.0f} µs, p99 {percentile(loading, 99) * 1e6:.0f} µs,"
        f" slowest {max(loading) * 1e3:.1f} ms of {len(loading)} answers"
    )


def show_clients(package: Path, job: dict[str, Any], processes: int) -> None:
    bare = [sys.executable, "-I", "-S", str(PROCESS)]
    own = measure(bare, {**job, "handler": "own_clients", "paths": [str(package)]}, processes, NOWHERE)
    boto3 = measure(
        [sys.executable, "-I", str(PROCESS)], {**job, "handler": "boto3_clients", "paths": []}, processes, {}
    )
    print(
        f"a process with clients for DynamoDB and S3 and nothing else: ours {own.cold * 1e3:.0f} ms of CPU and"
        f" {own.memory / MIB:.0f} MiB, boto3 {boto3.cold * 1e3:.0f} ms and {boto3.memory / MIB:.0f} MiB"
    )


def show_packages(folder: Path) -> None:
    for path in sorted(folder.glob("*.zip")):
        print(f"{path.name}: {path.stat().st_size / MIB:.2f} MiB")


def percentile(values: Sequence[float], share: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


if __name__ == "__main__":
    main()

"""Workers as processes of their own, so that they can be killed, frozen and told to stop."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fraudline.adapters.generations.move import Mover
from fraudline.adapters.stream.deps import StreamDeps, stream_deps
from fraudline.adapters.stream.draining import Limits
from fraudline.adapters.stream.kinesis import Stream
from fraudline.adapters.stream.slices import run_slice
from fraudline.settings import Settings
from tests.stream.bundles import SmallBundle, small_bundle

# All decisions of all workers tell this time, so that they can be compared.
SCORED_AT = 1_800_000_000_000_000
LEASE_SECONDS = 1.0
# Of who shall keep it, though the machine be busy with more than a test.
UNDISTURBED_SECONDS = 60.0
SMALL_BATCHES = Limits(batch_records=25, seconds=60.0)


@dataclass(frozen=True)
class Orders:
    """What a worker does: `harm` (a signal) comes to it as it begins the `count`-th step of that name.

    It does one slice, or slice after slice for `seconds` and reports the last.
    """

    worker: str
    limits: Limits = SMALL_BATCHES
    harm: signal.Signals | None = None
    step: str = ""
    count: int = 1
    bundle_seed: int = 1
    contract: str = "ecommerce"
    lease_seconds: float | None = None
    seconds: float = 0.0

    @property
    def lease(self) -> float:
        """How long its lease is: by default short where harm comes to it, for others wait for the end of that."""
        default = UNDISTURBED_SECONDS if self.harm is None else LEASE_SECONDS
        return default if self.lease_seconds is None else self.lease_seconds


class Harm:
    """A fault hook that sends a signal to its own process."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._left = orders.count
        self._lock = threading.Lock()

    def __call__(self, step: str) -> None:
        if self._orders.harm is None or step != self._orders.step:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._orders.harm)


def deps_of(settings: Settings, orders: Orders, stop: Callable[[], bool] = lambda: False) -> StreamDeps:
    deps = stream_deps(settings, small_bundle(orders.contract, orders.bundle_seed), orders.worker, stop, orders.lease)
    # No test waits for Kinesis' five reads a second; the emulator has no such limit.
    stream = Stream(deps.stream._service, settings.stream, read_interval=0.0)
    # Every worker takes its own version for the champion.
    mover = Mover(deps.mover._landing, deps.profiles, lambda: deps.bundle.version)
    own = {"stream": stream, "mover": mover, "bundle_of": _bundle_of, "clock": lambda: SCORED_AT}
    return replace(deps, fault=Harm(orders), **own)


def _bundle_of(version: str) -> SmallBundle:
    return small_bundle(seed=int(version.rpartition("-")[2]))


def _work(settings: Settings, orders: Orders, report: Any) -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    end, deps = time.monotonic() + orders.seconds, deps_of(settings, orders, stopping.is_set)
    last = run_slice(deps, orders.limits)
    while time.monotonic() < end:
        last = run_slice(deps, orders.limits)
    report.send(last)
    # A worker ends here: what the test process has registered for its own end (Prefect's threads) is not this one's.
    report.close()
    os._exit(0)


class Worker:
    """A worker in a process of its own."""

    def __init__(self, settings: Settings, orders: Orders) -> None:
        self._orders = orders
        context: Any = multiprocessing.get_context("fork")
        self._reports, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(settings, orders, theirs), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def send(self, harm: signal.Signals) -> None:
        os.kill(self.pid, harm)

    def wait(self, seconds: float = 60.0) -> int:
        """Its exit code (negative for a signal) when it has ended."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"worker {self.pid} still runs after {seconds} s"
        return int(self._process.exitcode)

    def dies(self) -> None:
        """Waits until it has been killed and its leases have ended: a slice waits for its fair share of them only."""
        assert self.wait() == -signal.SIGKILL
        time.sleep(self._orders.lease)

    def report(self, seconds: float = 60.0) -> Any:
        """The slice's report."""
        assert self._reports.poll(seconds), "the worker has sent no report"
        report = self._reports.recv()
        assert self.wait(seconds) == 0
        return report

    def is_frozen(self) -> bool:
        """Whether a signal has stopped it."""
        with open(f"/proc/{self.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"

"""The whole deployment on one machine: emulator, Prefect server, worker, notifier, deployments and sample traffic.

Everything is a child process on 127.0.0.1 with its log in the stack's folder, and ends with us. What the emulator and
the server hold stays in that folder from one start to the next.
"""

import fcntl
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fraudline.adapters.storage.objects import open_objects
from fraudline.errors import BadInput, NotReady, Unavailable
from fraudline.local.emulator import environment_of, running_emulator
from fraudline.local.prefect_server import starting_prefect_server
from fraudline.local.processes import Process, choose_port
from fraudline.local.worker import running_worker

READY_SECONDS = 90.0
STOP_SECONDS = 180.0
_STATE = "stack.json"
_LANDED = "files/sample.csv"
# The sample's columns are those of this contract as it ships; of any other people have transactions of their own.
_SAMPLED = "ecommerce"
_POLL_SECONDS = 0.2

Say = Callable[[str], None]


class Running(msgspec.Struct, frozen=True):
    """What a running stack tells others: who supervises it, and the environment that points at it."""

    pid: int
    ui: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """Where a stack lives and listens, and how many sample records a second it gets (0: none)."""

    directory: Path
    port: int = 4200
    aws_port: int = 4566
    rate: float = 2.0


@dataclass(frozen=True)
class Stack:
    """A healthy stack."""

    running: Running
    parts: tuple[Process, ...]

    def watch(self, stop: Callable[[], bool]) -> None:
        """Wait until `stop` says so; `Unavailable` as soon as a part has ended by itself."""
        while not stop():
            for part in self.parts:
                if not part.is_running():
                    raise Unavailable(f"{part.name} has ended by itself: see {part.log}")
            time.sleep(_POLL_SECONDS)


@contextmanager
def running_stack(plan: Plan, say: Say) -> Iterator[Stack]:
    """A stack for the time of the block; `Unavailable` in one sentence if it is not healthy after `READY_SECONDS`."""
    deadline = time.monotonic() + READY_SECONDS
    if plan.port and plan.port == plan.aws_port:
        raise BadInput(f"port {plan.port} cannot be both the Prefect UI's and the emulator's: name two")
    for port in (plan.port, plan.aws_port):
        choose_port(port)
    # The lock is given back last: who waits for it finds nothing left.
    with _state(plan.directory) as tell, ExitStack() as stack:
        say("Starting the Prefect server and the AWS emulator")
        server = stack.enter_context(starting_prefect_server(plan.directory, plan.port))
        emulator = stack.enter_context(running_emulator(plan.directory, plan.aws_port, keep_data=True))
        stack.enter_context(environment_of(emulator.environment | server.environment))
        # The server takes longest: what else has to be loaded or made is, meanwhile.
        deploying = stack.enter_context(_deploying(plan))
        variables = _prepare()
        stack.enter_context(environment_of(emulator.environment | server.environment | variables))
        running = Running(os.getpid(), server.api.removesuffix("/api"), _pointing_here(variables))
        server.wait()
        say("Starting the worker, deploying the flows")
        worker, notifier = _orchestrate(plan, stack, running, deploying, deadline)
        parts = [emulator.process, server.process, worker, notifier]
        if plan.rate and _is_sampled():
            parts.append(stack.enter_context(_traffic(plan)))
        tell(running)
        yield Stack(running, tuple(parts))


def find(directory: Path) -> Running:
    """The stack that runs from this folder; `NotReady` if none does."""
    try:
        with (directory / _STATE).open("r+b") as file:
            if _lock(file.fileno()):
                raise NotReady(f"no stack runs from {directory}: start one with `fraudline up`")
            return msgspec.json.decode(file.read(), type=Running)
    except FileNotFoundError:
        raise NotReady(f"no stack runs from {directory}: start one with `fraudline up`") from None
    except msgspec.DecodeError:
        raise NotReady(f"the stack in {directory} is not up yet: wait for `fraudline up`") from None


def stop(directory: Path) -> None:
    """End the stack that runs from this folder, and wait until nothing of it is left."""
    running = find(directory)
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            find(directory)
        except NotReady:
            return
        time.sleep(_POLL_SECONDS)
    raise Unavailable(f"the stack in {directory} has not ended after {STOP_SECONDS:.0f} s: end process {running.pid}")


def _prepare() -> dict[str, str]:
    """Resources, and the sample's past to train on where nothing has landed yet; the settings that name them."""
    from fraudline.local.resources import create_resources
    from fraudline.local.traffic import landed, sample
    from fraudline.settings import load_settings

    settings = create_resources(load_settings())
    landing = open_objects(f"s3://{settings.landing_bucket}")
    if _is_sampled() and not any(True for _ in landing.list("files/")):
        landing.put(_LANDED, landed(sample()).to_csv(index=False).encode())
    importlib.import_module("fraudline.local.notifying")  # Prefect's client: seconds
    return settings.to_environment()


def _orchestrate(
    plan: Plan, stack: ExitStack, running: Running, deploying: Process, deadline: float
) -> tuple[Process, Process]:
    """A pool, its worker, who tells people, all deployments; the sample's first retrain, too, if it has no champion."""
    from fraudline.local import orchestration
    from fraudline.local.notifying import running_notifier

    orchestration.ensure_pool()
    worker = stack.enter_context(running_worker(plan.directory, running.environment))
    notifier = stack.enter_context(running_notifier(plan.directory))
    _await_deployed(deploying, deadline)
    worker.wait_until(orchestration.worker_is_online, _left(deadline))
    if _is_sampled() and not _has_champion():
        for deployment in ("retrain/weekly", "warm-up/on-demand"):
            orchestration.start_run(deployment)
    return worker, notifier


def _deploying(plan: Plan) -> Process:
    """All of prefect.yaml on its way to the server, which may still be starting."""
    command = [sys.executable, "-m", "fraudline.local.registering"]
    return Process("the deployment of the flows", command, os.environ, plan.directory / "deploy.log")


def _await_deployed(deploying: Process, deadline: float) -> None:
    try:
        code = deploying.wait(_left(deadline))
    except subprocess.TimeoutExpired:
        raise Unavailable(f"the flows are not deployed after {READY_SECONDS:.0f} s: see {deploying.log}") from None
    if code:
        raise Unavailable(f"the flows could not be deployed: see {deploying.log}")


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 1.0)


def _is_sampled() -> bool:
    from fraudline.settings import load_settings

    return load_settings().contract == _SAMPLED


def _has_champion() -> bool:
    from fraudline.adapters.registry import open_registry
    from fraudline.contract import load_contract
    from fraudline.settings import load_settings

    settings = load_settings()
    registry = open_registry(f"s3://{settings.models_bucket}", load_contract(settings.contract).name)
    return registry.champion() is not None


def _traffic(plan: Plan) -> Process:
    command = [sys.executable, "-m", "fraudline.local.traffic", str(plan.rate)]
    return Process("the sample traffic", command, os.environ, plan.directory / "traffic.log")


def _pointing_here(variables: Mapping[str, str]) -> dict[str, str]:
    """What a shell needs to use the stack, as it is set for us now."""
    names = ("AWS_", "PREFECT_API_URL")
    return {name: value for name, value in os.environ.items() if name.startswith(names)} | dict(variables)


@contextmanager
def _state(directory: Path) -> Iterator[Callable[[Running], None]]:
    """Holds the folder's lock, which ends with this process in whatever way; the caller tells what runs."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / _STATE).open("a+b") as file:
        if not _lock(file.fileno()):
            raise BadInput(
                f"a stack runs from {directory} already: stop it with `fraudline down`, or name another --stack"
            )
        file.truncate(0)

        def tell(running: Running) -> None:
            file.write(msgspec.json.encode(running))
            file.flush()

        yield tell
        file.truncate(0)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

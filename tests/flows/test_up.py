"""`fraudline up`, `status` and `down`: one command runs it all, one says how it is doing, nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fraudline.errors import NotReady
from fraudline.local.emulator import emulator_program
from fraudline.local.processes import choose_port

PROGRAM = Path(sys.executable).with_name("fraudline")
# The promise is 90 s; what a loaded machine takes to start Python comes on top.
PATIENCE = 110.0


class Stack:
    """A stack of this test's own, on ports of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = [str(choose_port()), str(choose_port())]
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PREFECT_", "FRAUDLINE_"))
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._output = directory.with_suffix(".out")

    @property
    def output(self) -> str:
        return self._output.read_text() if self._output.exists() else ""

    def up(self, *options: str) -> subprocess.Popen[bytes]:
        command = [PROGRAM, "up", "--stack", self.directory, "--port", self.ports[0], "--aws-port", self.ports[1]]
        with self._output.open("wb") as output:
            return subprocess.Popen([*command, *options], env=self.environment, stdout=output, stderr=output)

    def start(self, *options: str) -> None:
        self.process = self.up(*options)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if "Up." in self.output:
                assert self.ask()["healthy"], self.ask()["problems"]
                return
            time.sleep(0.2)
        self.process.kill()
        raise AssertionError(f"not up after {PATIENCE} s: {self.output}")

    def ask(self) -> dict[str, Any]:
        done = self.run("status", "--json")
        told: dict[str, Any] = json.loads(done.stdout) if done.stdout.startswith("{") else {"healthy": False}
        assert done.returncode == (0 if told["healthy"] else 1), done.stderr
        return told

    def automations(self) -> set[str]:
        """What the stack's server watches for."""
        url = f"http://127.0.0.1:{self.ports[0]}/api/automations/filter"
        request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return {automation["name"] for automation in json.load(answer)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [PROGRAM, arguments[0], "--stack", self.directory, *arguments[1:]]
        return subprocess.run(command, env=self.environment, text=True, capture_output=True)

    def ended(self, seconds: float = 60) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def engines(self) -> set[int]:
        """Processes of flow runs of this stack: they tell it by their environment only."""
        mark = f"PREFECT_API_URL=http://127.0.0.1:{self.ports[0]}/api".encode()
        found = set()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if mark in environment and b"PREFECT__FLOW_RUN_ID=" in environment:
                found.add(int(entry.name))
        return found

    def left(self) -> list[str]:
        """Command lines of processes that name one of our ports or our folder."""
        marks = (str(self.directory), *self.ports)
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if any(mark in line for mark in marks):
                found.append(line)
        return found


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    try:
        emulator_program()
    except NotReady as missing:
        pytest.skip(f"NO STACK RUNS HERE: {missing}")
    made = Stack(tmp_path / "stack")
    yield made
    if made.process and made.process.poll() is None:
        made.process.send_signal(signal.SIGTERM)
        made.process.wait(60)


def test_up_is_healthy_within_its_promise_a_second_one_says_why_not_and_down_leaves_nothing(stack: Stack) -> None:
    stack.start("--rate", "5")
    told = stack.ask()
    assert told["parts"] == {"Prefect server": True, "worker": True, "deployments": True, "AWS": True}
    assert len(told["shards"]) == 4
    logs = {path.name for path in stack.directory.glob("*.log")}
    assert logs >= {"emulator.log", "prefect.log", "worker.log", "notifier.log"}
    assert "fraudline: a run is late" in stack.automations()
    # As the runbook has it: eval "$(fraudline env)".
    shell = [
        "sh",
        "-ec",
        f'eval "$({PROGRAM} env --stack {stack.directory})"; printenv AWS_ENDPOINT_URL PREFECT_API_URL',
    ]
    told = subprocess.run(shell, env=stack.environment, text=True, capture_output=True).stdout.splitlines()
    assert told == [f"http://127.0.0.1:{stack.ports[1]}", f"http://127.0.0.1:{stack.ports[0]}/api"]
    assert stack.run("env").returncode == 0

    second = Stack(stack.directory.parent / "second")
    second.ports = stack.ports
    refused = second.up()
    assert refused.wait(60) == 2
    assert f"port {stack.ports[0]} on 127.0.0.1 cannot be used" in second.output

    assert stack.run("down").returncode == 0
    assert [choose_port(int(port)) for port in stack.ports] == [int(port) for port in stack.ports]
    assert stack.ended() == 0
    assert stack.left() == []
    assert stack.run("down").returncode == 3


def test_a_contract_that_is_not_there_is_said_before_anything_is_started(stack: Stack) -> None:
    stack.environment["FRAUDLINE_CONTRACT"] = "nope.toml"
    assert stack.up().wait(60) == 2
    assert "no contract 'nope.toml': name a TOML file" in stack.output
    assert not stack.directory.exists()


@pytest.mark.long
def test_with_a_contract_of_ones_own_nothing_is_sent_or_trained_and_the_worker_finds_it(stack: Stack) -> None:
    """The sample landed and was sent where it is no transaction, and the worker looked for it in its own folder."""
    contract = stack.directory.with_name("shop.toml")
    shipped = Path(__file__).parents[2] / "data" / "contracts" / "ecommerce.toml"
    contract.write_text(shipped.read_text().replace('name = "ecommerce"', 'name = "shop"'))
    stack.environment["FRAUDLINE_CONTRACT"] = os.path.relpath(contract)
    stack.start("--rate", "5")
    assert f"FRAUDLINE_CONTRACT={contract}" in stack.run("env").stdout
    assert not [line for line in stack.left() if "traffic" in line]
    assert not [run for run in stack.ask()["runs"] if run["run"].startswith(("retrain", "warm-up"))]


@pytest.mark.long
def test_what_a_stack_holds_is_there_after_ctrl_c_and_a_new_start(stack: Stack) -> None:
    stack.start("--rate", "0")
    while stack.ask()["champion"] is None:
        time.sleep(2)
    before = stack.ask()
    assert stack.process is not None
    stack.process.send_signal(signal.SIGINT)
    stack.ended()
    assert stack.left() == []
    stack.start("--rate", "0")
    after = stack.ask()
    assert after["champion"] == before["champion"]
    assert {run["run"] for run in before["runs"]} <= {run["run"] for run in after["runs"]}


@pytest.mark.long
def test_down_ends_a_run_that_is_under_way(stack: Stack) -> None:
    stack.start("--rate", "0")
    while not any(run["state"] == "Running" for run in stack.ask()["runs"]):
        time.sleep(0.5)
    engines = stack.engines()
    assert engines
    assert stack.run("down").returncode == 0
    assert stack.ended() == 0
    assert engines & stack.engines() == set()


@pytest.mark.long
def test_a_supervisor_that_is_killed_takes_everything_with_it(stack: Stack) -> None:
    stack.start("--rate", "1")
    assert stack.process is not None
    stack.process.kill()
    deadline = time.monotonic() + 30
    while stack.left() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert stack.left() == []
    assert stack.run("down").returncode == 3


@pytest.mark.long
def test_a_part_that_dies_ends_the_stack_with_its_name(stack: Stack) -> None:
    stack.start("--rate", "0")
    (line,) = [line for line in stack.left() if "server start" in line and "guard" not in line][:1]
    pids = [
        int(entry.parent.name)
        for entry in Path("/proc").glob("[0-9]*/cmdline")
        if entry.read_bytes().replace(b"\0", b" ").decode(errors="replace") == line
    ]
    os.kill(pids[0], signal.SIGKILL)
    assert stack.ended() == 5
    assert "the Prefect server has ended by itself" in stack.output
    assert stack.left() == []

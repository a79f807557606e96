"""A deployment in which commands of documents are run as they are written, and what their placeholders stand for there.

What the documents take as given is here: a history, somebody's own files, records on the stream, a second version.
"""

import os
import pty
import re
import select
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from fraudline.local.emulator import Emulator, environment_of
from fraudline.local.prefect_server import running_prefect_server
from fraudline.local.resources import create_resources
from fraudline.settings import Settings
from fraudline.simulate import Population, simulate
from tests.docs.reading import ROOT
from tests.support.command import PROGRAM, Finished, Person, environment_of_a_fresh_machine
from tests.support.pipeline import Api
from tests.support.preloaded import preloaded

KEY = "for tests: forty-eight characters nobody can guess"
DAYS = 45
SECONDS = 60.0
# What runs until it is stopped, and what it says once it is at work (nothing: its runs are looked for).
UNTIL_STOPPED = {
    "fraudline score-stream --forever": "",
    "prefect worker start": "started!",
}
# Asks at a terminal: what it says, and what somebody types.
ASKS = {"fraudline forget": (("The id to forget: ", "U000003"), ("Erase the id everywhere?", "y"))}
# No worker runs beside the commands, or runs of deployments would begin.
CODES = {"fraudline status": 1}


@dataclass
class Rehearsal:
    """Somebody in a folder; `variables` point the shell at the deployment."""

    person: Person
    settings: Settings
    api: Api
    today: date
    variables: dict[str, str]
    placeholders: dict[str, Callable[[str], str]] = field(default_factory=dict)

    def follow(self, line: str, folder: Path | None = None) -> Finished:
        """A line of a document, run to its end, or until it works and is stopped."""
        for placeholder, meaning in self.placeholders.items():
            if re.search(placeholder, line):
                line = re.sub(placeholder, meaning(line), line)
        for start, said in UNTIL_STOPPED.items():
            if line.startswith(start):
                return self._until_stopped(line, said)
        if line in ASKS:
            return self._at_a_terminal(line)
        program, *words = self._words(line)
        assert self.person.forks is not None
        place = folder or self.person.folder
        code, out, err = self.person.forks.run(words, place, self._environment, b"U000004\n", program)
        return Finished(0 if code == CODES.get(line) else code, out.decode(), err.decode())

    def json(self, line: str) -> Any:
        return self.follow(f"{line} --json").json

    @property
    def _environment(self) -> dict[str, str]:
        path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
        return self.person.environment | self.variables | {"PATH": path}

    def _words(self, line: str) -> list[str]:
        """The command and its arguments, as a shell hands them over."""
        command = ["sh", "-ec", f"printf '%s\\0' {line}"]
        done = subprocess.run(command, env=self._environment, cwd=self.person.folder, capture_output=True, check=True)
        return done.stdout.decode().split("\0")[:-1]

    def _until_stopped(self, line: str, said: str) -> Finished:
        log = self.person.home / "until-stopped.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-ec", f"exec {line}"],
                env=self._environment,
                cwd=self.person.folder,
                stdout=output,
                stderr=output,
            )
        before = len(self.api.runs("score-stream"))
        _wait(lambda: said in log.read_text() if said else len(self.api.runs("score-stream")) > before)
        process.send_signal(signal.SIGINT)
        code = process.wait(SECONDS)
        told = log.read_text()
        return Finished(0 if code in (0, 130) else code, told, told)

    def _at_a_terminal(self, line: str) -> Finished:
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.person.folder)
            os.execvpe("sh", ["sh", "-ec", f"exec {line}"], self._environment)
        told = ""
        for question, answer in ASKS[line]:
            while question not in told:
                assert select.select([terminal], [], [], SECONDS)[0], told
                told += os.read(terminal, 4096).decode()
            os.write(terminal, f"{answer}\n".encode())
        told += _rest(terminal)
        os.close(terminal)
        return Finished(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told, told)


@contextmanager
def rehearsal(emulator: Emulator, folder: Path) -> Iterator[Rehearsal]:
    """The deployment for the time of the block, its Prefect server empty."""
    home, work, scratch = (folder / name for name in ("home", "work", "scratch"))
    for path in (home, work, scratch):
        path.mkdir()
    prefix = f"d{uuid.uuid4().hex[:10]}"
    names = Settings.model_construct().model_dump(exclude={"contract", "consumer"}, exclude_none=True)
    own = {name: f"{prefix}-{value.removeprefix('fraudline-')}" for name, value in names.items()}
    with environment_of(emulator.environment):
        settings = create_resources(Settings(**own), shards=2)
    with (
        running_prefect_server(folder / "prefect") as server,
        preloaded(scratch, environment_of_a_fresh_machine(home)) as forks,
    ):
        variables = emulator.environment | server.environment | settings.to_environment()
        person = Person(home, work, forks)
        today = datetime.now(UTC).date()
        made = Rehearsal(person, settings, Api(server.api), today, {**variables, "FRAUDLINE_ERASURE_KEY": KEY})
        _files(work, today)
        made.placeholders |= _placeholders(made)
        yield made


def _files(work: Path, today: date) -> None:
    """What somebody has in a folder: a past, in every form that documents name, and a contract of their own."""
    past = simulate(Population(users=150, start=today - timedelta(days=DAYS), days=DAYS, fraud_rate=0.04, seed=0))
    past["timestamp"] = past["timestamp"].astype(str)
    past.to_parquet(work / "history.parquet", index=False)
    past.tail(3000).to_csv(work / "orders.csv", index=False)
    # A valid row that no model may train on: nobody loads a prepaid card with so much.
    strange = past.iloc[[1000]].assign(transaction_id="T-strange", card_type="prepaid", amount=9000.0)
    pd.concat([past, strange]).to_parquet(work / "landed.parquet", index=False)
    text = (ROOT / "data" / "contracts" / "ecommerce.toml").read_text()
    windows = 'windows = ["1h", "1d", "7d", "30d"]'
    assert windows in text
    (work / "shop.toml").write_text(text.replace(windows, 'windows = ["1h", "2d", "14d", "30d"]'))
    (work / "yours.toml").write_text(text)
    # As the README's other block makes them.
    yours = simulate(Population(users=150, start=date(2026, 1, 1), days=50, fraud_rate=0.04, seed=1))
    for name in ("yours.csv", "transactions.csv"):
        yours.to_csv(work / name, index=False)
    (work / "out" / "backfill").mkdir(parents=True)
    past.head(500).to_csv(work / "out" / "backfill" / "copy.csv", index=False)
    _records(today, past).to_json(work / "resent.jsonl", orient="records", lines=True)


def _records(today: date, past: "pd.DataFrame") -> "pd.DataFrame":
    """Yesterday's: some as ever, some that look like fraud, one that is no transaction."""
    usual = past.tail(60).drop(columns=["is_fraud"]).assign(timestamp=f"{today - timedelta(days=1)}T12:00:00Z")
    usual["transaction_id"] = [f"S{number}" for number in range(len(usual))]
    usual.loc[usual.index[:20], ["amount", "is_vpn"]] = [4900.0, 1]
    usual.loc[usual.index[-1], "device_type"] = "fridge"
    return usual


def _placeholders(of: Rehearsal) -> dict[str, Callable[[str], str]]:
    """By pattern, what stands for it; the longer ones first, for they hold shorter ones."""
    day = "{:%Y-%m-%d}".format
    versions: dict[str, str] = {}

    def other_features(_: str) -> str:
        if not versions:
            trained = "fraudline retrain --transactions history.parquet --candidate logistic --contract shop.toml"
            told = of.json(f'{trained} --as-of {day(of.today)} --models "s3://$FRAUDLINE_MODELS_BUCKET"')
            versions["shop"] = told["version"]
        return versions["shop"]

    def refused(_: str) -> str:
        return str(of.json("fraudline quarantine list")["objects"][-1]["key"])

    def flagged(_: str) -> str:
        return str(of.json("fraudline review")["queue"][0]["transaction"])

    def scheduled(line: str) -> str:
        if "schedule" in line:
            return str(of.api.deployment("retrain/weekly")["schedules"][0]["id"])
        runs = of.api.post("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})
        return str(next(run["id"] for run in runs if not run["auto_scheduled"]))

    return {
        "2026-01-31-0123456789ab": other_features,
        "stream/2026-01-31/shardId-000000000000/1-2.jsonl": refused,
        "retrain-2026-02-02": lambda _: f"retrain-{day(of.today - timedelta(days=1))}",
        "2026-01-24": lambda _: day(of.today - timedelta(days=2)),
        "2026-01-31|2026-11-24|2026-01-01": lambda _: day(of.today),
        "fraudline-prod-quarantine": lambda _: of.settings.quarantine_bucket,
        "T000123": lambda _: "S1",
        r"\bT1\b": flagged,
        "0{8}-0{4}-0{4}-0{4}-0{12}": scheduled,
    }


def _wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline, f"not at work within {SECONDS} s"
        time.sleep(0.2)


def _rest(terminal: int) -> str:
    """What is said until the other end closes, which is an error here."""
    told = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            part = b""
        if not part:
            return told.decode()
        told += part

"""With --json standard output is one JSON object and nothing else, whatever the command: programs read it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from fraudline.cli.app import app
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from tests.cli.conftest import Shop, upload
from tests.support.command import Person

ROOT = Path(__file__).parents[2]
# What takes minutes or a Prefect server, and the file that reads its JSON.
ELSEWHERE = {
    "demo": "tests/demo/test_demo.py",
    "package-lambda": "tests/cli/test_journey.py",
    "deploy-lambda": "tests/realtime/test_deployed.py",
    "automations": "tests/flows/test_automations.py",
}
# A part that is missing is told by the exit code, too.
UNHEALTHY = {"status"}


def test_every_command_prints_exactly_one_json_object(
    shop: Shop, person: Person, aws: Emulator, resources: Settings
) -> None:
    variables = aws.environment | resources.to_environment() | {"FRAUDLINE_ERASURE_KEY": "0123456789abcdef" * 4}
    tried = set()

    def told(command: str, *arguments: str) -> dict[str, Any]:
        tried.add(command)
        done = person.runs(*command.split(), *arguments, "--json", **variables)
        assert done.code == (command in UNHEALTHY), (command, done.err)
        values = json.loads(done.out)
        assert isinstance(values, dict), command
        return values

    _work_on_files(told, shop)
    _work_on_a_deployment(told, person, resources)
    for command, file in ELSEWHERE.items():
        text = (ROOT / file).read_text()
        assert f'"{command}"' in text, command
        assert '"--json"' in text, command
    assert tried | set(ELSEWHERE) == set(_commands_with_json(typer.main.get_command(app)))


def test_the_bill_of_a_contract_with_lagged_entities_has_what_its_builds_read(person: Person) -> None:
    alone = person.runs("cost", "--users", "100", "--transactions-per-second", "1", "--json")
    lagged = person.runs("cost", "--users", "100", "--transactions-per-second", "1", "--contract", "cards", "--json")
    assert json.loads(alone.out)["dollars"] < json.loads(lagged.out)["dollars"]


def _work_on_files(told: Any, shop: Shop) -> None:
    first, second = shop.first["version"], shop.second["version"]
    at = ("--models", "models")
    told("simulate", "--out", "made.csv", "--users", "20", "--days", "3")
    told("cost", "--users", "100", "--transactions-per-second", "1")
    told("quality", "-t", "tx.csv", "--out", "q")
    told("retrain", "-t", "tx.csv", "--as-of", "2026-02-18", "--models", "again", "--candidate", "logistic")
    told("backfill", "-t", "tx.csv", "--start", "2026-02-16", "--end", "2026-02-17", *at, "--out", "b")
    champion = told("models list", *at)["champion"]
    told("models show", *at)
    told("models verify", *at)
    told("models diff", first, second, *at)
    told("models promote", second if champion == first else first, "--reason", "a try", *at)
    told("models rollback", "--reason", "back", *at)
    key = told("quarantine list", "--at", "models")["objects"][0]["key"]
    told("quarantine show", key, "--at", "models")
    told("quarantine redrive", key, "--at", "models")


def _work_on_a_deployment(told: Any, person: Person, resources: Settings) -> None:
    upload(person.folder / "models", f"s3://{resources.models_bucket}")
    header, *rows = (person.folder / "tx.csv").read_text().splitlines(keepends=True)
    (person.folder / "day.csv").write_text(header + "".join(row for row in rows if ",2026-02-17T" in row))
    told("warm-up", "-t", "tx.csv", "--before", "2026-02-17")
    told("send", "-t", "day.csv")
    told("score-stream", "--seconds", "60")
    alert = told("review")["queue"][0]["transaction"]
    told("review show", alert)
    told("replay", alert)
    (person.folder / "labels.csv").write_text(f"transaction_id,label,known_at\n{alert},1,2026-02-24T00:00:00Z\n")
    told("labels apply", "labels.csv")
    told("materialize")
    told("forget", "nobody", "--yes")
    told("status")


def _commands_with_json(command: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
    if any("--json" in parameter.opts for parameter in command.params):
        yield " ".join(words)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands_with_json(inner, (*words, name))
